"""`manage.py simulate_provider`: a simulated Viettel SInvoice on 127.0.0.1, until Ctrl-C or SIGTERM."""

import asyncio
import json
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from invoices.dev.simulator import Simulator


class Command(BaseCommand):
    help = "Run a simulated e-invoice provider with the API of Viettel SInvoice v2. Set faults at /simulator/faults."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=31149, help="0 takes any free port")
        parser.add_argument("--latency", type=float, default=0, metavar="MS", help="of every createInvoice")
        parser.add_argument("--personality", choices=("strict", "forgetful"), default="strict")
        parser.add_argument("--settle", type=float, default=5, metavar="S", help="longest delay of a fault's effect")
        parser.add_argument("--seed", type=int, help="makes the faults repeatable")
        parser.add_argument(
            "--tenants",
            type=Path,
            metavar="FILE",
            help='JSON: [{"taxCode": …, "username": …, "password": …, "series": [{"template": "1/001", "symbol": …}]}]',
        )

    def handle(self, *_: Any, **options: Any) -> None:
        tenants = json.loads(options["tenants"].read_text()) if options["tenants"] else []
        simulator = Simulator(options["port"], tenants=tenants, seed=options["seed"])
        settings = {name: options[name] for name in ("latency", "personality", "settle")}
        try:
            asyncio.run(self._serve(simulator, settings))
        except OSError as error:
            raise CommandError(f"cannot listen on port {options['port']}: {error.strerror}") from error

    async def _serve(self, simulator: Simulator, settings: dict[str, Any]) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await simulator.open()
        simulator.configure(settings)
        self.stdout.write(f"simulated provider: {simulator.url}")
        self.stdout.flush()
        await stop.wait()
        await simulator.close()
