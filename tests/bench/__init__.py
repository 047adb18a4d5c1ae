"""What one machine does in a second, measured on the real parts: API, workers, PostgreSQL, a provider on a socket."""
