"""The settings that operators change at run time, and the tables of counters and sign-in attempts."""

from django.db import models
from simple_history.models import HistoricalRecords

from config.base import crypto
from config.base.ids import new_ids
from config.base.records import Record


class Configuration(Record):
    """A setting that operators change at run time. A secret value is encrypted and never shown."""

    key = models.CharField(max_length=100, unique=True)
    value = models.TextField(blank=True)
    is_secret = models.BooleanField(default=False)
    description = models.TextField(blank=True)
    history = HistoricalRecords(excluded_fields=["value"])
    seed_only = True  # see the command loaddata

    class Meta:
        verbose_name = "setting"

    def __str__(self) -> str:
        return self.key

    @property
    def aad(self) -> str:
        return f"config.configuration:{self.pk}:value"

    def read(self) -> str:
        return crypto.decrypt(self.value, self.aad) if self.is_secret else self.value

    def write(self, value: str) -> None:
        """Save a value, encrypted if it is secret."""
        if not isinstance(self.pk, int):
            self.pk = new_ids(1)[0]
        self.value = crypto.encrypt(value, self.aad) if self.is_secret else value
        self.save()


class CounterTotal(models.Model):
    """Counts of all slots before `until` (see config.monitoring.counters)."""

    pk = models.CompositePrimaryKey("name", "label")
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    count = models.BigIntegerField()
    until = models.DateTimeField(db_index=True)


class SignInTries(models.Model):
    """Failed sign-ins of one user name or one address (see config.console.sign_in)."""

    key = models.CharField(primary_key=True, max_length=8)
    tries = models.IntegerField()
    until = models.DateTimeField(db_index=True)  # then the row is deleted


class CounterSlot(models.Model):
    """Counts of five minutes by one database connection (see config.monitoring.counters)."""

    pk = models.CompositePrimaryKey("at", "name", "label", "backend_pid")
    at = models.DateTimeField()
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    backend_pid = models.IntegerField()
    count = models.BigIntegerField()
