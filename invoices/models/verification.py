"""One pass over the whole audit (see upkeep.verify_audit).

Write access to the audit includes these rows, so the result is logged too.
"""

from functools import cached_property

from django.db import models

from config.base.ids import Snowflake


class AuditVerification(models.Model):
    id = models.BigIntegerField(primary_key=True, db_default=Snowflake(), editable=False)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    until = models.DateTimeField(help_text="The digest covers what was written before this time.")
    digest = models.CharField(max_length=64, blank=True, help_text="Of the head of every invoice's chain at that time.")
    repeated_digest = models.CharField(
        max_length=64, blank=True, help_text="The digest of the previous verification, computed again."
    )
    position = models.BigIntegerField(null=True)  # invoices up to this id are verified
    invoices = models.BigIntegerField(default=0)
    rows = models.BigIntegerField(default=0)
    broken = models.BigIntegerField(default=0, help_text="Invoices whose chain is broken.")
    first_broken = models.JSONField(default=list)  # [{"invoice", "seq", "what"}], of a limited number

    class Meta:
        indexes = [models.Index(fields=["started_at"], name="rounds_by_start")]

    @cached_property
    def previous(self) -> "AuditVerification | None":
        """The one whose digest is compared."""
        ended = AuditVerification.objects.filter(started_at__lt=self.started_at, ended_at__isnull=False)
        return ended.order_by("-started_at").first()

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} UTC"
