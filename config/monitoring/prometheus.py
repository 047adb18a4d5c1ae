"""The list of alerts as others read it: Prometheus' rules, and the runbook's section for people."""

from collections.abc import Iterable, Mapping

import yaml

from config.monitoring.alerts import Alert
from config.monitoring.gauges import Figure

WRITTEN = "Written from config/monitoring/alerts.py by `manage.py alerts --write`: change it there."
OPENS, CLOSES = "<!-- alerts -->\n", "<!-- /alerts -->"


def expression(alert: Alert, figures: Mapping[str, Figure]) -> str:
    """The condition in PromQL. Every process tells the same figures from one database: they count once."""
    figure = _once(figures[alert.figure], alert.only)
    if alert.fold == "absent":
        return f"absent({_metric(alert.figure)})"
    sides = "<=" if alert.fold == "min" else ">="
    if not alert.per:
        return f"{alert.fold}({figure}) {sides} {alert.threshold:g}"
    whole = _once(figures[alert.per], {})
    return f"sum({figure}) / sum({whole}) >= {alert.threshold:g} and sum({figure}) >= {alert.least:g}"


def rules(alerts: Iterable[Alert], figures: Mapping[str, Figure]) -> str:
    told = [
        {
            "alert": alert.name,
            "expr": expression(alert, figures),
            **({"for": f"{alert.minutes}m"} if alert.minutes else {}),
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
    groups = {"groups": [{"name": "hoadon", "interval": "30s", "rules": told}]}
    return f"# {WRITTEN}\n" + yaml.safe_dump(groups, sort_keys=False, allow_unicode=True, width=120)


def trigger(alert: Alert) -> str:
    """The condition in words."""
    if alert.fold == "absent":
        told = f"no `{_metric(alert.figure)}`"
    else:
        only = "".join(f", {label} {' or '.join(values)}," for label, values in alert.only.items())
        limit = f"{alert.threshold:g} or {'less' if alert.fold == 'min' else 'more'}"
        told = f"the {alert.fold} of `{_metric(alert.figure)}`{only} is {limit}"
        if alert.per:
            told += f" of `{_metric(alert.per)}`, and {alert.least:g} or more"
    return told + (f", for {alert.minutes} minutes (with Prometheus)" if alert.minutes else "")


def runbook(alerts: Iterable[Alert]) -> str:
    return "".join(
        f"### {alert.name}\n\n{alert.summary}\n\n"
        f"* **Trigger** {trigger(alert)}\n"
        f"* **Check** {alert.check}\n* **Fix** {alert.fix}\n* **Escalate** to {alert.escalate}\n\n"
        for alert in alerts
    )


def within(page: str, section: str) -> str:
    """A page with its written section renewed. Raises ValueError where it has none."""
    before, _, rest = page.partition(OPENS)
    _, found, after = rest.partition(CLOSES)
    if not found:
        raise ValueError(f"The page has no section between {OPENS.strip()} and {CLOSES}")
    return f"{before}{OPENS}\n{section}{CLOSES}{after}"


def _metric(name: str) -> str:
    return f"hoadon_{name}"


def _once(figure: Figure, only: Mapping[str, tuple[str, ...]]) -> str:
    chosen = ", ".join(f'{label}=~"{"|".join(values)}"' for label, values in only.items())
    by = f" by ({', '.join(figure.labels)})" if figure.labels else ""
    return f"max{by} ({_metric(figure.name)}{f'{{{chosen}}}' if chosen else ''})"
