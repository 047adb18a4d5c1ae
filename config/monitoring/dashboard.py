"""The Grafana dashboard, written from this list by `manage.py alerts --write`.

Every process tells the same numbers from one database: over instances everything is folded by `max`.
"""

import json
from dataclasses import dataclass
from typing import Any

WIDE, HIGH, GRID = 8, 7, 24  # of a panel, of the whole


@dataclass(frozen=True, slots=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    alarming: float | None = None  # from here on it is red; a panel of one number


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _legend(labels: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def gauge(name: str, *by: str, legend: str = "") -> Query:
    return Query(f"max{_by(by)} (hoadon_{name})", legend or _legend(by) or name)


def rate(name: str, *by: str) -> Query:
    """A counter, a minute."""
    return Query(f"max{_by(by)} (rate(hoadon_{name}_total[5m])) * 60", _legend(by) or name)


def within(name: str, share: float, *by: str) -> Query:
    """The seconds within which a share of a histogram lies."""
    buckets = f"max{_by(('le', *by))} (rate(hoadon_{name}_bucket[5m]))"
    return Query(f"histogram_quantile({share:g}, {buckets})", f"p{share * 100:g} {_legend(by)}".strip())


def figure(title: str, query: Query, *, alarming: float, unit: str = "short") -> Panel:
    return Panel(title, (query,), unit, alarming)


def graph(title: str, *queries: Query, unit: str = "short") -> Panel:
    return Panel(title, queries, unit)


ROWS: list[tuple[str, list[Panel]]] = [
    (
        "Is anything wrong?",
        [
            graph(
                "Alerts that fire",
                Query('max by (alertname) (ALERTS{service="hoadon", alertstate="firing"})', "{{alertname}}"),
            ),
            graph(
                "PostgreSQL tells",
                gauge("up", legend="up"),
                gauge("worker_id", "worker_id", legend="worker id {{worker_id}}"),
            ),
            graph("Dead letters", gauge("invoices_failed", "reason")),
            figure("Held up, near the issue limit", gauge("issue_limit_near"), alarming=1),
            figure("Two payments, two sums (a day)", gauge("payments_disagreeing"), alarming=1),
            figure("Broken audits", gauge("audit_broken"), alarming=1),
            graph("Books that differ (a day)", gauge("books_differing", "kind")),
        ],
    ),
    (
        "Orders and invoices",
        [
            graph("Events a minute", rate("events_accepted", "route", "outcome")),
            graph("Opened a minute", rate("invoices_opened", "by")),
            graph("Claims a minute", rate("claims", "kind")),
            graph("Ended a minute", rate("invoices_ended", "state")),
            graph("Failures a minute", rate("invoices_failures", "reason")),
            graph(
                "Failed and ended, the last quarter of an hour",
                gauge("invoices_failed_recently", "reason"),
                gauge("invoices_ended_recently", "outcome"),
            ),
            graph(
                "From payment to number",
                within("invoices_time_to_issue_seconds", 0.5),
                within("invoices_time_to_issue_seconds", 0.95),
                unit="s",
            ),
            graph("From payment to number, today", gauge("paid_to_issued_seconds", "quantile"), unit="s"),
            graph("Ended today", gauge("invoices_ended_today", "outcome")),
        ],
    ),
    (
        "Work",
        [
            graph("Open", gauge("invoices_open", "state", "partition")),
            graph("How late the oldest is", gauge("invoices_oldest_seconds", "state", "partition"), unit="s"),
            graph("Retries and doubts a minute", rate("issuance_retries"), rate("invoices_uncertain")),
            graph("Claims open, and closing soon", gauge("claims_open"), gauge("claims_closing")),
            graph("Parked payments", gauge("payments_parked", "reason")),
            graph("Corrections owed, files missing", gauge("corrections_owed"), gauge("files_missing")),
            graph(
                "Oldest missing file and parked payment, last audit verified",
                gauge("files_oldest_seconds"),
                gauge("payments_parked_seconds", "reason", legend="parked {{reason}}"),
                gauge("audit_verified_seconds"),
                unit="s",
            ),
            graph("Held by operators", gauge("partitions_paused"), gauge("accounts_paused", "provider")),
        ],
    ),
    (
        "Providers",
        [
            graph("Calls a minute", rate("provider_calls", "provider", "kind", "outcome")),
            graph(
                "How long calls take",
                within("provider_call_seconds", 0.5, "provider", "kind"),
                within("provider_call_seconds", 0.95, "provider", "kind"),
                unit="s",
            ),
            figure("Accounts parked", gauge("accounts_parked", "provider"), alarming=1),
            graph(
                "Certificates and numbers that end",
                gauge("certificates_ending", "provider", legend="certificates {{provider}}"),
                gauge("accounts_short", "provider", legend="numbers {{provider}}"),
            ),
            graph(
                "Days until a certificate ends, or VAT rates change",
                gauge("certificate_days_left"),
                gauge("vat_rates_change_days", "from", legend="VAT rates of {{from}}"),
                unit="d",
            ),
            graph("Fewest numbers left", gauge("numbers_left")),
        ],
    ),
    (
        "Merchants and callers",
        [
            graph("Kafka: messages to come", gauge("consumer_lag", "topic")),
            graph("Kafka: since the consumer told", gauge("consumer_silent_seconds", "topic"), unit="s"),
            figure("Messages in quarantine", gauge("quarantined"), alarming=1),
            graph("Tax data: drift, unusable", gauge("tax_drift"), gauge("tax_problems")),
            graph(
                "Callers' tokens can be judged for",
                Query("min (hoadon_identity_keys_seconds_left)", "seconds"),
                unit="s",
            ),
        ],
    ),
    (
        "Webhooks",
        [
            graph("Turned away a minute", rate("webhook_rejects", "route", "reason")),
            graph("Turned away in an hour", gauge("webhooks_rejected", "route", "reason")),
            graph("Not acted on", gauge("webhooks_not_applied", "status", "type")),
            graph("Deliveries that wait, and dead ones", gauge("deliveries_pending"), gauge("deliveries_dead")),
            graph("How late the oldest delivery is", gauge("deliveries_oldest_seconds"), unit="s"),
            graph("Endpoints", gauge("endpoints_disabled"), gauge("endpoints_failing"), gauge("endpoints_given_up")),
        ],
    ),
]


def dashboard() -> str:
    """As JSON for Grafana 10 and later; it asks for its data source when it is imported."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(_placed({"type": "row", "title": title, "collapsed": False}, 0, y, GRID, 1, len(panels)))
        y += 1
        for at, panel in enumerate(row):
            x = at * WIDE % GRID
            panels.append(_placed(_drawn(panel), x, y + at * WIDE // GRID * HIGH, WIDE, HIGH, len(panels)))
        y += -(-len(row) * WIDE // GRID) * HIGH
    told = {
        "uid": "hoadon",
        "title": "Hoadon",
        "tags": ["hoadon"],
        "timezone": "Asia/Ho_Chi_Minh",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "schemaVersion": 39,
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _placed(panel: dict[str, Any], x: int, y: int, wide: int, high: int, number: int) -> dict[str, Any]:
    return {"id": number + 1, **panel, "gridPos": {"x": x, "y": y, "w": wide, "h": high}}


def _drawn(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.alarming is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.alarming}]
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": "timeseries" if panel.alarming is None else "stat",
        "title": panel.title,
        "datasource": source,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": query.expr, "legendFormat": query.legend}
            for at, query in enumerate(panel.queries)
        ],
    }
