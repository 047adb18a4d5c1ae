"""`manage.py alerts [--once | --write]`: the alerts that fire, and how to fix them. Works without Prometheus."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError

from config.monitoring import gauges
from config.monitoring.alerts import ALERTS, RUNBOOK, Alert
from config.monitoring.gauges import Gauge
from config.monitoring.prometheus import render_rules, render_runbook, replace_section


class Command(BaseCommand):
    help = "List all alerts and their values. --once: list only those that fire, with what to do; exit 1 if any does."
    requires_system_checks = ()  # a database that is down is an alert too

    def add_arguments(self, parser: ArgumentParser) -> None:
        mode = parser.add_mutually_exclusive_group()
        mode.add_argument("--once", action="store_true", help="only alerts that fire; exit 1 if any does")
        mode.add_argument("--write", action="store_true", help="regenerate the files in deploy/ and the runbook")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["write"]:
            return write()
        try:
            collected: Mapping[str, Gauge] = gauges.collect_gauges()
        except (OperationalError, InterfaceError):
            collected = {}
        firing = [alert for alert in ALERTS if alert.fires(collected)] if collected else ALERTS[:1]
        for alert in firing if options["once"] else ALERTS:
            self._print(alert, collected, fires=alert in firing)
        if not options["once"]:
            return None
        if firing:
            raise SystemExit(1)
        self.stdout.write("No alert fires.")
        return None

    def _print(self, alert: Alert, collected: Mapping[str, Gauge], *, fires: bool) -> None:
        value = alert.value(collected) if alert.gauge in collected or alert.aggregate == "absent" else None
        text = "–" if value is None else f"{value:g}"
        self.stdout.write(f"{'FIRES' if fires else 'quiet'}  {alert.name}: {text} (threshold {alert.threshold:g})")
        if fires:
            link = collected[alert.gauge].link if alert.gauge in collected else ""
            self.stdout.write(f"  {alert.summary}\n  Check: {alert.check}\n  Fix: {alert.fix}")
            self.stdout.write(f"  Escalate to: {alert.escalate}\n  Runbook: {alert.anchor}")
            if link:
                self.stdout.write(f"  Console: {settings.PUBLIC_URL}{link}")


def write() -> None:
    """Write Prometheus' rules and the runbook's section."""
    page = settings.ROOT / RUNBOOK
    (settings.ROOT / "deploy" / "prometheus" / "rules.yaml").write_text(render_rules(ALERTS, gauges.collect_gauges()))
    page.write_text(replace_section(page.read_text(), render_runbook(ALERTS)))
