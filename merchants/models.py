"""Who sells, and through which account at which provider their invoices are issued."""

import base64
import functools
import json
from typing import Any

from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from config.base import clock, crypto
from config.base.ids import new_ids
from config.base.records import Record

CLAIM_WINDOW_MAX = 120  # minutes; the legal rules may say less


class AdministrativeUnit(models.Model):
    """A province or a commune in force: two levels, official codes."""

    class Level(models.TextChoices):
        PROVINCE = "province"
        COMMUNE = "commune"

    code = models.CharField(primary_key=True, max_length=5)
    name = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100)
    full_name = models.CharField(max_length=120)
    full_name_en = models.CharField(max_length=120)
    slug = models.CharField(max_length=100)
    search = models.CharField(max_length=250, db_index=True)  # lower case without accents
    level = models.CharField(max_length=8, choices=Level.choices)
    unit_type = models.CharField(max_length=16)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="communes")

    class Meta:
        verbose_name = "commune"

    def __str__(self) -> str:
        return f"{self.full_name}, {self.parent.full_name}" if self.parent else self.full_name


@functools.cache
def commune_of(code: str) -> str:
    """A commune and its province as addresses have them; remembered, for units change with a release's fixtures."""
    return str(AdministrativeUnit.objects.select_related("parent").get(pk=code))


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


class ProviderAccount(Record):
    """A lane: one login, one form, one symbol. A symbol holds for one calendar year; the next year is a new row."""

    SYMBOL = RegexValidator(
        r"^[CK]\d{2}[TDLMNBGHXF][A-Z0-9]{2}$", "A symbol looks like C26TAA: C or K, year, letter, two more."
    )

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="accounts")
    provider = models.CharField(max_length=20, default="viettel")
    base_url = models.URLField(help_text="Scheme and host; the adapter adds its paths.")
    form = models.CharField(max_length=1, validators=[RegexValidator(r"^[1-9]$", "A form is one digit, 1 to 9.")])
    symbol = models.CharField(max_length=6, validators=[SYMBOL])
    template = models.CharField(max_length=20, blank=True, help_text='The vendor\'s name of the form, such as "1/001".')
    encrypted_credentials = models.TextField(blank=True, editable=False)
    credentials_fingerprint = models.CharField(max_length=8, blank=True, editable=False)  # tells a change without the secret
    in_flight = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Sends open at once; empty takes the vendor's limit."
    )
    is_active = models.BooleanField(default=True)
    paused = models.BooleanField(default=False, help_text="An operator's stop.")
    last_issue_date = models.DateField(null=True, editable=False)  # of what was sent: dates never run backwards
    parked_until = models.DateTimeField(null=True, blank=True)
    parked_reason = models.CharField(max_length=200, blank=True)
    parked_for_login = models.BooleanField(default=False)  # reopened by a probe, not by a trial invoice
    certificate_ends = models.DateField(
        null=True, blank=True, help_text="When the signing certificate ends. No vendor tells it: type it."
    )
    last_number = models.PositiveIntegerField(
        null=True, blank=True, help_text="The last number that was bought under this symbol; empty: without end."
    )
    numbers_left = models.PositiveIntegerField(null=True, blank=True, editable=False)  # counted each hour
    history = HistoricalRecords(excluded_fields=["encrypted_credentials", "numbers_left", "last_issue_date"])

    class Meta:
        permissions = [
            ("pause_provideraccount", "Can pause and resume provider accounts"),
            ("probe_provideraccount", "Can probe the logins of provider accounts"),
            ("remove_provideraccount", "Can remove provider accounts"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "provider", "form", "symbol"],
                condition=models.Q(deleted_at=None),
                name="one_account_a_symbol",
            ),
        ]
        indexes = [
            models.Index(
                fields=["parked_until"], condition=models.Q(parked_until__isnull=False), name="accounts_parked"
            ),
            models.Index(fields=["id"], condition=models.Q(paused=True), name="accounts_paused"),
            models.Index(
                fields=["certificate_ends"],
                condition=models.Q(certificate_ends__isnull=False),
                name="certificates_by_end",
            ),
            models.Index(
                fields=["numbers_left"], condition=models.Q(numbers_left__isnull=False), name="accounts_by_numbers_left"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.merchant_id and self.merchant.name} {self.form}{self.symbol} at {self.provider}"

    @property
    def year(self) -> int:
        return 2000 + int(self.symbol[1:3])

    @property
    def place(self) -> str:
        return f"merchants.provideraccount:{self.pk}:credentials"

    @property
    def credentials(self) -> dict[str, str]:
        """In clear. Raises crypto.CannotOpen."""
        return json.loads(crypto.unseal(self.encrypted_credentials, self.place)) if self.encrypted_credentials else {}

    def set_credentials(self, credentials: dict[str, str]) -> None:
        """Seal and keep a login; the caller saves."""
        if not isinstance(self.pk, int):
            self.pk = new_ids(1)[0]
        text = json.dumps(credentials, sort_keys=True)
        self.encrypted_credentials = crypto.seal(text, self.place)
        self.credentials_fingerprint = crypto.fingerprint(text)

    @classmethod
    def able(cls, merchant: Merchant, form: str) -> "models.QuerySet[ProviderAccount]":
        """The merchant's accounts that could issue this form, the newest first."""
        accounts = cls.objects.living().filter(merchant=merchant, form=form, is_active=True)
        return accounts.exclude(encrypted_credentials="").order_by("-id")

    @classmethod
    def for_year(cls, merchant: Merchant, form: str, year: int) -> "ProviderAccount | None":
        return next((account for account in cls.able(merchant, form) if account.year == year), None)

    def is_open(self) -> bool:
        return not self.paused and (self.parked_until is None or self.parked_until <= clock.now())


class MerchantChange(models.Model):
    """What the platform told us last of one merchant, and from where in its log: older news never undo newer."""

    code = models.CharField(primary_key=True, max_length=64)
    op = models.CharField(max_length=1)
    row = models.JSONField(default=dict)  # whole: what a change left out is filled in from the one before
    lsn = models.BigIntegerField(null=True)
    ts_ms = models.BigIntegerField(null=True)
    received_at = models.DateTimeField(default=clock.now)
    drift = models.CharField(max_length=400, blank=True)  # where our tax data was not this, when we last compared

    class Meta:
        verbose_name = "platform change"
        indexes = [models.Index(fields=["code"], condition=~models.Q(drift=""), name="changes_that_drift")]

    def __str__(self) -> str:
        return self.code


class ConsumerLag(models.Model):
    """How far a consumer is behind on one partition of a topic, as it told last."""

    pk = models.CompositePrimaryKey("topic", "partition")
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    lag = models.BigIntegerField()  # messages
    reported_at = models.DateTimeField()


class Quarantine(Record):
    """A message from Kafka that could not be acted on, kept as it came; those behind it went on."""

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
