"""One round over the whole audit (see verify). Who can rewrite the audit can rewrite this: the log says it too."""

from functools import cached_property

from django.db import models

from config.base.ids import Snowflake


class AuditVerification(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=Snowflake(), editable=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    until = models.DateTimeField(help_text="The digest is of what was written before.")
    digest = models.CharField(max_length=64, blank=True, help_text="Of every invoice's head as it was then.")
    again = models.CharField(max_length=64, blank=True, help_text="The digest of the round before, found once more.")
    position = models.BigIntegerField(null=True)  # invoices up to this id have been looked at
    invoices = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    broken = models.BigIntegerField(default=0, help_text="Invoices whose chain is not whole.")
    first_broken = models.JSONField(default=list)  # [{"invoice", "seq", "what"}], of chains no more than verify.NAMED

    class Meta:
        indexes = [models.Index(fields=["started_at"], name="rounds_by_start")]

    @cached_property
    def before(self) -> "AuditVerification | None":
        """The round before, whose digest is compared."""
        ended = AuditVerification.objects.filter(started_at__lt=self.started_at, ended_at__isnull=False)
        return ended.order_by("-started_at").first()

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC"
