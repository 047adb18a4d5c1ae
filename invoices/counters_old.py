"""What Prometheus counts of invoices: opened, ended, tried again, in doubt; calls to providers; payment to number."""

from collections.abc import Iterable

from prometheus_client.core import Metric

from config.monitoring.metrics import Totals, counter, histogram, labelled, summed
from invoices.counters import CALL, COUNTED, OPENED, RETRY, STEP
from invoices.lifecycle import Reason, State
from invoices.providers import PROVIDERS

# Every second bucket of the tallies, so that bounds are powers of two.
TO_ISSUE = range(-4, 36, 2)  # 0.25 s to 36 h
A_CALL = range(-12, 14, 2)  # 16 ms to 64 s
SEND, ASK = ("issued", "submitted"), ("found", "not_found")
FAULTS = ("refused", "unavailable", "uncertain")


def read(totals: Totals) -> Iterable[Metric]:
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
