"""Timeline entries for changes of an invoice's merchant, tax data and provider account during the invoice's life."""

from collections.abc import Iterator
from typing import Any

from django.urls import reverse

from config.console.history import actor_of, differences
from config.console.timeline import MAX_ENTRIES, TimelineContext, TimelineEntry, gap_entry
from merchants.models import Merchant, MerchantChange, ProviderAccount, TaxInfo


def entries(context: TimelineContext) -> list[TimelineEntry]:
    parts: list[TimelineEntry] = []
    if context.has_perm("merchants.view_merchant"):
        parts += edit_entries(Merchant, context, "The merchant", id=context.merchant_id)
    if context.has_perm("merchants.view_taxinfo"):
        parts += edit_entries(TaxInfo, context, "The seller's tax data", merchant_id=context.merchant_id)
    if context.has_perm("merchants.view_provideraccount"):
        parts += edit_entries(ProviderAccount, context, "The provider account", id=context.account_id)
    if context.has_perm("merchants.view_merchantchange"):
        parts += _change_entries(context)
    return parts


def edit_entries(model: Any, context: TimelineContext, what: str, **filters: Any) -> list[TimelineEntry]:
    """The versions of a row between `since` and `until`, each with its differences from the previous version."""
    history = model.history.filter(**filters, history_date__lte=context.until)
    versions = list(history.order_by("-history_date", "-history_id")[: MAX_ENTRIES + 1])
    edits = list(_edit_entries(versions, context, what))[::-1]
    if len(versions) > MAX_ENTRIES and versions[-1].history_date >= context.since:
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}_history"
        link = reverse(page, args=[versions[0].id])
        edits.insert(0, gap_entry(versions[-1].history_date, f"changes of {what.lower()}", link))
    return edits


def _edit_entries(newest_first: list[Any], context: TimelineContext, what: str) -> Iterator[TimelineEntry]:
    for version, before in zip(newest_first, [*newest_first[1:], None], strict=False):
        if version.history_date < context.since:
            return
        changed = differences(version, before) if before else []
        if before and not changed:
            continue
        verb = "changed: " + ", ".join(change.field for change in changed) if before else "was created"
        yield TimelineEntry(
            at=version.history_date,
            kind="edit",
            sentence=f"{what} {verb}",
            reason=version.history_change_reason or "",
            actor=actor_of(version),
            details={change.field: f"{change.old} → {change.new}" for change in changed},
        )


def _change_entries(context: TimelineContext) -> list[TimelineEntry]:
    changes = MerchantChange.objects.filter(
        code=context.merchant_code, received_at__gte=context.since, received_at__lte=context.until
    )
    return [
        TimelineEntry(
            at=row.received_at,
            kind="merchant",
            sentence="The platform sent its latest change of the merchant",
            actor="platform",
            details={"op": row.op, "lsn": row.lsn},
            link=reverse("admin:merchants_merchantchange_change", args=[row.pk]),
        )
        for row in changes
    ]
