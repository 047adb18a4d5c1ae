"""Operator actions: their previews, and the operations that they call."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import reverse

from config.base import clock
from invoices.dev.simulator import Simulator
from invoices.issuing import documents
from invoices.lifecycle import State
from invoices.management.commands import evidence
from invoices.models import Invoice, Partition, SentDocument
from invoices.opening.buyers import FIELDS
from invoices.operations.amend import amend
from invoices.operations.refresh_configuration import refresh_configuration
from invoices.operations.skip import skip
from merchants.models import Merchant, ProviderAccount, Quarantine, TaxInfo
from merchants.sync import apply_changes
from tests import cast
from tests.console.action_pages import REASON, action_url, perform, preview
from tests.invoices.provider_records import issue_at_provider, seller_at
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent
from webhooks.outbound.events import write_test_delivery

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Any) -> Any:
    call_command("loaddata", "permissions", verbosity=0)
    return signed_in(client, "operator")


def signed_in(client: Any, group: str) -> Any:
    user, _ = User.objects.get_or_create(username=group, is_staff=True)
    user.groups.set([Group.objects.get(name=group)])
    client.force_login(user)
    client.user = user
    return client


def change_url(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def assert_last_audit(invoice: Invoice, client: Any, event: str) -> None:
    last = invoice.tracings.filter(event_type=event).last()
    assert last and last.actor == f"user:{client.user.pk}" and last.reason.startswith(REASON)


def logged_message(row: Any, client: Any) -> str:
    entry = LogEntry.objects.get(object_id=str(row.pk))
    assert entry.user == client.user and REASON in entry.change_message
    assert_in_history(row, client, entry.change_message.partition(":")[0])
    return entry.change_message


def assert_in_history(row: Any, client: Any, label: str) -> None:
    """The row's history page shows who did it, the action and the reason."""
    page = client.get(change_url(row).replace("/change/", "/history/")).content.decode()
    assert all(text in page for text in (str(client.user), REASON, label)), page


# --- one invoice ------------------------------------------------------------------------------------------------------


def test_a_replay_shows_that_the_payload_is_identical_and_queues_it(operator: Any) -> None:
    invoice = cast.failed(failure="exhausted", buyer=cast.COMPANY)
    add_unavailable_attempt(invoice)
    text, _ = preview(operator, "replay", invoice)
    assert "Identical, byte for byte" in text and cast.COMPANY["name"] in text
    assert "no provider knows it: it is sent again" in perform(operator, "replay", invoice)
    assert Invoice.objects.get().state == State.QUEUED
    assert_last_audit(invoice, operator, "replayed")
    assert not LogEntry.objects.exists()  # one audit is enough


def add_unavailable_attempt(invoice: Invoice) -> None:
    """As if a worker had sent it and the provider had been unavailable."""
    text = documents.render_document(invoice)
    Invoice.objects.filter(pk=invoice.pk).update(document=text, document_sha256=documents.sha256(text))
    invoice.issuances.create(
        account=invoice.account, attempt=1, provider=invoice.provider, tax_code=invoice.seller_tax_code,
        reference=invoice.reference, document_sha256=documents.sha256(text), taken_at=clock.now(),
        last_byte_by=clock.now(), ended_at=clock.now(), outcome="unavailable", code="http_429",
    )  # fmt: skip


def test_a_replay_on_another_day_shows_the_field_that_differs(operator: Any) -> None:
    invoice = cast.failed(failure="late")
    add_unavailable_attempt(invoice)
    with clock.frozen(clock.now() + cast.minutes(48 * 60)):
        text, _ = preview(operator, "replay", invoice)
    assert "It differs" in text
    assert re.findall(r'class="differs"><th scope="row">([\w.]+)<', text) == ["issue_date"]


def test_a_document_that_was_rendered_again_is_not_called_identical(operator: Any) -> None:
    invoice = cast.failed()
    add_unavailable_attempt(invoice)
    Invoice.objects.update(document="", document_sha256="", buyer=cast.PERSON)
    text, _ = preview(operator, "replay", invoice)
    assert "rendered again" in text and "Identical" not in text


def test_after_a_configuration_refresh_the_replay_is_compared_with_what_was_sent(operator: Any) -> None:
    invoice = cast.failed(failure="exhausted", buyer=cast.COMPANY)
    add_unavailable_attempt(invoice)
    sent, tax_info = Invoice.objects.get().document, invoice.merchant.tax_info
    for street in ("9 Hàng Bài", "1 Phan Chu Trinh", "9 Hàng Bài"):
        tax_info.address = street
        tax_info.save()
        refresh_configuration(Invoice.objects.get(), actor="user:1", reason=REASON)
    text, _ = preview(operator, "replay", invoice)
    assert "It differs" in text and "<del>1 Phan Chu Trinh</del>" in text and "<ins>9 Hàng Bài</ins>" in text
    assert [kept.document for kept in SentDocument.objects.all()] == [sent]
    assert evidence.contents(Invoice.objects.get())[f"sent/{documents.sha256(sent)}.json"] == sent.encode()


def test_an_attempts_page_shows_what_it_sent_with_the_buyer_only_if_permitted(operator: Any) -> None:
    invoice = cast.failed(failure="refused", buyer=cast.COMPANY)
    add_unavailable_attempt(invoice)
    amend(Invoice.objects.get(), actor="user:1", reason=REASON, buyer=cast.PERSON)
    page = change_url(invoice.issuances.get())
    assert f'<a href="{page}#paper">an earlier document</a>' in operator.get(change_url(invoice)).text
    seen = operator.get(page).text
    assert cast.COMPANY["name"] in seen and cast.COMPANY["address"] in seen and cast.PERSON["name"] not in seen
    seen = signed_in(operator, "finance").get(page).text
    assert cast.COMPANY["taxCode"] in seen and cast.COMPANY["name"] not in seen and "Cà phê sữa đá" in seen


def test_a_document_that_was_never_sent_is_not_kept() -> None:
    amend(cast.failed(), actor="user:1", reason=REASON, buyer=cast.PERSON)
    assert not SentDocument.objects.exists()


def test_an_action_needs_a_reason(operator: Any) -> None:
    invoice = cast.failed()
    _, form = preview(operator, "replay", invoice)
    assert (
        "This field is required"
        in operator.post(action_url("replay", invoice), form | {"reason": " "}).content.decode()
    )
    assert Invoice.objects.get().state == State.FAILED


def test_a_row_that_changed_since_the_preview_is_previewed_again(operator: Any) -> None:
    invoice = cast.queued()
    _, form = preview(operator, "skip", invoice)
    skip(invoice, actor="user:9", reason="faster")
    response = operator.post(action_url("skip", invoice), form)
    assert response.status_code == 409 and "not while it is FAILED" in response.content.decode()
    assert Invoice.objects.get().tracings.filter(event_type="skipped").count() == 1


def test_a_rejected_action_shows_a_message_and_changes_nothing(operator: Any) -> None:
    invoice = cast.failed()
    Invoice.objects.update(first_uncertain_at=clock.now(), final_lookup_at=clock.now())
    response = operator.get(action_url("cancel", invoice))
    assert response.status_code == 409 and "may change after the final look-up" in response.content.decode()
    assert 'name="confirm"' not in response.content.decode()


@pytest.mark.parametrize(
    ("builder", "name", "state", "event"),
    [
        (cast.waiting, "issue-now", State.QUEUED, "issued_now"),
        (cast.waiting, "cancel", State.CANCELLED, "cancelled"),
        (cast.queued, "skip", State.FAILED, "skipped"),
    ],
)
def test_an_action_leads_to_the_state_in_its_preview(
    operator: Any, builder: Any, name: str, state: State, event: str
) -> None:
    invoice = builder()
    text, _ = preview(operator, name, invoice)
    assert f'badge-{state.lower()}">{state}' in text
    perform(operator, name, invoice)
    assert Invoice.objects.get().state == state
    assert_last_audit(invoice, operator, event)


def test_a_configuration_refresh_previews_the_differences(operator: Any) -> None:
    invoice = cast.failed()
    invoice.merchant.tax_info.address = "9 Hàng Bài"
    invoice.merchant.tax_info.save()
    text, _ = preview(operator, "refresh-configuration", invoice)
    assert "<del>1 Phan Chu Trinh</del>" in text and "<ins>9 Hàng Bài</ins>" in text
    perform(operator, "refresh-configuration", invoice)
    assert_last_audit(invoice, operator, "configuration_refreshed")


def line_fields(invoice: Invoice, **changed: Any) -> dict[str, Any]:
    fields = {"lines-TOTAL_FORMS": len(invoice.sold["lines"]) + 1, "lines-INITIAL_FORMS": len(invoice.sold["lines"])}
    for at, line in enumerate(invoice.sold["lines"]):
        fields |= {f"lines-{at}-{name}": value for name, value in line.items()}
    return {**fields, **changed}


def test_a_preview_that_depends_on_other_rows_or_the_clock_is_checked_too(operator: Any) -> None:
    """Today's configuration comes from other rows, and the day from the clock."""
    invoice = cast.failed(failure="exhausted", buyer=cast.COMPANY)
    TaxInfo.objects.update(address="1 Lý Thái Tổ")
    text, form = preview(operator, "refresh-configuration", invoice)
    assert "2 Lý Thái Tổ" not in text
    TaxInfo.objects.update(address="2 Lý Thái Tổ")
    again = operator.post(action_url("refresh-configuration", invoice), form)
    assert "Please check it again" in again.text and "2 Lý Thái Tổ" in again.text
    _, form = preview(operator, "replay", invoice)
    with clock.frozen(clock.now() + timedelta(days=1)):
        assert "Please check it again" in operator.post(action_url("replay", invoice), form).text
    assert Invoice.objects.get().state == State.FAILED and not invoice.tracings.filter(event_type="replayed").exists()


def test_amending_the_buyer_keeps_the_lines(operator: Any) -> None:
    invoice = cast.failed(buyer=cast.COMPANY)
    buyer = {**cast.COMPANY, "name": "Công ty TNHH Hoa Sen Hồng"}
    text, _ = preview(operator, "amend", invoice, params={**buyer, **line_fields(invoice)})
    assert "Hoa Sen Hồng" in text
    assert "amended" in perform(operator, "amend", invoice, params={**buyer, **line_fields(invoice)})
    amended = Invoice.objects.get()
    assert (amended.state, amended.buyer["name"]) == (State.QUEUED, "Công ty TNHH Hoa Sen Hồng")
    assert amended.sold["lines"] == invoice.sold["lines"]
    assert_last_audit(invoice, operator, "amended")


def test_amended_lines_must_add_up_to_the_payment(operator: Any) -> None:
    invoice = cast.failed()
    dearer = line_fields(invoice, **{"lines-0-unitPrice": 36000})
    response = operator.post(action_url("amend", invoice), {**dearer, "reason": REASON})
    assert "total" in response.text and 'name="confirm"' not in response.text
    assert 'value="36000"' in response.text  # what was typed stays in the form
    perform(operator, "amend", invoice, params=line_fields(invoice, **{"lines-0-name": "Cà phê đen"}))
    assert Invoice.objects.get().bill["lines"][0]["name"] == "Cà phê đen"


def test_the_longest_receipt_can_be_amended(operator: Any) -> None:
    lines = [{"name": f"Món {at}", "quantity": 1, "unitPrice": 1000, "vatRate": "8%"} for at in range(300)]
    invoice = cast.failed(buyer=cast.COMPANY, lines=lines, total=300_000)
    perform(operator, "amend", invoice, params={**form_values(operator, "amend", invoice), "name": "Công ty Hoa Sen"})
    assert Invoice.objects.get().buyer["name"] == "Công ty Hoa Sen"


def test_a_discount_and_a_decimal_quantity_stay_when_only_the_buyer_is_amended(operator: Any) -> None:
    """1.5 kg with a discount of 10,000: the form's texts are read back as the stored numbers."""
    lines = [{"name": "Cà phê hạt", "unit": "kg", "quantity": Decimal("1.50"), "unitPrice": 40000, "vatRate": "8%"}]
    invoice = cast.failed(buyer=cast.COMPANY, lines=lines, discount=10000, total=50000)
    params = {**form_values(operator, "amend", invoice), "name": "Công ty TNHH Hoa Sen Hồng"}
    assert params["lines-0-quantity"] == "1.5"
    assert "discount of 10.000" in operator.get(action_url("amend", invoice)).text
    perform(operator, "amend", invoice, params=params)
    amended = Invoice.objects.get()
    assert (amended.sold, amended.bill, amended.total) == (invoice.sold, invoice.bill, 50000)
    changed = set(invoice.tracings.filter(event_type="amended").get().content["before"])
    assert "buyer" in changed and not changed & {"sold", "total", "vat"}


def form_values(client: Any, name: str, row: Any) -> dict[str, Any]:
    """The values of an action's form, as a browser would send them."""
    form = client.get(action_url(name, row)).context["form"]
    fields = [*form, *form.lines.management_form, *(field for line in form.lines for field in line)]
    return {field.html_name: field.value() for field in fields if field.value() is not None}


def test_a_company_is_replaced_by_the_consumer_with_and_without_a_changed_line(operator: Any) -> None:
    one, other = cast.failed(buyer=cast.COMPANY), cast.failed(buyer=cast.COMPANY)
    consumer = dict.fromkeys(FIELDS, "")
    for invoice, line in ((one, {}), (other, {"lines-0-name": "Cà phê đen"})):
        perform(operator, "amend", invoice, params={**form_values(operator, "amend", invoice), **consumer, **line})
        amended = Invoice.objects.get(pk=invoice.pk)
        assert (amended.state, amended.buyer, amended.buyer_source) == (State.QUEUED, {}, "")
    half = cast.failed(buyer=cast.PERSON)
    response = operator.post(
        action_url("amend", half), {**form_values(operator, "amend", half), "kind": "", "reason": REASON}
    )
    assert "For the consumer, clear" in response.text and 'name="confirm"' not in response.text


def test_an_invalid_buyer_and_an_empty_amendment_are_refused_by_the_form(operator: Any) -> None:
    invoice = cast.failed()
    wrong = {"kind": "company", "name": "x", "taxCode": "0100109107", "address": "y", **line_fields(invoice)}
    for fields, why in ((wrong, "tenth digit"), (line_fields(invoice), "Nothing was changed")):
        text = operator.post(action_url("amend", invoice), {**fields, "reason": REASON}).content.decode()
        assert why in text and 'name="confirm"' not in text
    assert Invoice.objects.get().state == State.FAILED


@pytest.mark.django_db(transaction=True)
def test_the_provider_is_looked_up_and_its_invoice_adopted(operator: Any, provider: Simulator) -> None:
    merchant = seller_at(provider)
    invoice = cast.uncertain(merchant=merchant)
    text, _ = preview(operator, "look-up", invoice)
    assert str(invoice.reference) in text
    assert "the provider does not know it" in perform(operator, "look-up", invoice)
    assert_last_audit(invoice, operator, "looked_up")
    skip(invoice, actor="user:9", reason="stuck")
    assert operator.get(action_url("adopt", invoice)).status_code == 409  # there is nothing to adopt
    issue_at_provider(invoice)
    assert "FAILED" in perform(operator, "look-up", invoice)
    assert Invoice.objects.get().failure == "conflict"
    text, _ = preview(operator, "adopt", invoice)
    assert "<ins>1</ins>" in text
    assert "adopted as 1C26TAA-1" in perform(operator, "adopt", invoice)
    assert_last_audit(invoice, operator, "adopted")


# --- merchants, accounts, partitions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["merchant", "account", "partition"])
def test_a_pause_has_its_reason_in_the_history(operator: Any, what: str) -> None:
    invoice = cast.queued()
    operator.get("/admin/invoices/partition/")  # creates the rows
    row: Any = Partition.objects.get(pk=invoice.partition) if what == "partition" else getattr(invoice, what)
    perform(operator, "pause", row)
    assert operator.get(action_url("pause", row)).status_code == 409
    assert type(row).objects.get(pk=row.pk).paused
    version = row.history.first()
    assert (version.history_user, version.history_change_reason) == (operator.user, f"paused: {REASON}")
    perform(operator, "resume", row)
    assert not type(row).objects.get(pk=row.pk).paused
    for label in ("Pause", "Resume"):
        assert_in_history(row, operator, f"<td>{label}: ")


def test_every_partition_is_listed_even_if_none_was_ever_paused(operator: Any) -> None:
    text = operator.get("/admin/invoices/partition/").content.decode()
    assert [change_url(Partition(pk=p)) in text for p in range(3)] == [True] * 3


@pytest.mark.django_db(transaction=True)
def test_a_probe_shows_what_is_wrong_and_reopens_an_account_parked_for_its_login(
    operator: Any, provider: Simulator
) -> None:
    account = seller_at(provider).accounts.get()
    good, bad = account.encrypted_credentials, {"username": "x", "password": "wrong"}
    account.set_credentials(bad)
    account.save()
    ProviderAccount.objects.update(parked_for_login=True, parked_until=clock.now(), parked_reason="login")
    assert "it does not work" in perform(operator, "probe", account)
    assert ProviderAccount.objects.get().parked_for_login
    ProviderAccount.objects.update(encrypted_credentials=good)
    assert "the login and the symbol work" in perform(operator, "probe", account)
    assert not ProviderAccount.objects.get().parked_for_login
    assert LogEntry.objects.filter(user=operator.user, change_message__contains=REASON).count() == 2
    assert_in_history(account, operator, "Probe: it does not work")
    assert_in_history(account, operator, "Probe: the login and the symbol work")


def test_a_resync_shows_and_restores_the_platforms_last_data(operator: Any) -> None:
    row = {"id": "m-1", "name": "Sương Mai", "status": "active"}
    apply_changes.apply_envelope({"op": "c", "after": row, "source": {"lsn": 1, "ts_ms": 1}}, source="test")
    merchant = Merchant.objects.get(code="m-1")
    text, _ = preview(operator, "resync", merchant)
    assert "our data is the platform's latest" in text
    merchant.name = "Renamed by hand"
    merchant.save()
    text, _ = preview(operator, "resync", merchant)
    assert "<del>Renamed by hand</del>" in text and "<ins>Sương Mai</ins>" in text
    assert Merchant.objects.get().name == "Renamed by hand"
    perform(operator, "resync", merchant)
    assert Merchant.objects.get().name == "Sương Mai"
    assert "Resync" in logged_message(merchant, operator)


def test_a_merchant_unknown_to_the_platform_cannot_be_resynced(operator: Any) -> None:
    response = operator.get(action_url("resync", cast.seller()))
    assert response.status_code == 409 and "has sent no data of this merchant" in response.content.decode()


# --- messages ---------------------------------------------------------------------------------------------------------


def test_quarantined_messages_are_replayed_together_from_their_list(operator: Any, settings: Any) -> None:
    topic = settings.KAFKA_MERCHANT_TOPIC
    rows = [Quarantine.objects.create(topic=topic, partition=0, offset=at, value=b"{}", error="bad") for at in (1, 2)]
    chosen = {"action": "action_replay", "_selected_action": [row.pk for row in rows]}
    assert operator.post("/admin/merchants/quarantine/", chosen)["Location"] == action_url("replay", *reversed(rows))
    text, _ = preview(operator, "replay", *rows)
    assert text.count("bytes from") == 2
    perform(operator, "replay", *rows)
    assert [("still wrong" in logged_message(row, operator)) for row in rows] == [True, True]


def test_a_refused_event_can_be_replayed(operator: Any, client: Any) -> None:
    sale = cast.payment(cast.seller(), total=1)
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    event = WebhookEvent.objects.get()
    text, _ = preview(operator, "replay", event)
    assert event.type in text and event.error.split(":")[0] in text
    assert "refused" in perform(operator, "replay", event)
    assert WebhookEvent.objects.get().tries == event.tries + 1
    assert "Replay" in logged_message(event, operator)


def test_a_refused_event_can_be_closed(operator: Any, client: Any) -> None:
    sale = cast.payment(cast.seller(), total=1)
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    event = WebhookEvent.objects.get()
    assert "closed" in perform(operator, "close", event)
    assert WebhookEvent.objects.get().status == "closed"
    assert "Close" in logged_message(event, operator)
    assert operator.get(action_url("replay", event)).status_code == 409


def test_a_done_event_cannot_be_replayed(operator: Any, client: Any) -> None:
    sale = cast.payment(cast.seller())
    client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", sale)))
    assert operator.get(action_url("replay", WebhookEvent.objects.get())).status_code == 409


def test_a_delivery_can_be_sent_again_unless_its_endpoint_is_disabled(operator: Any) -> None:
    endpoint = WebhookEndpoint.objects.create(url="https://a.example/h")
    write_test_delivery(endpoint)
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(state="dead", attempts=9)
    assert "due now" in perform(operator, "replay", delivery)
    assert WebhookDelivery.objects.get().state == "pending"
    logged_message(delivery, operator)
    WebhookEndpoint.objects.update(disabled_reason="by hand")
    assert operator.get(action_url("replay", delivery)).status_code == 409


def test_security_removes_endpoints_and_idle_accounts_and_the_rows_stay(operator: Any) -> None:
    signed_in(operator, "security")
    endpoint, account = WebhookEndpoint.objects.create(url="https://a.example/h"), cast.seller().accounts.get()
    for row in (endpoint, account):
        perform(operator, "remove", row)
        assert_in_history(row, operator, "Remove: removed")
        row.refresh_from_db()
        assert row.deleted_at and row.history.first().history_change_reason == f"removed: {REASON}"
    owing = cast.queued().account
    response = operator.get(action_url("remove", owing))
    assert response.status_code == 409 and "still owes invoices" in response.content.decode()
