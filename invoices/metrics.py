"""Gauges and counters of invoices: open ones and their age, failures, what was done today, calls to providers."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from prometheus_client.core import Metric

from config.base import clock
from config.monitoring.counters import count_since
from config.monitoring.gauges import Gauge, changelist_url, fetch_rows, scalar_gauge
from config.monitoring.metrics import Totals, counter_family, counts_by_label, histogram_family, sum_by_parts
from invoices.counters import BOOKS_DIFFERED, BUCKET_STEP, COUNTED_ENDS, OPENED, PROVIDER_CALL, RETRY, quantile
from invoices.lifecycle import Reason, State
from invoices.models import AuditVerification, Invoice, LegalRules, Partition, Payment
from invoices.opening.conclude import PAYMENT_CONFLICT
from invoices.providers import PROVIDERS
from invoices.upkeep.reconcile import KINDS
from invoices.worklists import OPEN_STATES, RECENT_FAILURES, worklist_condition

DAY = timedelta(days=1)
LIST = "invoices_invoice"

# One scan per partial index of open work. The time is the deadline, the due time or the send of the oldest.
OPEN = """
SELECT 'WAITING', partition, count(*), min(claim_deadline) FROM invoices_invoice WHERE state = 'WAITING' GROUP BY 2
UNION ALL
SELECT 'QUEUED', partition, count(*), min(not_before) FROM invoices_invoice WHERE state = 'QUEUED' GROUP BY 2
UNION ALL
SELECT 'SENDING', partition, count(*), min(exposed_at) FROM invoices_invoice WHERE state = 'SENDING' GROUP BY 2
UNION ALL
SELECT state, partition, count(*), min(exposed_at) FROM invoices_invoice WHERE state IN ('UNCERTAIN', 'SUBMITTED')
GROUP BY 1, 2
"""


def gauges() -> Iterable[Gauge]:
    yield from _open()
    yield from _failed()
    yield from _today()
    yield from _owed()
    yield from _law()
    yield from _audit()


def _open() -> Iterable[Gauge]:
    now = clock.now()
    open_rows = [((state, str(partition)), count, since) for state, partition, count, since in fetch_rows(OPEN)]
    by_state = ("state", "partition")
    every = [(state.value, str(partition)) for state in OPEN_STATES for partition in range(settings.PARTITIONS)]
    link = changelist_url(LIST, worklist="open")
    links = {
        key: changelist_url(LIST, state__exact=key[0], partition=key[1])
        for key in (*every, *(key for key, _, _ in open_rows))
    }
    yield Gauge(
        "invoices_open",
        "Open invoices, by state and partition.",
        by_state,
        {key: count for key, count, _ in open_rows},
        link,
        links,
        every,
    )
    yield Gauge(
        "invoices_oldest_seconds",
        "How late the oldest open invoice is: since its claim deadline (WAITING), its due time (QUEUED) or its send.",
        by_state,
        {key: max(0.0, (now - since).total_seconds()) for key, _, since in open_rows if since},
        link,
        links,
        every,
    )
    paused = Partition.objects.filter(paused=True).count()
    yield scalar_gauge(
        "partitions_paused",
        "Partitions that an operator has paused.",
        paused,
        changelist_url("invoices_partition", paused__exact=1),
    )


def _failed() -> Iterable[Gauge]:
    failed = fetch_rows("SELECT failure, count(*) FROM invoices_invoice WHERE state = 'FAILED' GROUP BY 1")
    recent = count_since(clock.now() - RECENT_FAILURES, COUNTED_ENDS)
    ended = {state: sum(n for (name, _), n in recent.items() if name == state) for state in COUNTED_ENDS}
    reasons = [reason.value for reason in Reason]
    links = {(r,): changelist_url(LIST, state__exact=State.FAILED, failure__exact=r) for r in reasons}
    link = changelist_url(LIST, state__exact=State.FAILED)
    yield Gauge(
        "invoices_failed",
        "Dead letters: invoices in FAILED that wait for a person, by reason.",
        ("reason",),
        {**{(r,): 0 for r in reasons}, **{(reason,): count for reason, count in failed}},
        link,
        links,
    )
    yield Gauge(
        "invoices_failed_recently",
        "Invoices that failed in the last 15 to 20 minutes, by reason.",
        ("reason",),
        {(r,): recent.get((State.FAILED, r), 0) for r in reasons},
        changelist_url(LIST, worklist="failed-recently"),
        {(r,): changelist_url(LIST, worklist="failed-recently", failure__exact=r) for r in reasons},
    )
    yield Gauge(
        "invoices_ended_recently",
        "Invoices that ended in the last 15 to 20 minutes, by outcome.",
        ("outcome",),
        {(state.value,): count for state, count in ended.items()},
    )


def _today() -> Iterable[Gauge]:
    start = clock.at_vn(clock.today_vn())
    counts = count_since(start, COUNTED_ENDS)
    ended = {state: sum(n for (name, _), n in counts.items() if name == state) for state in COUNTED_ENDS}
    yield Gauge(
        "invoices_ended_today",
        "Invoices that ended since midnight in Việt Nam, by outcome. One that failed and was replayed counts twice.",
        ("outcome",),
        {(state.value,): count for state, count in ended.items()},
        links={(state.value,): changelist_url(LIST, worklist=f"{state.value.lower()}-today") for state in COUNTED_ENDS},
    )
    seconds = {int(label): n for (name, label), n in counts.items() if name == State.ISSUED and label}
    yield Gauge(
        "paid_to_issued_seconds",
        "Time from payment to legal number, claim window included, of invoices issued since midnight in Việt Nam.",
        ("quantile",),
        {(f"{share}",): quantile(seconds, share) for share in (0.5, 0.95)},
        changelist_url(LIST, worklist="issued-today"),
    )


def _owed() -> Iterable[Gauge]:
    counted = count_since(clock.now() - DAY, [PAYMENT_CONFLICT, BOOKS_DIFFERED])
    yield scalar_gauge(
        "payments_disagreeing",
        "Orders that got a second payment with another amount, in the last day.",
        counted.get((PAYMENT_CONFLICT, ""), 0),
    )
    yield Gauge(
        "books_differing",
        "Differences between our records and the providers', found in the last day by reconcile.",
        ("kind",),
        {
            **{(kind,): 0 for kind in KINDS},
            **{(kind,): n for (name, kind), n in counted.items() if name == BOOKS_DIFFERED},
        },
    )
    parked = fetch_rows("SELECT parked, count(*), min(created_at) FROM invoices_payment WHERE parked <> '' GROUP BY 1")
    now, reasons = clock.now(), [reason.value for reason in Payment.Parked]
    all_parked = changelist_url("invoices_payment", parked__isempty=0)
    links = {(r,): changelist_url("invoices_payment", parked__exact=r) for r in reasons}
    yield Gauge(
        "payments_parked",
        "Payments that cannot open an invoice yet, by what is missing.",
        ("reason",),
        {**{(r,): 0 for r in reasons}, **{(reason,): count for reason, count, _ in parked}},
        all_parked,
        links,
    )
    yield Gauge(
        "payments_parked_seconds",
        "Age of the oldest payment that cannot open an invoice yet, by what is missing.",
        ("reason",),
        {(r,): 0 for r in reasons} | {(reason,): (now - since).total_seconds() for reason, _, since in parked},
        all_parked,
        links,
    )
    for name, worklist, help in (
        ("corrections_owed", "correction", "Issued invoices that were refunded and need a correction."),
        ("files_missing", "files", "Issued invoices whose PDF and XML have not been fetched yet."),
        ("issue_limit_near", "limit", "Overdue invoices whose issue limit is within the hour."),
    ):
        yield scalar_gauge(
            name,
            help,
            Invoice.objects.filter(worklist_condition(worklist)).count(),
            changelist_url(LIST, worklist=worklist),
        )
    since = fetch_rows("SELECT min(issued_at) FROM invoices_invoice WHERE files_due IS NOT NULL")[0][0]
    age = (clock.now() - since).total_seconds() if since else 0
    yield scalar_gauge(
        "files_oldest_seconds", "Age of the oldest missing file.", age, changelist_url(LIST, worklist="files")
    )


def _law() -> Iterable[Gauge]:
    today = clock.today_vn()
    now, following = None, None
    for rules in LegalRules.objects.order_by("effective_from"):
        if rules.effective_from <= today:
            now = rules
        elif now and not following and rules.vat_rates != now.vat_rates:
            following = rules
    days = {(following.effective_from.isoformat(),): (following.effective_from - today).days} if following else {}
    yield Gauge(
        "vat_rates_change_days",
        "Days until the legal VAT rates change; absent if no change is known.",
        ("from",),
        days,
        changelist_url("invoices_legalrules"),
    )


def _audit() -> Iterable[Gauge]:
    verifications = list(AuditVerification.objects.order_by("-started_at")[:2])
    running = [v for v in verifications[:1] if not v.ended_at]
    ended = [v for v in verifications if v.ended_at][:1]
    link = changelist_url("invoices_auditverification")
    broken = max((v.broken for v in running + ended), default=0)
    yield scalar_gauge(
        "audit_broken", "Invoices whose audit was changed or damaged, as of the last verification.", broken, link
    )
    age = (clock.now() - ended[0].started_at).total_seconds() if ended else 0
    yield scalar_gauge(
        "audit_verified_seconds", "Time since the last complete verification of the audit began.", age, link
    )


# Histogram bounds: every second bucket of the counters, so that they are powers of two.
TIME_TO_ISSUE_BOUNDS = range(-4, 36, 2)  # 0.25 s to 36 h
CALL_BOUNDS = range(-12, 14, 2)  # 16 ms to 64 s

ERRORS = ("refused", "unavailable", "uncertain")
CALL_OUTCOMES = {"send": ("issued", "submitted", *ERRORS), "look_up": ("found", "not_found", *ERRORS)}


def counters(totals: Totals) -> Iterable[Metric]:
    sources = [("webhook:internal",), ("webhook:merchant",), ("api",), ("sweep",)]
    opened: dict[tuple[str, ...], float] = {(":".join(key),): n for key, n in counts_by_label(totals, OPENED).items()}
    yield counter_family("invoices_opened", "Invoices opened, by source.", ["by"], opened, sources)
    ended: dict[tuple[str, ...], float] = {(s.value,): sum(counts_by_label(totals, s).values()) for s in COUNTED_ENDS}
    yield counter_family(
        "invoices_ended",
        "Invoices that ended, by state. One that failed and was replayed counts twice.",
        ["state"],
        ended,
    )
    yield counter_family(
        "invoices_failures",
        "Invoices that failed, by reason.",
        ["reason"],
        counts_by_label(totals, State.FAILED),
        [(reason.value,) for reason in Reason],
    )
    uncertain = sum(counts_by_label(totals, State.UNCERTAIN).values())
    yield counter_family("invoices_uncertain", "Sends whose outcome is unknown.", [], {(): uncertain})
    retries = sum(counts_by_label(totals, RETRY).values())
    yield counter_family("issuance_retries", "Sends that will be retried.", [], {(): retries})
    yield from _calls(totals)
    yield histogram_family(
        "invoices_time_to_issue_seconds",
        "Time from payment to legal number, claim window included.",
        [],
        {(): {int(at): count for (at,), count in counts_by_label(totals, State.ISSUED).items() if at}},
        TIME_TO_ISSUE_BOUNDS,
        BUCKET_STEP,
    )


def _calls(totals: Totals) -> Iterable[Metric]:
    calls = counts_by_label(totals, PROVIDER_CALL)  # provider, kind, outcome, bucket
    every = [(p, kind, outcome) for p in PROVIDERS for kind, outcomes in CALL_OUTCOMES.items() for outcome in outcomes]
    yield counter_family(
        "provider_calls",
        "Calls to providers: sends and look-ups, by outcome.",
        ["provider", "kind", "outcome"],
        sum_by_parts(calls, 0, 1, 2),
        every,
    )
    seconds: dict[tuple[str, ...], dict[int, int]] = {(p, kind): {} for p in PROVIDERS for kind in CALL_OUTCOMES}
    for (provider, kind, at), count in sum_by_parts(calls, 0, 1, 3).items():
        seconds.setdefault((provider, kind), {})[int(at)] = count
    yield histogram_family(
        "provider_call_seconds",
        "Duration of calls to providers.",
        ["provider", "kind"],
        seconds,
        CALL_BOUNDS,
        BUCKET_STEP,
    )
