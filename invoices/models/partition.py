from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from config.base import clock


class Partition(models.Model):
    """A partition of orders that an operator may pause. No row means not paused."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    paused = models.BooleanField(default=False)
    history = HistoricalRecords()

    class Meta:
        permissions = [("pause_partition", "Can pause and resume partitions")]

    def __str__(self) -> str:
        return f"partition {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._history_date = clock.now()  # simple-history would read the machine's clock
        super().save(*args, **kwargs)
