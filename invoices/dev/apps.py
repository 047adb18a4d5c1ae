from django.apps import AppConfig


class DevConfig(AppConfig):
    """The demo, the seed and the simulated providers. Not in the image."""

    name = "invoices.dev"
    label = "dev"
