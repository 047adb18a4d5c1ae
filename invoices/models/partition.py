from django.db import models
from simple_history.models import HistoricalRecords


class Partition(models.Model):
    """A slice of orders that an operator may hold. No row means: not held."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    paused = models.BooleanField(default=False)
    history = HistoricalRecords()

    def __str__(self) -> str:
        return f"partition {self.number}"
