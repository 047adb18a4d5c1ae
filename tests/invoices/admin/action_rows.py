"""For each operator action: the groups that may perform it and a row that it applies to. Also: many dead letters."""

import copy
import uuid
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User

from config.base import clock
from config.base.ids import new_ids
from config.console.actions import ActionAdmin, OperatorAction
from invoices.dev.simulator import Simulator
from invoices.lifecycle import State
from invoices.models import Invoice, Partition
from invoices.operations.skip import skip
from merchants.models import Merchant, Quarantine
from merchants.sync import apply_changes
from tests import cast
from tests.invoices.provider_records import issue_at_provider, seller_at
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound.events import write_test_delivery

GROUPS = ("support", "operator", "finance", "security")
OPERATOR = {"operator"}
ALLOWED_GROUPS = {
    ("Invoice", "replay"): OPERATOR,
    ("Invoice", "look-up"): {"support", "operator"},
    ("Invoice", "amend"): OPERATOR,
    ("Invoice", "adopt"): OPERATOR,
    ("Invoice", "refresh-configuration"): OPERATOR,
    ("Invoice", "issue-now"): OPERATOR,
    ("Invoice", "cancel"): OPERATOR,
    ("Invoice", "skip"): OPERATOR,
    ("Partition", "pause"): OPERATOR,
    ("Partition", "resume"): OPERATOR,
    ("Merchant", "pause"): OPERATOR,
    ("Merchant", "resume"): OPERATOR,
    ("Merchant", "resync"): OPERATOR,
    ("ProviderAccount", "pause"): OPERATOR,
    ("ProviderAccount", "resume"): OPERATOR,
    ("ProviderAccount", "probe"): {"operator", "security"},
    ("ProviderAccount", "remove"): {"security"},
    ("Quarantine", "replay"): OPERATOR,
    ("WebhookEvent", "replay"): OPERATOR,
    ("WebhookEvent", "close"): OPERATOR,
    ("WebhookDelivery", "replay"): OPERATOR,
    ("WebhookEndpoint", "remove"): {"security"},
}


def every_action() -> list[tuple[ActionAdmin, OperatorAction]]:
    pages = [page for page in admin.site._registry.values() if isinstance(page, ActionAdmin)]
    return [(page, action) for page in pages for action in page.all_operator_actions()]


def member_of(group: str) -> User:
    user = User.objects.create_user(group, password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def rows(provider: Simulator) -> dict[tuple[str, str], Any]:
    merchant = seller_at(provider)
    apply_changes.apply_envelope(
        {"op": "c", "after": {"id": "known", "name": "Sương Mai", "status": "active"}, "source": {"ts_ms": 1}},
        source="test",
    )
    outdated = cast.failed()
    cast.account(outdated.merchant, symbol="C26TBB")
    adoptable = cast.uncertain(merchant=merchant)
    issue_at_provider(adoptable)
    endpoint = WebhookEndpoint.objects.create(merchant=merchant, url="https://cafe.example/hooks")
    write_test_delivery(endpoint)
    event = WebhookEvent.objects.create(
        route="internal", webhook_id="m", type="payment.succeeded", body='{"type": "payment.succeeded", "data": {}}',
        body_sha256="", secret_label="1", status="refused", answer_status=422, answer={}, error="not yet",
    )  # fmt: skip
    paused, running = Partition.objects.create(number=0, paused=True), Partition.objects.create(number=1)
    unused = cast.seller().accounts.get()
    return {
        ("Invoice", "replay"): cast.failed(failure="exhausted"),
        ("Invoice", "look-up"): cast.uncertain(merchant=merchant),
        ("Invoice", "amend"): cast.failed(buyer=cast.COMPANY),
        ("Invoice", "adopt"): skip(adoptable, actor="user:1", reason="stuck"),
        ("Invoice", "refresh-configuration"): Invoice.objects.get(pk=outdated.pk),
        ("Invoice", "issue-now"): cast.waiting(),
        ("Invoice", "cancel"): cast.waiting(),
        ("Invoice", "skip"): cast.queued(),
        ("Partition", "pause"): running,
        ("Partition", "resume"): paused,
        ("Merchant", "pause"): merchant,
        ("Merchant", "resume"): cast.seller(paused=True),
        ("Merchant", "resync"): Merchant.objects.get(code="known"),
        ("ProviderAccount", "pause"): merchant.accounts.get(),
        ("ProviderAccount", "resume"): cast.account(cast.seller(), symbol="C26TZZ", paused=True),
        ("ProviderAccount", "probe"): merchant.accounts.get(),
        ("ProviderAccount", "remove"): unused,
        ("Quarantine", "replay"): Quarantine.objects.create(
            topic="gone", partition=0, offset=1, value=b"{}", error="bad", created_at=clock.now()
        ),
        ("WebhookEvent", "replay"): event,
        ("WebhookEvent", "close"): event,
        ("WebhookDelivery", "replay"): WebhookDelivery.objects.get(),
        ("WebhookEndpoint", "remove"): endpoint,
    }


def dead_letters(count: int) -> None:
    """Half of them can be replayed; a quarter was partly refunded later, a quarter is late and was once uncertain."""
    template = cast.failed(failure="exhausted")
    kinds: list[dict[str, Any]] = [
        {}, {},
        {"refunded_amount": 40000, "refunded_at": clock.now()},
        {"first_uncertain_at": clock.now(), "final_lookup_at": clock.now(), "issue_until": clock.now()},
    ]  # fmt: skip
    rows = []
    for at, pk in enumerate(new_ids(count)):
        row = copy.copy(template)
        row.pk, row.order_id, row.reference, row.claim_token = pk, f"dead-{at}", uuid.uuid4(), None
        row.audit_seq, row.audit_hash, row.partition = 0, "", at % 3
        for name, value in kinds[at % 4].items():
            setattr(row, name, value)
        rows.append(row)
    Invoice.objects.bulk_create(rows, batch_size=1000)
    Invoice.objects.filter(pk=template.pk).update(state=State.CANCELLED, failure="", failure_code="")
