"""`manage.py alerts [--once | --write]`: who should be called, and why. It needs no Prometheus."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError

from config.monitoring import gauges
from config.monitoring.alerts import ALERTS, RUNBOOK, Alert
from config.monitoring.dashboard import dashboard
from config.monitoring.gauges import Figure
from config.monitoring.prometheus import rules, runbook, within


class Command(BaseCommand):
    help = "Every condition and how it stands. With --once: only those that fire, each with what to do; exit 1 if any."
    requires_system_checks = ()  # a database that is down is one of the conditions

    def add_arguments(self, parser: ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--once", action="store_true", help="only what fires; exit 1 if anything does")
        how.add_argument("--write", action="store_true", help="write what deploy/ and the runbook say of them")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["write"]:
            return write()
        try:
            found: Mapping[str, Figure] = gauges.read()
        except (OperationalError, InterfaceError):
            found = {}  # which is a condition of its own
        firing = [alert for alert in ALERTS if alert.fires(found)] if found else ALERTS[:1]
        for alert in firing if options["once"] else ALERTS:
            self._tell(alert, found, fires=alert in firing)
        if not options["once"]:
            return None
        if firing:
            raise SystemExit(1)
        self.stdout.write("No alert fires.")
        return None

    def _tell(self, alert: Alert, found: Mapping[str, Figure], *, fires: bool) -> None:
        value = alert.value(found) if alert.figure in found or alert.fold == "absent" else None
        now = "–" if value is None else f"{value:g}"
        self.stdout.write(f"{'FIRES' if fires else 'quiet'}  {alert.name}: {now} (threshold {alert.threshold:g})")
        if fires:
            link = found[alert.figure].link if alert.figure in found else ""
            self.stdout.write(f"  {alert.summary}\n  Check: {alert.check}\n  Fix: {alert.fix}")
            self.stdout.write(f"  Escalate to: {alert.escalate}\n  Runbook: {alert.anchor}")
            if link:
                self.stdout.write(f"  Console: {settings.PUBLIC_URL}{link}")


def write() -> None:
    """Prometheus' rules, Grafana's dashboard and the runbook's section."""
    deploy, page = settings.ROOT / "deploy", settings.ROOT / RUNBOOK
    (deploy / "prometheus" / "rules.yaml").write_text(rules(ALERTS, gauges.read()))
    (deploy / "grafana" / "hoadon.json").write_text(dashboard())
    page.write_text(within(page.read_text(), runbook(ALERTS)))
