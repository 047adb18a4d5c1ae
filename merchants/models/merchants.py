"""Who sells: the merchant, its logo and its tax data."""

import base64
from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from config.base.records import Record
from merchants.models.admin_units import AdministrativeUnit, commune_of

CLAIM_WINDOW_MAX = 120  # minutes; the legal rules may say less


class Merchant(Record):
    class Unclaimed(models.TextChoices):
        CONSUMER = "consumer", "issue to the consumer"
        LAPSE = "lapse", "let the sale lapse"

    code = models.CharField(max_length=64, unique=True, help_text="The platform's merchantId.")
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    paused = models.BooleanField(default=False, help_text="An operator's stop: sales go on, nothing is sent.")
    claim_window = models.PositiveSmallIntegerField(
        default=CLAIM_WINDOW_MAX,
        validators=[MaxValueValidator(CLAIM_WINDOW_MAX)],
        help_text="Minutes in which a buyer may claim; 0 issues at once.",
    )
    unclaimed = models.CharField(max_length=8, choices=Unclaimed.choices, default=Unclaimed.CONSUMER)
    consumer_fallback = models.BooleanField(
        default=True, help_text="Issue to the consumer when a refused buyer field was not mended in time."
    )
    mails_buyer = models.BooleanField(default=True, help_text="Send the invoice to a buyer who left an e-mail.")
    tax_problem = models.CharField(
        max_length=400,
        blank=True,
        editable=False,
        help_text="Why the platform's last tax data is not used.",
    )
    logo_fingerprint = models.CharField(max_length=8, blank=True, editable=False)  # the history tells one from another
    history = HistoricalRecords()

    class Meta:
        permissions = [
            ("pause_merchant", "Can pause and resume merchants"),
            ("resync_merchant", "Can act again on what the platform told us of a merchant"),
        ]
        indexes = [models.Index(fields=["id"], condition=~models.Q(tax_problem=""), name="merchants_with_problems")]

    def __str__(self) -> str:
        return self.name

    @property
    def policy(self) -> dict[str, Any]:
        """What an invoice's snapshot keeps of the merchant's choices."""
        return {
            "claimWindow": self.claim_window,
            "unclaimed": self.unclaimed,
            "consumerFallback": self.consumer_fallback,
            "mailsBuyer": self.mails_buyer,
        }


class Logo(models.Model):
    """What buyers see above the merchant's name. A table of its own: the pump reads merchants, and no pictures."""

    merchant = models.OneToOneField(Merchant, models.PROTECT, primary_key=True)
    image = models.BinaryField()  # as logos.draw made it

    def __str__(self) -> str:
        return f"{self.merchant}"

    @property
    def address(self) -> str:
        """The picture itself, for a page that shall need no second request."""
        return f"data:image/webp;base64,{base64.b64encode(self.image).decode()}"


class TaxInfo(Record):
    """The seller as the tax authority knows them."""

    class Method(models.TextChoices):
        DEDUCTION = "deduction", "VAT invoices (form 1)"
        DIRECT = "direct", "sales invoices (form 2)"

    merchant = models.OneToOneField(Merchant, models.PROTECT, related_name="tax_info")
    tax_code = models.CharField(max_length=14)
    legal_name = models.CharField(max_length=400)
    address = models.CharField(max_length=400)
    commune = models.ForeignKey(AdministrativeUnit, models.PROTECT, null=True, blank=True)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=20, blank=True)
    method = models.CharField(max_length=9, choices=Method.choices)
    history = HistoricalRecords()

    class Meta:
        verbose_name_plural = "tax info"

    def __str__(self) -> str:
        return f"{self.legal_name} ({self.tax_code})"

    @property
    def form(self) -> str:
        return "2" if self.method == self.Method.DIRECT else "1"

    @property
    def seller(self) -> dict[str, str]:
        """The seller as an invoice prints them."""
        where = f", {commune_of(self.commune_id)}" if self.commune_id else ""
        return {
            "taxCode": self.tax_code,
            "legalName": self.legal_name,
            "address": self.address + where,
            "email": self.email,
            "phone": self.phone,
        }
