"""The merchants' figures: which lanes are closed, whose data is not what the platform says, what is in quarantine."""

from collections.abc import Iterable
from datetime import timedelta

from config import clock
from config.figures import Figure, listed, one, rows
from merchants.models import Merchant, MerchantChange, Quarantine

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
    waiting = Quarantine.objects.filter(replayed_at=None).count()
    yield one(
        "quarantined",
        "Messages from Kafka that nobody could act on and nobody replayed.",
        waiting,
        listed("merchants_quarantine", replayed_at__isempty=1),
    )


def _accounts() -> Iterable[Figure]:
    now = clock.now()
    found = rows(ACCOUNTS, {"now": now, "ending": clock.day_vn(now + ENDING), "few": FEW})
    for name, help, filters in (
        ("accounts_parked", "Accounts that their provider refuses.", {"parked_until__isempty": 0}),
        ("accounts_paused", "Accounts that an operator holds.", {"paused__exact": 1}),
        ("certificates_ending", "Accounts whose certificate ends within 30 days.", {"certificate_ends__isempty": 0}),
        ("accounts_short", f"Accounts with fewer than {FEW} numbers left.", {"numbers_left__isempty": 0}),
    ):
        counts = {(provider,): count for told, provider, count in found if told == name}
        yield Figure(name, help, ("provider",), counts, listed("merchants_provideraccount", **filters))
