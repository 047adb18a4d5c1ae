"""The alerts in other forms: Prometheus' rules and the runbook's section."""

from collections.abc import Iterable, Mapping

import yaml

from config.monitoring.alerts import Alert
from config.monitoring.gauges import Gauge

HEADER = "Generated from config/monitoring/alerts.py by `manage.py alerts --write`. Do not edit."
SECTION_START, SECTION_END = "<!-- alerts -->\n", "<!-- /alerts -->"


def promql(alert: Alert, gauges: Mapping[str, Gauge]) -> str:
    """The condition in PromQL. Every process exports the same gauges from one database, so each counts once."""
    if alert.aggregate == "absent":
        return f"absent({_metric(alert.gauge)})"
    gauge = _deduplicated(gauges[alert.gauge], alert.labels)
    if not alert.per:
        comparison = "<=" if alert.aggregate == "min" else ">="
        return f"{alert.aggregate}({gauge}) {comparison} {alert.threshold:g}"
    whole = _deduplicated(gauges[alert.per], {})
    return f"sum({gauge}) / sum({whole}) >= {alert.threshold:g} and sum({gauge}) >= {alert.minimum:g}"


def render_rules(alerts: Iterable[Alert], gauges: Mapping[str, Gauge]) -> str:
    """The content of deploy/prometheus/rules.yaml."""
    rules = [
        {
            "alert": alert.name,
            "expr": promql(alert, gauges),
            **({"for": f"{alert.for_minutes}m"} if alert.for_minutes else {}),
            "labels": {"service": "hoadon", "escalate": alert.escalate},
            "annotations": {
                "summary": alert.summary,
                "value": "{{ $value }}",
                "check": alert.check,
                "fix": alert.fix,
                "runbook": alert.anchor,
            },
        }
        for alert in alerts
    ]
    groups = {"groups": [{"name": "hoadon", "interval": "30s", "rules": rules}]}
    return f"# {HEADER}\n" + yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=120)


def describe_trigger(alert: Alert) -> str:
    """The condition in words."""
    metric = f"`{_metric(alert.gauge)}`"
    duration = f" for {alert.for_minutes} minutes (with Prometheus)" if alert.for_minutes else ""
    if alert.aggregate == "absent":
        return f"{metric} is absent{duration}"
    where = ", ".join(f"{label} {' or '.join(values)}" for label, values in alert.labels.items())
    value = f"the {alert.aggregate} of {metric}" + (f" ({where})" if where else "")
    if alert.per:
        return (
            f"{value} is {alert.threshold:g} or more of `{_metric(alert.per)}`, and {alert.minimum:g} or more{duration}"
        )
    return f"{value} is {alert.threshold:g} or {'less' if alert.aggregate == 'min' else 'more'}{duration}"


def render_runbook(alerts: Iterable[Alert]) -> str:
    """The alerts' section of the runbook, in Markdown."""
    return "".join(
        f"### {alert.name}\n\n{alert.summary}\n\n"
        f"* **Trigger** {describe_trigger(alert)}\n"
        f"* **Check** {alert.check}\n* **Fix** {alert.fix}\n* **Escalate** to {alert.escalate}\n\n"
        for alert in alerts
    )


def replace_section(page: str, section: str) -> str:
    """The page with a new section between the two markers. Raises ValueError if it has no markers."""
    before, _, rest = page.partition(SECTION_START)
    _, end, after = rest.partition(SECTION_END)
    if not end:
        raise ValueError(f"The page has no section between {SECTION_START.strip()} and {SECTION_END}")
    return f"{before}{SECTION_START}\n{section}{SECTION_END}{after}"


def _metric(name: str) -> str:
    return f"hoadon_{name}"


def _deduplicated(gauge: Gauge, labels: Mapping[str, tuple[str, ...]]) -> str:
    selector = ", ".join(f'{label}=~"{"|".join(values)}"' for label, values in labels.items())
    by = f" by ({', '.join(gauge.labels)})" if gauge.labels else ""
    return f"max{by} ({_metric(gauge.name)}{f'{{{selector}}}' if selector else ''})"
