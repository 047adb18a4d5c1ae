"""How much one machine does, measured on the real API, workers, PostgreSQL, and a provider on a socket."""
