"""The merchants' figures: which lanes are closed, whose data is not what the platform says, what is in quarantine."""

import math
from collections.abc import Iterable

from django.conf import settings
from django.db.models import Count, Value

from config.base import clock
from config.monitoring.gauges import Figure, listed, one, rows
from merchants.models import Merchant, MerchantChange, ProviderAccount, Quarantine
from merchants.sync.messages import readers
from merchants.worklists import ENDING, FEW, WORK, condition

FIRST = """
SELECT (SELECT min(certificate_ends) FROM merchants_provideraccount
        WHERE certificate_ends IS NOT NULL AND is_active AND deleted_at IS NULL),
       (SELECT min(numbers_left) FROM merchants_provideraccount
        WHERE numbers_left IS NOT NULL AND is_active AND deleted_at IS NULL)
"""


def gauges() -> Iterable[Figure]:
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
        listed("merchants_merchant", tax_problem__isempty=0, deleted_at__isempty=1),
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
    found = rows("SELECT topic, sum(lag), min(reported_at) FROM merchants_consumerlag GROUP BY 1")
    told = {topic: (lag, (now - since).total_seconds()) for topic, lag, since in found}
    unheard = (0, math.inf if settings.KAFKA_BOOTSTRAP_SERVERS else 0)
    by_topic = {(topic,): told.get(topic, unheard) for topic in readers()}
    lags = {topic: float(lag) for topic, (lag, _) in by_topic.items()}
    silences = {topic: seconds for topic, (_, seconds) in by_topic.items()}
    yield Figure("consumer_lag", "Messages of Kafka that were not acted on yet.", ("topic",), lags)
    yield Figure("consumer_silent_seconds", "Since the consumer told how far it is.", ("topic",), silences)


def _accounts() -> Iterable[Figure]:
    counts = _by_provider()
    link = listed("merchants_provideraccount")
    ends, left = rows(FIRST)[0]
    days = (ends - clock.today_vn()).days if ends else math.inf
    yield one("certificate_days_left", "Days until a certificate ends; endless where none is known.", days, link)
    left = math.inf if left is None else left
    yield one("numbers_left", "Fewest numbers that an account has left; endless where none is known.", left, link)
    for name, work, help in (
        ("accounts_parked", "parked", "Accounts that their provider refuses."),
        ("accounts_paused", "held", "Accounts that an operator holds."),
        ("certificates_ending", "certificate", f"Accounts whose certificate ends within {ENDING.days} days."),
        ("accounts_short", "numbers", f"Accounts with fewer than {FEW} numbers left."),
    ):
        of = {(provider,): count for told, provider, count in counts if told == work}
        link = listed("merchants_provideraccount", work=work)
        links = {key: listed("merchants_provideraccount", work=work, provider=key[0]) for key in of}
        yield Figure(name, help, ("provider",), of, link, links, [(ProviderAccount.provider.field.default,)])


def _by_provider() -> list[tuple[str, str, int]]:
    """Each piece of work by its own partial index, in one query; an account counts wherever it belongs."""
    first, *others = (
        ProviderAccount.objects.filter(condition(work))
        .values("provider")
        .annotate(work=Value(work), count=Count("pk"))
        .values_list("work", "provider", "count")
        for work in WORK
    )
    return list(first.union(*others, all=True))
