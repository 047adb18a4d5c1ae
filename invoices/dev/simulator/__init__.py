"""A fake Viettel SInvoice v2 with faults, on a real socket. Not for production: it issues nothing legal."""

from invoices.dev.simulator.server import Simulator, running

__all__ = ["Simulator", "running"]
