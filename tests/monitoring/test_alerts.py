"""Every alert fires for its real cause and clears afterwards, and the generated files match the list."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as configured
from django.core.management import call_command, get_commands
from django.test import Client

from config.monitoring import gauges
from config.monitoring.alerts import ALERTS, RUNBOOK, Alert
from config.monitoring.gauges import Gauge
from config.monitoring.metrics import gauge_family
from config.monitoring.prometheus import render_rules, render_runbook, replace_section
from invoices.dev.simulator import Simulator
from tests.monitoring.alert_causes import CAUSES, without_a_database

pytestmark = pytest.mark.django_db
DASHBOARD = configured.ROOT / "deploy" / "grafana" / "hoadon.json"
RULES = configured.ROOT / "deploy" / "prometheus" / "rules.yaml"
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
DOWN = ALERTS[0]


def once() -> tuple[int, str]:
    """Exit code and output of `manage.py alerts --once`."""
    out, code = StringIO(), 0
    try:
        call_command("alerts", once=True, stdout=out)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    return code, out.getvalue()


def firing(output: str) -> list[str]:
    return re.findall(r"^FIRES  (\w+):", output, re.MULTILINE)


# --- Fire and clear ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS[1:], ids=lambda alert: alert.name)
def test_an_alert_fires_for_its_cause_and_clears_afterwards(
    alert: Alert, provider: Simulator, short_delays: None
) -> None:
    assert once() == (0, "No alert fires.\n")
    scenario = CAUSES[alert.name](provider)
    next(scenario)
    code, output = once()
    assert code == 1 and alert.name in firing(output), output
    for text in (alert.summary, alert.check, alert.fix, f"Escalate to: {alert.escalate}", f"Runbook: {alert.anchor}"):
        assert text in output
    next(scenario)
    assert alert.name not in firing(once()[1])
    scenario.close()


def test_a_database_that_is_down_fires_the_first_alert() -> None:
    done = without_a_database()
    assert (done.returncode, firing(done.stdout)) == (1, [DOWN.name]), done.stdout + done.stderr
    assert DOWN.fix in done.stdout
    assert not DOWN.fires(gauges.collect_gauges())


def test_a_few_failures_among_many_invoices_are_not_a_spike() -> None:
    spike = next(alert for alert in ALERTS if alert.name == "IssuanceFailuresSpike")
    calm = gauges.collect_gauges()

    def fires(failed: int, issued: int) -> bool:
        changed = {"invoices_failed_recently": {("refused",): failed}}
        changed["invoices_ended_recently"] = {("FAILED",): failed, ("ISSUED",): issued}
        return spike.fires(calm | {name: replace(calm[name], values=values) for name, values in changed.items()})

    assert (fires(9, 0), fires(10, 190), fires(10, 191), fires(100, 5000)) == (False, True, False, False)
    assert not spike.fires(calm)


def test_without_once_all_alerts_are_listed() -> None:
    out = StringIO()
    call_command("alerts", stdout=out)
    assert re.findall(r"^quiet  (\w+):", out.getvalue(), re.MULTILINE) == [alert.name for alert in ALERTS]


# --- The list ---------------------------------------------------------------------------------------------------------


@each_alert
def test_an_alert_names_only_commands_that_exist(alert: Alert) -> None:
    assert alert.name in CAUSES
    for text in (alert.summary, alert.check, alert.fix):
        assert text.endswith((".", "?")), text
        for command in re.findall(r"manage\.py (\w+)", text):
            assert command in get_commands()
    assert re.search(rf"^### {alert.name}$", (configured.ROOT / RUNBOOK).read_text(), re.MULTILINE)


@each_alert
def test_the_gauge_and_the_labels_of_an_alert_exist(alert: Alert) -> None:
    collected = gauges.collect_gauges()
    gauge = collected[alert.gauge]
    assert set(alert.labels) <= set(gauge.labels)
    for label, values in alert.labels.items():
        known = {labels[gauge.labels.index(label)] for labels in gauge.values}
        assert label != "reason" or set(values) <= known  # a misspelled reason would never fire
    assert not alert.per or alert.per in collected


# --- Generated files --------------------------------------------------------------------------------------------------


def test_the_generated_files_are_up_to_date() -> None:
    collected, page = gauges.collect_gauges(), (configured.ROOT / RUNBOOK).read_text()
    assert RULES.read_text() == render_rules(ALERTS, collected), "run manage.py alerts --write"
    assert page == replace_section(page, render_runbook(ALERTS)), "run manage.py alerts --write"


def test_rules_and_dashboard_name_only_exported_metrics_and_the_dashboard_shows_all_of_them(client: Client) -> None:
    exported = client.get("/metrics").text
    samples = set(re.findall(r"^(hoadon_\w+)", exported, re.MULTILINE))
    rule_names, panel_names = ({*re.findall(r"hoadon_\w+", text.read_text())} for text in (RULES, DASHBOARD))
    assert len(samples) > 50 and rule_names | panel_names <= samples
    families = re.findall(r"^# TYPE (\w+)", exported, re.MULTILINE)
    assert set(families) == {name.removesuffix("_bucket") for name in panel_names}


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    cells = [(p["x"] + i, p["y"] + j) for p in places for i in range(p["w"]) for j in range(p["h"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23


def test_every_rule_has_its_alert_s_escalation_and_runbook() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for alert, rule in zip(ALERTS, group["rules"], strict=True):
        assert (rule["alert"], rule["labels"]["escalate"]) == (alert.name, alert.escalate)
        assert rule["annotations"]["runbook"] == alert.anchor


# --- Prometheus evaluates alike ---------------------------------------------------------------------------------------


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not installed (Debian: apt install prometheus): the rules are not checked with it")
    return found


def test_promtool_accepts_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(ALERTS)} rules found" in done.stdout, done.stdout + done.stderr


def test_promtool_accepts_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    recorded = [{"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(queries)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0 and len(queries) > 40, done.stdout + done.stderr


def test_prometheus_fires_the_same_alerts_however_many_processes_it_scrapes(promtool: str, tmp_path: Path) -> None:
    calm = gauges.collect_gauges()
    reached, missed = at_limits(calm, max, over), at_limits(calm, min, under)
    down = {name: gauge for name, gauge in reached.items() if name != DOWN.gauge}
    worlds = {"calm": calm, "reached": reached, "missed": missed, "down": down}
    fired = {name: [alert.name for alert in ALERTS if alert.fires(world)] for name, world in worlds.items()}
    names = [alert.name for alert in ALERTS]
    assert fired == {"calm": [], "reached": names[1:], "missed": [], "down": names}
    spec = tmp_path / "rules_test.yaml"
    cases = [promtool_case(world, fired[name]) for name, world in worlds.items()]
    spec.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    done = subprocess.run([promtool, "test", "rules", str(spec)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def at_limits(calm: dict[str, Gauge], choose: Any, values: Any) -> dict[str, Gauge]:
    """The calm gauges, with `values` for every alert. Where two alerts read one value, `choose` picks one of both."""
    changed = dict(calm)
    for alert in ALERTS[1:]:
        new, old = values(alert, changed[alert.gauge]), changed[alert.gauge].values
        both = {labels: choose(value, old[labels]) if old.get(labels) else value for labels, value in new.items()}
        changed[alert.gauge] = replace(changed[alert.gauge], values={**old, **both})
        if alert.per:
            changed[alert.per] = replace(changed[alert.per], values={("ISSUED",): sum(new.values()) / alert.threshold})
    return changed


def over(alert: Alert, gauge: Gauge) -> dict[tuple[str, ...], float]:
    """Values at which the alert just fires, in two label combinations if it sums them."""
    combinations = [tuple(alert.labels.get(label, ("x", "y"))[at] for label in gauge.labels) for at in (0, -1)]
    limit = alert.minimum or alert.threshold
    if alert.aggregate == "sum" and combinations[0] != combinations[1]:
        return dict.fromkeys(combinations, limit / 2)
    return dict.fromkeys(combinations, limit)


def under(alert: Alert, gauge: Gauge) -> dict[tuple[str, ...], float]:
    factor = 1.1 if alert.aggregate == "min" else 0.9
    return {labels: value * factor for labels, value in over(alert, gauge).items()}


def promtool_case(world: dict[str, Gauge], firing: list[str]) -> dict[str, Any]:
    """15 minutes of gauges from two processes, and the alerts that must fire at their end."""
    used = {alert.gauge for alert in ALERTS} | {alert.per for alert in ALERTS}
    series = [
        {"series": series_of(sample.name, {**sample.labels, "instance": process}), "values": f"{sample.value:g}x15"}
        for name, gauge in world.items()
        if name in used
        for sample in gauge_family(gauge).samples
        for process in ("a", "b")
    ]
    expression = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing]
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": expression, "eval_time": "15m", "exp_samples": expected}],
    }


def series_of(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in labels.items())}}}"
