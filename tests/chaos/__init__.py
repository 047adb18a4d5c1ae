"""Real processes, killed, stopped and cut off while orders flow in; judged from the provider's own ledger."""
