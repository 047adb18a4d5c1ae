"""The merchant, its logo and its tax data."""

import base64
from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from config.base.records import Record
from merchants.models.admin_units import AdministrativeUnit, commune_line

CLAIM_WINDOW_MAX = 120  # minutes; the legal rules may say less


class Merchant(Record):
    class Unclaimed(models.TextChoices):
        CONSUMER = "consumer", "issue to the consumer"
        LAPSE = "lapse", "let the sale lapse"

    code = models.CharField(max_length=64, unique=True, help_text="The platform's merchantId.")
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    paused = models.BooleanField(default=False, help_text="Paused by an operator: sales are received, nothing is sent.")
    claim_window = models.PositiveSmallIntegerField(
        default=CLAIM_WINDOW_MAX,
        validators=[MaxValueValidator(CLAIM_WINDOW_MAX)],
        help_text="Minutes in which a buyer may claim. 0: the invoice is issued at once.",
    )
    unclaimed = models.CharField(max_length=8, choices=Unclaimed.choices, default=Unclaimed.CONSUMER)
    consumer_fallback = models.BooleanField(
        default=True, help_text="If a refused buyer field is not corrected in time, issue to the consumer."
    )
    mails_buyer = models.BooleanField(default=True, help_text="E-mail the invoice to buyers who gave an address.")
    tax_problem = models.CharField(
        max_length=400,
        blank=True,
        editable=False,
        help_text="Why the platform's latest tax data is not used.",
    )
    logo_fingerprint = models.CharField(max_length=8, blank=True, editable=False)  # shows a change in the history
    history = HistoricalRecords()

    class Meta:
        permissions = [
            ("pause_merchant", "Can pause and resume merchants"),
            ("resync_merchant", "Can apply the platform's latest data of a merchant again"),
        ]
        indexes = [models.Index(fields=["id"], condition=~models.Q(tax_problem=""), name="merchants_with_problems")]

    def __str__(self) -> str:
        return self.name

    @property
    def policy(self) -> dict[str, Any]:
        """The merchant's settings that an invoice's snapshot keeps."""
        return {
            "claimWindow": self.claim_window,
            "unclaimed": self.unclaimed,
            "consumerFallback": self.consumer_fallback,
            "mailsBuyer": self.mails_buyer,
        }


class Logo(models.Model):
    """Shown to buyers next to the merchant's name. A separate table, so that reading merchants reads no images."""

    merchant = models.OneToOneField(Merchant, models.PROTECT, primary_key=True)
    image = models.BinaryField()  # WebP, made by logos.make_logo

    def __str__(self) -> str:
        return f"{self.merchant}"

    @property
    def data_url(self) -> str:
        """The image inline, so that a page needs no second request."""
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
        """The seller as printed on invoices."""
        commune = f", {commune_line(self.commune_id)}" if self.commune_id else ""
        return {
            "taxCode": self.tax_code,
            "legalName": self.legal_name,
            "address": self.address + commune,
            "email": self.email,
            "phone": self.phone,
        }
