"""The console's pages of merchants, their tax data, their accounts and the platform's changes."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.console.actions import ActionAdmin
from config.console.admins import EditableAdmin, ReadOnlyAdmin
from config.console.lists import WorklistFilter
from config.console.reasons import ReasonModelForm
from merchants import logos, tax_codes
from merchants.actions import Pause, ReplayMessage, Resume, Resync
from merchants.models import AdministrativeUnit, Logo, Merchant, MerchantChange, ProviderAccount, Quarantine, TaxInfo
from merchants.models.admin_units import search_text
from merchants.worklists import WORKLISTS, worklist_condition


@admin.register(AdministrativeUnit)
class AdministrativeUnitAdmin(ReadOnlyAdmin):
    list_display = ("code", "full_name", "full_name_en", "level", "parent")
    list_filter = ("level", "unit_type")
    list_select_related = ("parent__parent",)
    search_fields = ("search", "code__exact")
    ordering = ("code",)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        return super().get_search_results(request, queryset.select_related("parent__parent"), search_text(search_term))


class MerchantForm(ReasonModelForm):
    logo = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
        help_text="PNG, JPEG or WebP; it is made smaller. Leave empty to keep the current logo.",
    )
    no_logo = forms.BooleanField(required=False, label="Remove the logo", help_text="Buyers see the initials.")

    class Meta:
        model = Merchant
        fields = (
            "code", "name", "is_active", "claim_window", "unclaimed", "consumer_fallback", "mails_buyer",
        )  # fmt: skip

    def clean_logo(self) -> bytes | None:
        upload = self.cleaned_data["logo"]
        if not upload:
            return None
        try:
            return logos.make_logo(upload.read(logos.MAX_UPLOAD + 1))
        except logos.NotALogo as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(Merchant)
class MerchantAdmin(ActionAdmin, EditableAdmin):
    form = MerchantForm
    operator_actions = (Pause("merchants.pause_merchant"), Resume("merchants.pause_merchant"), Resync())
    fixed = ("code",)
    fields = (
        "code",
        "name",
        ("is_active", "paused"),
        ("claim_window", "unclaimed"),
        ("consumer_fallback", "mails_buyer"),
        ("current_logo", "logo", "no_logo"),
        "tax_problem",
        ("created_at", "updated_at", "deleted_at"),
    )
    readonly_fields = ("current_logo", "paused", "tax_problem", "created_at", "updated_at", "deleted_at")
    list_display = ("name", "code", "is_active", "paused", "tax_problem", "claim_window", "unclaimed", "updated_at")
    list_filter = (
        "is_active",
        "paused",
        "unclaimed",
        ("tax_problem", admin.EmptyFieldListFilter),
        ("deleted_at", admin.EmptyFieldListFilter),
    )
    search_fields = ("name", "code")
    ordering = ("name",)

    @admin.display(description="current logo")
    def current_logo(self, row: Merchant) -> SafeString | str:
        logo = Logo.objects.filter(merchant=row.pk).first()
        return format_html('<img src="{}" alt="">', logo.data_url) if logo else "none"

    def save_model(self, request: HttpRequest, obj: Merchant, form: Any, change: bool) -> None:
        image = form.cleaned_data.get("logo")
        if image:
            obj.logo_fingerprint = logos.fingerprint(image)
        elif form.cleaned_data.get("no_logo"):
            obj.logo_fingerprint = ""
        super().save_model(request, obj, form, change)
        if image:
            Logo.objects.update_or_create(merchant=obj, defaults={"image": image})
        elif not obj.logo_fingerprint:
            Logo.objects.filter(merchant=obj).delete()


class TaxInfoForm(ReasonModelForm):
    class Meta:
        model = TaxInfo
        fields = ("merchant", "tax_code", "legal_name", "address", "commune", "email", "phone", "method")

    def clean_tax_code(self) -> str:
        try:
            return tax_codes.check(self.cleaned_data["tax_code"])
        except tax_codes.InvalidTaxCode as error:
            raise forms.ValidationError(str(error)) from None


@admin.register(TaxInfo)
class TaxInfoAdmin(EditableAdmin):
    form = TaxInfoForm
    fixed = ("merchant",)
    fields = (*TaxInfoForm.Meta.fields, ("created_at", "updated_at", "deleted_at"))
    readonly_fields = ("created_at", "updated_at", "deleted_at")
    autocomplete_fields = ("merchant", "commune")
    list_display = ("legal_name", "merchant", "method", "updated_at")
    list_filter = ("method", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("merchant",)
    search_fields = ("legal_name", "tax_code__exact", "merchant__name", "merchant__code")
    ordering = ("legal_name",)


class ProviderAccountForm(ReasonModelForm):
    SECRET = forms.PasswordInput(attrs={"autocomplete": "new-password"})

    username = forms.CharField(
        required=False, widget=SECRET, help_text="Never shown. Leave both empty to keep the login."
    )
    password = forms.CharField(required=False, strip=False, widget=SECRET)

    class Meta:
        model = ProviderAccount
        fields = (
            *("merchant", "provider", "base_url", "form", "symbol", "template", "in_flight"),
            *("certificate_ends", "last_number", "is_active"),
        )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        given = [name for name in ("username", "password") if self.cleaned_data.get(name)]
        if len(given) == 1:
            self.add_error(given[0], "Enter both the username and the password.")
        if self.instance.encrypted_credentials and "base_url" in self.changed_data and not given:
            # Without this rule, a person who may change the address could send the login to a host of their own.
            self.add_error("base_url", "To change the host, enter the login again.")
        key = {name: self.cleaned_data.get(name) for name in ("merchant", "provider", "form", "symbol")}
        if self.instance._state.adding and ProviderAccount.objects.not_deleted().filter(**key).exists():
            self.add_error("symbol", "The merchant already has an account with this form and symbol.")
        return cleaned


class AccountWorklistFilter(WorklistFilter):
    worklists = WORKLISTS

    def condition(self, name: str) -> Q:
        return worklist_condition(name)


@admin.register(ProviderAccount)
class ProviderAccountAdmin(ActionAdmin, EditableAdmin):
    operator_actions = (Pause("merchants.pause_provideraccount"), Resume("merchants.pause_provideraccount"))
    form = ProviderAccountForm
    fixed = ("merchant", "provider", "form", "symbol")  # invoices refer to them; another symbol needs another row
    fieldsets = (
        ("Account", {"fields": ("merchant", "provider", ("form", "symbol"), "template", "base_url", "in_flight")}),
        ("Expiry", {"fields": ("certificate_ends", ("last_number", "numbers_left"))}),
        ("Login", {"fields": ("credentials_fingerprint", "username", "password")}),
        ("Status", {"fields": ("is_active", "paused", "parked_until", "parked_reason", "parked_for_login")}),
        ("Dates", {"fields": (("created_at", "updated_at", "deleted_at"),)}),
    )
    readonly_fields = (
        "numbers_left",
        "paused",
        "credentials_fingerprint",
        "parked_until",
        "parked_reason",
        "parked_for_login",
        "created_at",
        "updated_at",
        "deleted_at",
    )
    autocomplete_fields = ("merchant",)
    list_display = (
        *("merchant", "provider", "form", "symbol", "is_active", "paused", "parked_until"),
        "credentials_fingerprint",
    )
    list_filter = (
        *(AccountWorklistFilter, "provider", "is_active", "paused"),
        *((name, admin.EmptyFieldListFilter) for name in ("parked_until", "deleted_at")),
        "form",
    )
    list_select_related = ("merchant",)
    search_fields = ("merchant__name", "merchant__code", "symbol")
    ordering = ("merchant__name", "symbol")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only users who may change the login see its part."""
        fieldsets = super().get_fieldsets(request, obj)
        return fieldsets if self._sees_logins(request, obj) else [part for part in fieldsets if part[0] != "Login"]

    def get_list_display(self, request: HttpRequest) -> Any:
        names = super().get_list_display(request)
        return names if self._sees_logins(request) else [name for name in names if name != "credentials_fingerprint"]

    def _sees_logins(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_change_permission(request, obj) or (obj is None and self.has_add_permission(request))

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool) -> None:
        if form.cleaned_data.get("password"):
            obj.set_credentials({name: form.cleaned_data[name] for name in ("username", "password")})
        super().save_model(request, obj, form, change)


@admin.register(MerchantChange)
class MerchantChangeAdmin(ReadOnlyAdmin):
    list_display = ("code", "op", "lsn", "received_at", "drift")
    list_filter = (("drift", admin.EmptyFieldListFilter),)
    fields = ("code", "op", ("lsn", "ts_ms"), "received_at", "drift", "row")
    search_fields = ("code",)
    ordering = ("code",)


@admin.register(Quarantine)
class QuarantineAdmin(ActionAdmin, ReadOnlyAdmin):
    """The raw bytes are not shown: they may hold personal data."""

    list_display = ("__str__", "error", "size", "created_at", "replayed_at")
    list_filter = ("topic", ("replayed_at", admin.EmptyFieldListFilter))
    fields = (("topic", "partition", "offset"), "error", "size", ("created_at", "replayed_at"))
    readonly_fields = ("size", "created_at")
    operator_actions = (ReplayMessage(),)

    @admin.display(description="bytes")
    def size(self, row: Quarantine) -> int:
        return len(row.value or b"")
