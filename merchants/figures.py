"""The merchants' figures: which lanes are closed, whose data is not what the platform says, what is in quarantine."""

import math
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings

from config import clock
from config.figures import Figure, listed, one, rows
from merchants.models import Merchant, MerchantChange, ProviderAccount, Quarantine

ENDING = timedelta(days=30)  # certificates
FEW = 1000  # numbers left under a symbol

# Each scan has its own partial index; an account counts wherever it belongs.
ACCOUNTS = """
SELECT 'accounts_parked', provider, count(*) FROM merchants_provideraccount
WHERE parked_until > %(now)s AND is_active AND deleted_at IS NULL GROUP BY 2
UNION ALL
SELECT 'accounts_paused', provider, count(*) FROM merchants_provideraccount
WHERE paused AND is_active AND deleted_at IS NULL GROUP BY 2
UNION ALL
SELECT 'certificates_ending', provider, count(*) FROM merchants_provideraccount
WHERE certificate_ends <= %(ending)s AND is_active AND deleted_at IS NULL GROUP BY 2
UNION ALL
SELECT 'accounts_short', provider, count(*) FROM merchants_provideraccount
WHERE numbers_left < %(few)s AND is_active AND deleted_at IS NULL GROUP BY 2
"""

FIRST = """
SELECT (SELECT min(certificate_ends) FROM merchants_provideraccount
        WHERE certificate_ends IS NOT NULL AND is_active AND deleted_at IS NULL),
       (SELECT min(numbers_left) FROM merchants_provideraccount
        WHERE numbers_left IS NOT NULL AND is_active AND deleted_at IS NULL)
"""


def read() -> Iterable[Figure]:
    yield from _accounts()
    drifting = MerchantChange.objects.exclude(drift="").count()
    yield one(
        "tax_drift",
        "Merchants whose tax data is not what the platform told us last.",
        drifting,
        listed("merchants_merchantchange", drift__isempty=0),
    )
    unusable = Merchant.objects.living().exclude(tax_problem="").count()
    yield one(
        "tax_problems",
        "Merchants whose last tax data from the platform cannot be used.",
        unusable,
        listed("merchants_merchant", tax_problem__isempty=0),
    )
    yield from _consumer()
    waiting = Quarantine.objects.filter(replayed_at=None).count()
    yield one(
        "quarantined",
        "Messages from Kafka that nobody could act on and nobody replayed.",
        waiting,
        listed("merchants_quarantine", replayed_at__isempty=1),
    )


def _consumer() -> Iterable[Figure]:
    """Silent is who has not told for a while, or never: an endless time, where Kafka is there to be followed."""
    now = clock.now()
    found = rows("SELECT topic, sum(lag), min(told_at) FROM merchants_consumerlag GROUP BY 1")
    told = {topic: (lag, (now - since).total_seconds()) for topic, lag, since in found}
    unheard = (0, math.inf if settings.KAFKA_BOOTSTRAP_SERVERS else 0)
    by_topic = {(topic,): told.get(topic, unheard) for topic in settings.KAFKA_READERS}
    lags = {topic: float(lag) for topic, (lag, _) in by_topic.items()}
    silences = {topic: seconds for topic, (_, seconds) in by_topic.items()}
    yield Figure("consumer_lag", "Messages of Kafka that were not acted on yet.", ("topic",), lags)
    yield Figure("consumer_silent_seconds", "Since the consumer told how far it is.", ("topic",), silences)


def _accounts() -> Iterable[Figure]:
    now = clock.now()
    found = rows(ACCOUNTS, {"now": now, "ending": clock.day_vn(now + ENDING), "few": FEW})
    link = listed("merchants_provideraccount")
    ends, left = rows(FIRST)[0]
    days = (ends - clock.today_vn()).days if ends else math.inf
    yield one("certificate_days_left", "Days until a certificate ends; endless where none is known.", days, link)
    left = math.inf if left is None else left
    yield one("numbers_left", "Fewest numbers that an account has left; endless where none is known.", left, link)
    for name, help, filters in (
        ("accounts_parked", "Accounts that their provider refuses.", {"parked_until__isempty": 0}),
        ("accounts_paused", "Accounts that an operator holds.", {"paused__exact": 1}),
        ("certificates_ending", "Accounts whose certificate ends within 30 days.", {"certificate_ends__isempty": 0}),
        ("accounts_short", f"Accounts with fewer than {FEW} numbers left.", {"numbers_left__isempty": 0}),
    ):
        counts = {(provider,): count for told, provider, count in found if told == name}
        link = listed("merchants_provideraccount", **filters)
        yield Figure(name, help, ("provider",), counts, link, every=[(ProviderAccount.provider.field.default,)])
