"""A day of simulated orders with real servers, workers and a simulated provider. For development only."""
