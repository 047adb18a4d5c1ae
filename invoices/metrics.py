"""The invoices' figures: what is open and how old, what failed, what was done today."""

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from prometheus_client.core import Metric

from config.base import clock
from config.monitoring.counters import count_since
from config.monitoring.gauges import Figure, listed, one, rows
from config.monitoring.metrics import Totals, counter, histogram, labelled, summed
from invoices.counters import CALL, COUNTED, DIFFERED, OPENED, RETRY, STEP, quantile
from invoices.lifecycle import Reason, State
from invoices.models import AuditVerification, Invoice, LegalRules, Partition, Payment
from invoices.opening.conclude import DISAGREED
from invoices.providers import PROVIDERS
from invoices.upkeep.reconcile import KINDS
from invoices.worklists import OPEN as OPEN_STATES
from invoices.worklists import RECENT, condition

DAY = timedelta(days=1)
LIST = "invoices_invoice"

# One scan of each partial index of open work. Since when: the deadline, the turn or the send that is overdue.
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


def gauges() -> Iterable[Figure]:
    yield from _open()
    yield from _failed()
    yield from _today()
    yield from _owed()
    yield from _law()
    yield from _audit()


def _open() -> Iterable[Figure]:
    now = clock.now()
    found = [((state, str(partition)), count, since) for state, partition, count, since in rows(OPEN)]
    by_state = ("state", "partition")
    every = [(state.value, str(partition)) for state in OPEN_STATES for partition in range(settings.PARTITIONS)]
    link = listed(LIST, work="open")
    links = {
        key: listed(LIST, state__exact=key[0], partition=key[1]) for key in (*every, *(key for key, _, _ in found))
    }
    yield Figure(
        "invoices_open",
        "Invoices that are not ended, by state and partition.",
        by_state,
        {key: count for key, count, _ in found},
        link,
        links,
        every,
    )
    yield Figure(
        "invoices_oldest_seconds",
        "How late the oldest open invoice is: past its claim deadline (WAITING) or its turn (QUEUED), since its send.",
        by_state,
        {key: max(0.0, (now - since).total_seconds()) for key, _, since in found if since},
        link,
        links,
        every,
    )
    paused = Partition.objects.filter(paused=True).count()
    yield one(
        "partitions_paused", "Partitions that an operator holds.", paused, listed("invoices_partition", paused__exact=1)
    )


def _failed() -> Iterable[Figure]:
    found = rows("SELECT failure, count(*) FROM invoices_invoice WHERE state = 'FAILED' GROUP BY 1")
    recent = count_since(clock.now() - RECENT, COUNTED)
    ended = {state: sum(n for (name, _), n in recent.items() if name == state) for state in COUNTED}
    reasons = [reason.value for reason in Reason]
    links = {(r,): listed(LIST, state__exact=State.FAILED, failure__exact=r) for r in reasons}
    link = listed(LIST, state__exact=State.FAILED)
    yield Figure(
        "invoices_failed",
        "Dead letters: failed invoices that an operator must look at, by reason.",
        ("reason",),
        {**{(r,): 0 for r in reasons}, **{(reason,): count for reason, count in found}},
        link,
        links,
    )
    yield Figure(
        "invoices_failed_recently",
        "Invoices that failed in the last 15 to 20 minutes, by reason.",
        ("reason",),
        {(r,): recent.get((State.FAILED, r), 0) for r in reasons},
        listed(LIST, work="failed-recently"),
        {(r,): listed(LIST, work="failed-recently", failure__exact=r) for r in reasons},
    )
    yield Figure(
        "invoices_ended_recently",
        "Invoices that ended in the last 15 to 20 minutes, by outcome.",
        ("outcome",),
        {(state.value,): count for state, count in ended.items()},
    )


def _today() -> Iterable[Figure]:
    start = clock.at_vn(clock.today_vn())
    counts = count_since(start, COUNTED)
    ended = {state: sum(n for (name, _), n in counts.items() if name == state) for state in COUNTED}
    yield Figure(
        "invoices_ended_today",
        "Invoices that ended since midnight in Việt Nam, by outcome; one that failed and was replayed counts twice.",
        ("outcome",),
        {(state.value,): count for state, count in ended.items()},
        links={(state.value,): listed(LIST, work=f"{state.value.lower()}-today") for state in COUNTED},
    )
    seconds = {int(label): n for (name, label), n in counts.items() if name == State.ISSUED and label}
    yield Figure(
        "paid_to_issued_seconds",
        "From the payment to the legal number, claim window included, of what was issued since midnight in Việt Nam.",
        ("quantile",),
        {(f"{share}",): quantile(seconds, share) for share in (0.5, 0.95)},
        listed(LIST, work="issued-today"),
    )


def _owed() -> Iterable[Figure]:
    found = count_since(clock.now() - DAY, [DISAGREED, DIFFERED])
    yield one(
        "payments_disagreeing",
        "Orders of which a second payment told other money, in the last day.",
        found.get((DISAGREED, ""), 0),
    )
    yield Figure(
        "books_differing",
        "Differences between our books and the providers', found in the last day by the night's reconcile.",
        ("kind",),
        {**{(kind,): 0 for kind in KINDS}, **{(kind,): n for (name, kind), n in found.items() if name == DIFFERED}},
    )
    parked = rows("SELECT parked, count(*), min(created_at) FROM invoices_payment WHERE parked <> '' GROUP BY 1")
    now, reasons = clock.now(), [reason.value for reason in Payment.Parked]
    all_parked = listed("invoices_payment", parked__isempty=0)
    links = {(r,): listed("invoices_payment", parked__exact=r) for r in reasons}
    yield Figure(
        "payments_parked",
        "Paid sales that cannot open an invoice yet, by what is missing.",
        ("reason",),
        {**{(r,): 0 for r in reasons}, **{(reason,): count for reason, count, _ in parked}},
        all_parked,
        links,
    )
    yield Figure(
        "payments_parked_seconds",
        "How long the oldest paid sale that cannot open an invoice has been here, by what is missing.",
        ("reason",),
        {(r,): 0 for r in reasons} | {(reason,): (now - since).total_seconds() for reason, _, since in parked},
        all_parked,
        links,
    )
    for name, work, help in (
        ("corrections_owed", "correction", "Issued invoices that were refunded and need a correction."),
        ("files_missing", "files", "Issued invoices whose PDF and XML are not here yet."),
        ("issue_limit_near", "limit", "Invoices that should be sent by now and whose limit is within the hour."),
    ):
        yield one(name, help, Invoice.objects.filter(condition(work)).count(), listed(LIST, work=work))
    since = rows("SELECT min(issued_at) FROM invoices_invoice WHERE files_due IS NOT NULL")[0][0]
    age = (clock.now() - since).total_seconds() if since else 0
    yield one("files_oldest_seconds", "How long the oldest missing file has been.", age, listed(LIST, work="files"))


def _law() -> Iterable[Figure]:
    today = clock.today_vn()
    now, following = None, None
    for rules in LegalRules.objects.order_by("effective_from"):
        if rules.effective_from <= today:
            now = rules
        elif now and not following and rules.vat_rates != now.vat_rates:
            following = rules
    days = {(following.effective_from.isoformat(),): (following.effective_from - today).days} if following else {}
    yield Figure(
        "vat_rates_change_days",
        "Days until the law's VAT rates change; none where no change is known.",
        ("from",),
        days,
        listed("invoices_legalrules"),
    )


def _audit() -> Iterable[Figure]:
    rounds = list(AuditVerification.objects.order_by("-started_at")[:2])
    running = [r for r in rounds[:1] if not r.ended_at]
    ended = [r for r in rounds if r.ended_at][:1]
    link = listed("invoices_auditverification")
    broken = max((r.broken for r in running + ended), default=0)
    yield one("audit_broken", "Invoices whose audit is not as it was written, by the last verification.", broken, link)
    age = (clock.now() - ended[0].started_at).total_seconds() if ended else 0
    yield one("audit_verified_seconds", "How long ago the last whole verification of the audit began.", age, link)


# Every second bucket of the tallies, so that bounds are powers of two.
TO_ISSUE = range(-4, 36, 2)  # 0.25 s to 36 h
A_CALL = range(-12, 14, 2)  # 16 ms to 64 s
SEND, ASK = ("issued", "submitted"), ("found", "not_found")
FAULTS = ("refused", "unavailable", "uncertain")


def counters(totals: Totals) -> Iterable[Metric]:
    opened = labelled(totals, OPENED)
    by = [("webhook:internal",), ("webhook:merchant",), ("api",), ("sweep",)]
    yield counter(
        "opened", "Invoices opened, by who told us.", ["by"], {(":".join(key),): n for key, n in opened.items()}, by
    )
    ended: dict[tuple[str, ...], float] = {(state.value,): sum(labelled(totals, state).values()) for state in COUNTED}
    yield counter(
        "ended", "Invoices that ended, by state; one that failed and was replayed counts twice.", ["state"], ended, []
    )
    reasons = [(reason.value,) for reason in Reason]
    yield counter("failures", "Invoices that failed, by reason.", ["reason"], labelled(totals, State.FAILED), reasons)
    doubts = sum(labelled(totals, State.UNCERTAIN).values())
    yield counter("doubts", "Sends of unknown fate: invoices that became UNCERTAIN.", [], {(): doubts})
    yield counter("retries", "Sends that will be tried again.", [], {(): sum(labelled(totals, RETRY).values())})
    yield from _calls(totals)
    waited = {int(at): n for (at,), n in labelled(totals, State.ISSUED).items() if at}
    told = "From the payment to the legal number, claim window included."
    yield histogram("time_to_issue_seconds", told, [], {(): waited}, TO_ISSUE, STEP)


def _calls(totals: Totals) -> Iterable[Metric]:
    calls = labelled(totals, CALL)  # provider, act, outcome, bucket
    kinds = {"send": (*SEND, *FAULTS), "ask": (*ASK, *FAULTS)}
    every = [(provider, act, outcome) for provider in PROVIDERS for act, told in kinds.items() for outcome in told]
    yield counter(
        "provider_calls",
        "Calls to providers: sends and look-ups, by outcome.",
        ["provider", "act", "outcome"],
        summed(calls, 0, 1, 2),
        every,
    )
    seconds: dict[tuple[str, ...], dict[int, int]] = {(provider, act): {} for provider in PROVIDERS for act in kinds}
    for (provider, act, at), count in summed(calls, 0, 1, 3).items():
        seconds.setdefault((provider, act), {})[int(at)] = count
    yield histogram(
        "provider_call_seconds", "How long calls to providers took.", ["provider", "act"], seconds, A_CALL, STEP
    )
