"""Real processes that are killed, stopped and cut off while orders flow in, judged by the provider's ledger."""
