"""Gauges of merchants: closed accounts, tax data that differs from the platform's, the Kafka consumer, quarantine."""

import math
from collections.abc import Iterable

from django.conf import settings
from django.db.models import Count, Value

from config.base import clock
from config.monitoring.gauges import Gauge, changelist_url, fetch_rows, scalar_gauge
from merchants.models import Merchant, MerchantChange, ProviderAccount, Quarantine
from merchants.sync.messages import readers
from merchants.worklists import CERTIFICATE_ENDS_WITHIN, FEW_NUMBERS, WORKLISTS, worklist_condition

SOONEST = """
SELECT (SELECT min(certificate_ends) FROM merchants_provideraccount
        WHERE certificate_ends IS NOT NULL AND is_active AND deleted_at IS NULL),
       (SELECT min(numbers_left) FROM merchants_provideraccount
        WHERE numbers_left IS NOT NULL AND is_active AND deleted_at IS NULL)
"""


def gauges() -> Iterable[Gauge]:
    yield from _account_gauges()
    drifting = MerchantChange.objects.exclude(drift="").count()
    yield scalar_gauge(
        "tax_drift",
        "Merchants whose tax data differs from the platform's latest.",
        drifting,
        changelist_url("merchants_merchantchange", drift__isempty=0),
    )
    unusable = Merchant.objects.not_deleted().exclude(tax_problem="").count()
    yield scalar_gauge(
        "tax_problems",
        "Merchants whose latest tax data from the platform cannot be used.",
        unusable,
        changelist_url("merchants_merchant", tax_problem__isempty=0, deleted_at__isempty=1),
    )
    yield from _consumer_gauges()
    waiting = Quarantine.objects.filter(replayed_at=None).count()
    yield scalar_gauge(
        "quarantined",
        "Kafka messages that could not be applied and have not been replayed.",
        waiting,
        changelist_url("merchants_quarantine", replayed_at__isempty=1),
    )


def _consumer_gauges() -> Iterable[Gauge]:
    """A topic without a report has been silent for ever if Kafka is configured, else not at all."""
    now = clock.now()
    rows = fetch_rows("SELECT topic, sum(lag), min(reported_at) FROM merchants_consumerlag GROUP BY 1")
    reports = {topic: (lag, (now - since).total_seconds()) for topic, lag, since in rows}
    no_report = (0, math.inf if settings.KAFKA_BOOTSTRAP_SERVERS else 0)
    by_topic = {(topic,): reports.get(topic, no_report) for topic in readers()}
    lags = {topic: float(lag) for topic, (lag, _) in by_topic.items()}
    silences = {topic: seconds for topic, (_, seconds) in by_topic.items()}
    yield Gauge("consumer_lag", "Kafka messages that have not been applied yet.", ("topic",), lags)
    yield Gauge("consumer_silent_seconds", "Seconds since the consumer last reported its lag.", ("topic",), silences)


def _account_gauges() -> Iterable[Gauge]:
    counts = _counts_by_provider()
    link = changelist_url("merchants_provideraccount")
    ends, left = fetch_rows(SOONEST)[0]
    days = (ends - clock.today_vn()).days if ends else math.inf
    left = math.inf if left is None else left
    yield scalar_gauge("certificate_days_left", "Days until the first certificate ends; +Inf if unknown.", days, link)
    yield scalar_gauge("numbers_left", "Fewest numbers left of any account; +Inf if unknown.", left, link)
    for name, worklist, help in (
        ("accounts_parked", "parked", "Accounts that are parked because their provider refuses them."),
        ("accounts_paused", "paused", "Accounts that an operator has paused."),
        (
            "certificates_ending",
            "certificate",
            f"Accounts whose certificate ends within {CERTIFICATE_ENDS_WITHIN.days} days.",
        ),
        ("accounts_short", "numbers", f"Accounts with fewer than {FEW_NUMBERS} numbers left."),
    ):
        values = {(provider,): count for of, provider, count in counts if of == worklist}
        link = changelist_url("merchants_provideraccount", worklist=worklist)
        links = {key: changelist_url("merchants_provideraccount", worklist=worklist, provider=key[0]) for key in values}
        yield Gauge(name, help, ("provider",), values, link, links, [(ProviderAccount.provider.field.default,)])


def _counts_by_provider() -> list[tuple[str, str, int]]:
    """Worklist, provider and count, in one query that uses every partial index. An account may be in several."""
    first, *others = (
        ProviderAccount.objects.filter(worklist_condition(worklist))
        .values("provider")
        .annotate(worklist=Value(worklist), count=Count("pk"))
        .values_list("worklist", "provider", "count")
        for worklist in WORKLISTS
    )
    return list(first.union(*others, all=True))
