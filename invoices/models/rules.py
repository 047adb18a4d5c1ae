"""The legal rules as dated rows."""

import time as monotonic
from datetime import date, datetime, timedelta
from typing import ClassVar

from django.db import models

from config.base import clock


class LegalRules(models.Model):
    """The rules from a day until that of the next row. A change of law is a new row in `fixtures/legal_rules.json`."""

    effective_from = models.DateField(primary_key=True)
    source = models.CharField(max_length=200, help_text="Where the rules are written.")
    forms = models.CharField(max_length=9)
    symbol_letters = models.CharField(max_length=26)
    vat_rates = models.JSONField()
    consumer_text = models.CharField(max_length=100)
    claim_window = models.PositiveSmallIntegerField(help_text="Minutes, at most.")
    claims_close = models.TimeField(help_text="Of the sale day, in Việt Nam.")
    at_once_from = models.TimeField(help_text="Sales from this time on get no claim window.")
    correction_kinds = models.JSONField()

    _known: ClassVar[list["LegalRules"]] = []
    _known_until: ClassVar[float] = 0.0

    class Meta:
        verbose_name_plural = "legal rules"

    def __str__(self) -> str:
        return f"rules from {self.effective_from}"

    @classmethod
    def on(cls, day: date) -> "LegalRules":
        """The rules that hold on a day; cached for a minute. Raises LookupError before the first row's day."""
        if monotonic.monotonic() > cls._known_until:
            cls._known = list(cls.objects.order_by("-effective_from"))
            cls._known_until = monotonic.monotonic() + 60 if cls._known else 0.0
        for rules in cls._known:
            if rules.effective_from <= day:
                return rules
        raise LookupError(f"No legal rules hold on {day}; load fixtures/legal_rules.json.")

    def claim_deadline(self, paid_at: datetime, minutes: int) -> datetime | None:
        """The end of a sale's claim window, or None if there is no window."""
        sold = paid_at.astimezone(clock.VIETNAM)
        if minutes <= 0 or sold.time() >= self.at_once_from:
            return None
        closes = clock.at_vn(sold.date(), self.claims_close.hour, self.claims_close.minute)
        return min(paid_at + timedelta(minutes=min(minutes, self.claim_window)), closes)

    def claim_cutoff(self, sale_day: date) -> datetime:
        """The time by which the claims of a sale day must be sent."""
        return clock.at_vn(sale_day, self.claims_close.hour, self.claims_close.minute)


def issue_limit(paid_at: datetime) -> datetime:
    """The last moment to issue with the sale day's date: the end of that day, or 30 min after payment if later."""
    return max(clock.at_vn(clock.day_vn(paid_at), 24), paid_at + timedelta(minutes=30))
