"""What became of an invoice's merchant while the invoice lived: its own part of the timeline."""

from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from config.console.history import differences, who
from config.console.timeline import CAP, Moment, Subject, earlier
from merchants.models import Merchant, MerchantChange, ProviderAccount, TaxInfo


def entries(subject: Subject) -> list[Moment]:
    moments: list[Moment] = []
    if subject.may("merchants.view_merchant"):
        moments += edits(Merchant, subject, "The merchant", id=subject.merchant_id)
    if subject.may("merchants.view_taxinfo"):
        moments += edits(TaxInfo, subject, "The seller's tax data", merchant_id=subject.merchant_id)
    if subject.may("merchants.view_provideraccount"):
        moments += edits(ProviderAccount, subject, "The provider account", id=subject.account_id)
    if subject.may("merchants.view_merchantchange"):
        moments += _heard(subject)
    return moments


def edits(model: Any, subject: Subject, what: str, **of: Any) -> list[Moment]:
    """The versions of a row within the subject's time, each with its difference from the one before."""
    versions = model.history.filter(**of, history_date__lte=subject.until).order_by("-history_date", "-history_id")
    found = list(versions[: CAP + 1])
    moments = list(_edits(found, subject, what))[::-1]
    if len(found) > CAP and found[-1].history_date >= subject.since:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_history"
        moments.insert(
            0, earlier(found[-1].history_date, f"changes of {what.lower()}", reverse(name, args=[found[0].id]))
        )
    return moments


def _edits(newest_first: list[Any], subject: Subject, what: str) -> Iterator[Moment]:
    for version, before in zip(newest_first, [*newest_first[1:], None], strict=False):
        if version.history_date < subject.since:
            return
        changed = differences(version, before) if before else []
        if before and not changed:
            continue
        verb = "changed: " + ", ".join(change.field for change in changed) if before else "was set up"
        yield Moment(
            at=version.history_date,
            kind="edit",
            sentence=f"{what} {verb}",
            why=version.history_change_reason or "",
            actor=who(version),
            facts={change.field: f"{change.old} → {change.new}" for change in changed},
        )


def _heard(subject: Subject) -> list[Moment]:
    heard = MerchantChange.objects.filter(
        code=subject.merchant_code, heard_at__gte=subject.since, heard_at__lte=subject.until
    )
    return [
        Moment(
            at=row.received_at,
            kind="merchant",
            sentence="The platform told of the merchant, the last time so far",
            actor="platform",
            facts={"op": row.op, "lsn": row.lsn},
            link=reverse("admin:merchants_merchantchange_change", args=[row.pk]),
        )
        for row in heard
    ]
