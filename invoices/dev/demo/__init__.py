"""A day at the platform, with every part real: servers, provider, workers, buyers. Development only."""
