"""A fake Viettel SInvoice v2 with faults, on a real socket. Not for production: it issues nothing legal."""

from invoices.providers.simulator.server import Simulator, running

__all__ = ["Simulator", "running"]
