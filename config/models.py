"""The settings that operators may change while we run, and the counters' and sign-in tables."""

from django.db import models
from simple_history.models import HistoricalRecords

from config.base import crypto
from config.base.ids import new_ids
from config.base.records import Record


class Configuration(Record):
    """One setting that operators may change while we run. A secret one is sealed and never shown."""

    key = models.CharField(max_length=100, unique=True)
    value = models.TextField(blank=True)
    is_secret = models.BooleanField(default=False)
    description = models.TextField(blank=True)
    history = HistoricalRecords(excluded_fields=["value"])
    seed_only = True  # see loaddata

    class Meta:
        verbose_name = "setting"

    def __str__(self) -> str:
        return self.key

    @property
    def place(self) -> str:
        return f"config.configuration:{self.pk}:value"

    def read(self) -> str:
        return crypto.unseal(self.value, self.place) if self.is_secret else self.value

    def write(self, value: str) -> None:
        """Keep a value, sealed where it is secret."""
        if not isinstance(self.pk, int):
            self.pk = new_ids(1)[0]
        self.value = crypto.seal(value, self.place) if self.is_secret else value
        self.save()


class Total(models.Model):
    """How often something happened, ever: what the tallies of slots that are over came to (see tallies)."""

    pk = models.CompositePrimaryKey("name", "label")
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    count = models.BigIntegerField()
    until = models.DateTimeField(db_index=True)  # the tallies from here on are not in it


class SignInTries(models.Model):
    """How often one user name or one address failed to sign in (see signin)."""

    mark = models.CharField(primary_key=True, max_length=8)
    tries = models.IntegerField()
    until = models.DateTimeField(db_index=True)  # then it is forgotten


class Tally(models.Model):
    """How often something happened in five minutes, as one database connection counted it (see tallies)."""

    pk = models.CompositePrimaryKey("at", "name", "label", "teller")
    at = models.DateTimeField()
    name = models.CharField(max_length=20)
    label = models.CharField(max_length=60)
    teller = models.IntegerField()
    count = models.BigIntegerField()
