"""The platform's latest changes, quarantined messages and the consumer's lag."""

from django.db import models

from config.base import clock
from config.base.records import Record


class MerchantChange(models.Model):
    """The platform's latest change of one merchant and its log position: older changes never replace newer ones."""

    code = models.CharField(primary_key=True, max_length=64)
    op = models.CharField(max_length=1)
    row = models.JSONField(default=dict)  # complete: values that a change omits are filled in from the previous one
    lsn = models.BigIntegerField(null=True)
    ts_ms = models.BigIntegerField(null=True)
    received_at = models.DateTimeField(default=clock.now)
    drift = models.CharField(max_length=400, blank=True)  # the fields that differed at the last comparison

    class Meta:
        verbose_name = "platform change"
        indexes = [models.Index(fields=["code"], condition=~models.Q(drift=""), name="changes_that_drift")]

    def __str__(self) -> str:
        return self.code


class ConsumerLag(models.Model):
    """The consumer's last report of its lag on one partition."""

    pk = models.CompositePrimaryKey("topic", "partition")
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    lag = models.BigIntegerField()  # messages
    reported_at = models.DateTimeField()


class Quarantine(Record):
    """A Kafka message that could not be applied, stored unchanged. Later messages do not wait for it."""

    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.BinaryField(null=True)
    value = models.BinaryField(null=True)
    error = models.CharField(max_length=400)
    replayed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "quarantined message"
        permissions = [("replay_quarantine", "Can replay quarantined messages")]
        constraints = [models.UniqueConstraint(fields=["topic", "partition", "offset"], name="one_row_a_message")]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(replayed_at=None), name="quarantine_to_be_replayed"),
        ]

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"
