"""A merchant's accounts at its e-invoice providers."""

import json

from django.core.validators import RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from config.base import clock, crypto
from config.base.ids import new_ids
from config.base.records import Record
from merchants.models.merchants import Merchant


class ProviderAccount(Record):
    """One login, one form, one symbol. A symbol is valid for one calendar year; the next year needs a new row."""

    SYMBOL = RegexValidator(
        r"^[CK]\d{2}[TDLMNBGHXF][A-Z0-9]{2}$",
        "A symbol looks like C26TAA: C or K, year, a letter, two more characters.",
    )

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="accounts")
    provider = models.CharField(max_length=20, default="viettel")
    base_url = models.URLField(help_text="Scheme and host; the adapter adds its paths.")
    form = models.CharField(max_length=1, validators=[RegexValidator(r"^[1-9]$", "A form is one digit, 1 to 9.")])
    symbol = models.CharField(max_length=6, validators=[SYMBOL])
    template = models.CharField(max_length=20, blank=True, help_text='The vendor\'s form name, such as "1/001".')
    encrypted_credentials = models.TextField(blank=True, editable=False)
    credentials_fingerprint = models.CharField(max_length=8, blank=True, editable=False)
    in_flight = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Calls open at the same time. Empty: the vendor's limit."
    )
    is_active = models.BooleanField(default=True)
    paused = models.BooleanField(default=False, help_text="Paused by an operator.")
    last_issue_date = models.DateField(null=True, editable=False)  # of what was sent: never goes backwards
    parked_until = models.DateTimeField(null=True, blank=True)
    parked_reason = models.CharField(max_length=200, blank=True)
    parked_for_login = models.BooleanField(default=False)  # then a probe reopens it, not a trial invoice
    certificate_ends = models.DateField(
        null=True, blank=True, help_text="When the signing certificate expires. No vendor reports it, so enter it here."
    )
    last_number = models.PositiveIntegerField(
        null=True, blank=True, help_text="The last number bought for this symbol. Empty: unlimited."
    )
    numbers_left = models.PositiveIntegerField(null=True, blank=True, editable=False)  # updated hourly
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
    def aad(self) -> str:
        return f"merchants.provideraccount:{self.pk}:credentials"

    @property
    def credentials(self) -> dict[str, str]:
        """Decrypted. Raises crypto.DecryptionFailed."""
        return json.loads(crypto.decrypt(self.encrypted_credentials, self.aad)) if self.encrypted_credentials else {}

    def set_credentials(self, credentials: dict[str, str]) -> None:
        """Encrypt a login and store it in this object; the caller saves."""
        if not isinstance(self.pk, int):
            self.pk = new_ids(1)[0]
        text = json.dumps(credentials, sort_keys=True)
        self.encrypted_credentials = crypto.encrypt(text, self.aad)
        self.credentials_fingerprint = crypto.fingerprint(text)

    @classmethod
    def usable(cls, merchant: Merchant, form: str) -> "models.QuerySet[ProviderAccount]":
        """The merchant's active accounts for this form that have a login, newest first."""
        accounts = cls.objects.not_deleted().filter(merchant=merchant, form=form, is_active=True)
        return accounts.exclude(encrypted_credentials="").order_by("-id")

    @classmethod
    def for_year(cls, merchant: Merchant, form: str, year: int) -> "ProviderAccount | None":
        return next((account for account in cls.usable(merchant, form) if account.year == year), None)

    def is_open(self) -> bool:
        return not self.paused and (self.parked_until is None or self.parked_until <= clock.now())
