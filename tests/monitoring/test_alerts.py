"""Every alert: made to fire by its real cause, and to clear; and what is written from the list is what it says."""

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
from config.monitoring.dashboard import dashboard
from config.monitoring.gauges import Gauge
from config.monitoring.metrics import gauge_family
from config.monitoring.prometheus import rules, runbook, within
from invoices.dev.simulator import Simulator
from tests.monitoring.alert_causes import CAUSES, without_a_database

pytestmark = pytest.mark.django_db
DASHBOARD = configured.ROOT / "deploy" / "grafana" / "hoadon.json"
RULES = configured.ROOT / "deploy" / "prometheus" / "rules.yaml"
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
SILENT = ALERTS[0]


def once() -> tuple[int, str]:
    """Exit code and output of `manage.py alerts --once`."""
    out, code = StringIO(), 0
    try:
        call_command("alerts", once=True, stdout=out)
    except SystemExit as stopped:
        code = int(str(stopped.code))
    return code, out.getvalue()


def firing(told: str) -> list[str]:
    return re.findall(r"^FIRES  (\w+):", told, re.MULTILINE)


# --- Fire and clear ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS[1:], ids=lambda alert: alert.name)
def test_an_alert_fires_for_its_cause_and_clears_with_it(alert: Alert, provider: Simulator, short_delays: None) -> None:
    assert once() == (0, "No alert fires.\n")
    story = CAUSES[alert.name](provider)
    next(story)
    code, told = once()
    assert code == 1 and alert.name in firing(told), told
    for text in (alert.summary, alert.check, alert.fix, f"Escalate to: {alert.escalate}", f"Runbook: {alert.anchor}"):
        assert text in told
    next(story)
    assert alert.name not in firing(once()[1])
    story.close()


def test_a_database_that_is_down_is_an_alert_too() -> None:
    done = without_a_database()
    assert (done.returncode, firing(done.stdout)) == (1, [SILENT.name]), done.stdout + done.stderr
    assert SILENT.fix in done.stdout
    assert not SILENT.fires(gauges.collect_gauges())


def test_a_few_failures_among_many_invoices_are_no_spike() -> None:
    spike = next(alert for alert in ALERTS if alert.name == "IssuanceFailuresSpike")
    calm = gauges.collect_gauges()

    def told(failed: int, issued: int) -> bool:
        few = {"invoices_failed_recently": {("refused",): failed}}
        few["invoices_ended_recently"] = {("FAILED",): failed, ("ISSUED",): issued}
        return spike.fires(calm | {name: replace(calm[name], values=values) for name, values in few.items()})

    assert (told(9, 0), told(10, 190), told(10, 191), told(100, 5000)) == (False, True, False, False)
    assert not spike.fires(calm)


def test_without_once_every_condition_is_listed_with_how_it_stands() -> None:
    out = StringIO()
    call_command("alerts", stdout=out)
    assert re.findall(r"^quiet  (\w+):", out.getvalue(), re.MULTILINE) == [alert.name for alert in ALERTS]


# --- The list ---------------------------------------------------------------------------------------------------------


@EACH
def test_an_alert_says_what_to_do_with_commands_that_exist(alert: Alert) -> None:
    assert alert.name in CAUSES
    for text in (alert.summary, alert.check, alert.fix):
        assert text.endswith((".", "?")), text
        for command in re.findall(r"manage\.py (\w+)", text):
            assert command in get_commands()
    assert re.search(rf"^### {alert.name}$", (configured.ROOT / RUNBOOK).read_text(), re.MULTILINE)


@EACH
def test_an_alert_judges_a_figure_that_exists_by_labels_that_it_has(alert: Alert) -> None:
    told = gauges.collect_gauges()
    figure = told[alert.figure]
    assert set(alert.only) <= set(figure.labels)
    for label, values in alert.only.items():
        known = {labels[figure.labels.index(label)] for labels in figure.values}
        assert label != "reason" or set(values) <= known  # a misspelled reason would never fire
    assert not alert.per or alert.per in told


# --- What is written from it ------------------------------------------------------------------------------------------


def test_what_is_committed_is_what_the_lists_say() -> None:
    told, page = gauges.collect_gauges(), (configured.ROOT / RUNBOOK).read_text()
    assert RULES.read_text() == rules(ALERTS, told), "it drifted; write it anew: manage.py alerts --write"
    assert DASHBOARD.read_text() == dashboard(), "it drifted; write it anew: manage.py alerts --write"
    assert page == within(page, runbook(ALERTS)), "it drifted; write it anew: manage.py alerts --write"


def test_a_scrape_tells_every_metric_that_rules_and_dashboard_name_and_the_dashboard_shows_all(client: Client) -> None:
    told = client.get("/metrics").text
    samples = set(re.findall(r"^(hoadon_\w+)", told, re.MULTILINE))
    rule_names, panel_names = ({*re.findall(r"hoadon_\w+", text.read_text())} for text in (RULES, DASHBOARD))
    assert len(samples) > 50 and rule_names | panel_names <= samples
    families = re.findall(r"^# TYPE (\w+)", told, re.MULTILINE)
    assert set(families) == {name.removesuffix("_bucket") for name in panel_names}


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(DASHBOARD.read_text())["panels"]]
    cells = [(p["x"] + i, p["y"] + j) for p in places for i in range(p["w"]) for j in range(p["h"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) == 23


def test_every_rule_carries_what_the_list_says() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for alert, rule in zip(ALERTS, group["rules"], strict=True):
        assert (rule["alert"], rule["labels"]["escalate"]) == (alert.name, alert.escalate)
        assert rule["annotations"]["runbook"] == alert.anchor


# --- Prometheus agrees ------------------------------------------------------------------------------------------------


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not installed (Debian: apt install prometheus): the rules are not tried with it")
    return found


def test_promtool_takes_the_rules(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0 and f"{len(ALERTS)} rules found" in done.stdout, done.stdout + done.stderr


def test_promtool_reads_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    recorded = [{"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(queries)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0 and len(queries) > 40, done.stdout + done.stderr


def test_prometheus_fires_where_we_do_however_many_processes_tell(promtool: str, tmp_path: Path) -> None:
    calm = gauges.collect_gauges()
    just, not_quite = world(calm, max, over), world(calm, min, under)
    silent = {name: figure for name, figure in just.items() if name != SILENT.figure}
    worlds = {"calm": calm, "just": just, "not quite": not_quite, "silent": silent}
    said = {name: [alert.name for alert in ALERTS if alert.fires(told)] for name, told in worlds.items()}
    names = [alert.name for alert in ALERTS]
    assert said == {"calm": [], "just": names[1:], "not quite": [], "silent": names}
    spec = tmp_path / "rules_test.yaml"
    cases = [case(told, said[name]) for name, told in worlds.items()]
    spec.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases}))
    done = subprocess.run([promtool, "test", "rules", str(spec)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def world(calm: dict[str, Gauge], which: Any, values: Any) -> dict[str, Gauge]:
    """The calm figures, with those that the alerts judge changed. Where two judge the same value: `which` of both."""
    told = dict(calm)
    for alert in ALERTS[1:]:
        new, old = values(alert, told[alert.figure]), told[alert.figure].values
        both = {labels: which(value, old[labels]) if old.get(labels) else value for labels, value in new.items()}
        told[alert.figure] = replace(told[alert.figure], values={**old, **both})
        if alert.per:
            told[alert.per] = replace(told[alert.per], values={("ISSUED",): sum(new.values()) / alert.threshold})
    return told


def over(alert: Alert, figure: Gauge) -> dict[tuple[str, ...], float]:
    """Values at which the alert just fires, in two of its label combinations where it adds up."""
    combinations = [tuple(alert.only.get(label, ("x", "y"))[at] for label in figure.labels) for at in (0, -1)]
    limit = alert.least or alert.threshold
    if alert.fold == "sum" and combinations[0] != combinations[1]:
        return dict.fromkeys(combinations, limit / 2)
    return dict.fromkeys(combinations, limit)


def under(alert: Alert, figure: Gauge) -> dict[tuple[str, ...], float]:
    by = 1.1 if alert.fold == "min" else 0.9
    return {labels: value * by for labels, value in over(alert, figure).items()}


def case(told: dict[str, Gauge], firing: list[str]) -> dict[str, Any]:
    """A quarter of an hour of figures from two processes, and which alerts we say fire at its end."""
    judged = {alert.figure for alert in ALERTS} | {alert.per for alert in ALERTS}
    series = [
        {"series": series_of(sample.name, {**sample.labels, "instance": process}), "values": f"{sample.value:g}x15"}
        for name, figure in told.items()
        if name in judged
        for sample in gauge_family(figure).samples
        for process in ("a", "b")
    ]
    ask = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing]
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": ask, "eval_time": "15m", "exp_samples": expected}],
    }


def series_of(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{', '.join(f'{label}={json.dumps(value)}' for label, value in labels.items())}}}"
