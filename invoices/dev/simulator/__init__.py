"""A simulated Viettel SInvoice v2 with faults, on a real socket, for development and tests. It issues nothing legal."""

from invoices.dev.simulator.server import Simulator, running

__all__ = ["Simulator", "running"]
