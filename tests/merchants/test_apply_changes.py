"""Changes of merchants: Debezium's envelopes, positions in the log, bad tax data, poison messages, drift."""

import copy
import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from merchants.models import AdministrativeUnit, Merchant, MerchantChange, Quarantine, TaxInfo
from merchants.sync import apply_changes, parse_tax_data, quarantine
from merchants.sync.apply_changes import Outcome, Unreadable
from merchants.sync.messages import Message
from tests import cast
from tests.console.action_pages import perform

pytestmark = pytest.mark.django_db
WIRE = Path(settings.ROOT) / "fixtures" / "wire" / "debezium"
CODE = "tra-sen-vang"
SKIP = "[handleMerchantCDC] op=u tax unchanged, SKIP"


@pytest.fixture(autouse=True)
def commune(db: None) -> None:
    AdministrativeUnit.objects.create(code="26740", name="Sài Gòn", level=AdministrativeUnit.Level.COMMUNE)


def sample(name: str, *, at: int | None = None) -> dict[str, Any]:
    """A sample's value; `at` moves it to another position in the log."""
    value = json.loads((WIRE / f"{name}.json").read_text())["value"]
    if at is not None:
        value["source"].update(lsn=at, ts_ms=at)
    return value


def message(name: str, offset: int = 0) -> Message:
    parts = json.loads((WIRE / f"{name}.json").read_text())
    key, value = (None if part is None else json.dumps(part).encode() for part in (parts["key"], parts["value"]))
    return Message(settings.KAFKA_MERCHANT_TOPIC, 0, offset, key, value)


def apply_sample(name: str, *, at: int | None = None) -> Outcome:
    return apply_changes.apply_envelope(sample(name, at=at), source="test")


def envelope_at(at: int, op: str = "u", **more: Any) -> dict[str, Any]:
    """An envelope at a position in the log. `tax` changes fields of the tax data, or replaces it."""
    row = {**sample("create")["after"], "metadata": json.loads(sample("create")["after"]["metadata"])}
    tax = more.pop("tax", {})
    row["metadata"]["tax"] = {**row["metadata"]["tax"], **tax} if isinstance(tax, dict) else tax
    return {"op": op, "before": None, "after": {**row, **more}, "source": {"lsn": at, "ts_ms": at}}


def stored() -> tuple[Merchant, TaxInfo]:
    merchant = Merchant.objects.get(code=CODE)
    return merchant, merchant.tax_info


def rows() -> tuple[int, ...]:
    return tuple(m.objects.count() for m in (Merchant, TaxInfo, Merchant.history.model, TaxInfo.history.model))


# --- Sample envelopes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["snapshot", "create"])
def test_a_snapshot_and_a_create_add_a_merchant_with_its_tax_data(name: str) -> None:
    assert apply_sample(name) == Outcome.STORED
    merchant, info = stored()
    assert (merchant.name, merchant.is_active, merchant.tax_problem) == ("Trà Sen Vàng", True, "")
    assert (info.tax_code, info.legal_name, info.commune_id) == ("0312345673", "Công ty TNHH Trà Sen Vàng", "26740")
    assert (info.email, info.phone, info.method) == ("ketoan@trasenvang.example", "02838221234", "deduction")
    assert merchant.history.get().history_change_reason == info.history.get().history_change_reason == "test"


@pytest.mark.parametrize(
    ("name", "title", "address"),
    [
        ("update", "Trà Sen Vàng Sài Gòn", "20 Nguyễn Huệ"),
        ("update_without_before", "Trà Sen Vàng Sài Gòn", "22 Nguyễn Huệ"),
        ("update_unavailable", "Trà Sen Vàng Đà Lạt", "18 Nguyễn Huệ"),
        ("wrapped", "Trà Sen Vàng Hà Nội", "18 Nguyễn Huệ"),
    ],
)
def test_an_update_writes_the_difference(name: str, title: str, address: str) -> None:
    apply_sample("create")
    assert apply_sample(name) == Outcome.STORED
    merchant, info = stored()
    assert (merchant.name, info.address, info.tax_code) == (title, address, "0312345673")


def test_an_unavailable_field_is_unchanged() -> None:
    apply_sample("create")
    apply_sample("update_unavailable_field")
    info = stored()[1]
    assert (info.address, info.phone) == ("18 Nguyễn Huệ", "02838225678")
    assert "unavailable" not in json.dumps(MerchantChange.objects.get().row)


def test_a_delete_soft_deletes_the_merchant_and_a_later_change_restores_it() -> None:
    apply_sample("create", at=1)
    assert apply_sample("delete", at=2) == Outcome.STORED
    assert stored()[0].deleted_at
    assert apply_sample("create", at=1) == Outcome.STALE
    assert stored()[0].deleted_at
    assert apply_sample("update", at=3) == Outcome.STORED
    assert stored()[0].deleted_at is None


def test_a_truncate_is_refused() -> None:
    apply_sample("create")
    with pytest.raises(Unreadable):
        apply_sample("truncate")
    assert stored()[0].deleted_at is None


def test_a_tombstone_and_a_heartbeat_change_nothing() -> None:
    assert apply_changes.apply_batch([message("tombstone"), message("heartbeat", 1)]) == []
    assert apply_sample("heartbeat") == Outcome.IGNORED
    assert rows() == (0, 0, 0, 0)


def test_a_kafka_batch_applies_every_sample_and_returns_the_poison() -> None:
    names = ["create", "update", "update_unavailable", "delete", "tombstone", "truncate", "heartbeat", "wrapped"]
    poison = apply_changes.apply_batch([message(name, at) for at, name in enumerate(names)])
    assert [(p.message.offset, p.error.split(":")[0]) for p in poison] == [(5, "op")]
    assert stored()[0].deleted_at is None  # `wrapped` came after the delete


def test_a_delete_without_before_uses_the_message_key() -> None:
    apply_sample("create", at=1)
    value = {"op": "d", "before": None, "after": None, "source": {"lsn": 2, "ts_ms": 2}}
    with pytest.raises(Unreadable):
        apply_changes.apply_envelope(value, source="test")
    assert (
        apply_changes.apply_envelope(value, source="test", key=b'{"payload": {"id": "tra-sen-vang"}}') == Outcome.STORED
    )
    assert stored()[0].deleted_at


# --- Differences and positions ----------------------------------------------------------------------------------------


def test_an_update_with_the_same_data_writes_nothing_and_logs_a_skip(caplog: pytest.LogCaptureFixture) -> None:
    apply_sample("create", at=1)
    before, seen = rows(), stored()[0].updated_at
    with caplog.at_level(logging.INFO):
        assert (
            apply_changes.apply_envelope(envelope_at(2, updatedAt="2026-11-24T00:00:00Z"), source="test")
            == Outcome.UNCHANGED
        )
    assert SKIP in caplog.text
    assert (rows(), stored()[0].updated_at) == (before, seen)


def test_the_difference_is_from_our_data_not_from_before() -> None:
    merchant = cast.seller(CODE)
    envelope = envelope_at(1, name=merchant.name)
    envelope["before"] = envelope["after"]  # the platform sees no change, but our data differs
    assert apply_changes.apply_envelope(envelope, source="test") == Outcome.STORED
    assert stored()[1].tax_code == "0312345673"


def test_an_unavailable_value_keeps_data_that_an_operator_entered() -> None:
    cast.seller(CODE)
    before = stored()[1].tax_code
    assert apply_sample("update_unavailable") == Outcome.STORED
    assert (stored()[0].name, stored()[1].tax_code) == ("Trà Sen Vàng Đà Lạt", before)


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        ({"lsn": 9, "ts_ms": 99}, Outcome.STALE),
        ({"lsn": 10, "ts_ms": 10}, Outcome.STALE),
        ({"lsn": 10, "ts_ms": 11}, Outcome.STORED),
        ({"lsn": 11, "ts_ms": 1}, Outcome.STORED),
        ({"ts_ms": 10}, Outcome.STALE),
        ({"ts_ms": 11}, Outcome.STORED),
    ],
)
def test_older_and_equal_positions_never_overwrite_newer(source: dict[str, int], outcome: Outcome) -> None:
    apply_sample("create", at=10)
    assert apply_changes.apply_envelope({**envelope_at(0, name="Khác"), "source": source}, source="test") == outcome
    assert (stored()[0].name == "Khác") is (outcome == Outcome.STORED)


def test_a_skipped_change_still_moves_the_position() -> None:
    apply_sample("create", at=10)
    apply_changes.apply_envelope(envelope_at(20), source="test")
    assert apply_changes.apply_envelope(envelope_at(15, name="Khác"), source="test") == Outcome.STALE


def test_the_position_of_a_delete_of_an_unknown_merchant_is_stored() -> None:
    assert apply_sample("delete", at=5) == Outcome.UNCHANGED
    assert apply_sample("create", at=4) == Outcome.STALE
    assert not Merchant.objects.exists()


def test_a_status_other_than_active_deactivates_the_merchant() -> None:
    apply_sample("create", at=1)
    apply_changes.apply_envelope(envelope_at(2, status="SUSPENDED"), source="test")
    assert not stored()[0].is_active
    apply_changes.apply_envelope(envelope_at(3, status="ACTIVE"), source="test")
    assert stored()[0].is_active


# --- Bad tax data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tax", "field"),
    [
        ({"taxCode": "0312345674"}, "taxCode"),
        ({"taxCode": 312345673}, "taxCode"),
        ({"communeCode": "99999"}, "communeCode"),
        ({"method": "barter"}, "method"),
        ({"email": "nobody"}, "email"),
        ({"legalName": ""}, "legalName"),
        ({"address": "x" * 500}, "address"),
    ],
)
def test_bad_tax_data_is_reported_and_replaces_nothing(tax: dict[str, Any], field: str) -> None:
    apply_sample("create", at=1)
    assert apply_changes.apply_envelope(envelope_at(2, tax=tax, name="Trà mới"), source="test") == Outcome.STORED
    merchant, info = stored()
    assert merchant.tax_problem.startswith(f"{field}: ")
    assert not any(str(value) in merchant.tax_problem for value in tax.values() if value)
    assert (merchant.name, info.tax_code, info.history.count()) == ("Trà mới", "0312345673", 1)
    assert apply_changes.apply_envelope(envelope_at(3, tax=tax, name="Trà mới"), source="test") == Outcome.UNCHANGED
    apply_changes.apply_envelope(envelope_at(4), source="test")
    assert stored()[0].tax_problem == ""


def test_a_change_without_tax_data_keeps_the_old_tax_data() -> None:
    apply_sample("create", at=1)
    apply_changes.apply_envelope(envelope_at(2, metadata=None), source="test")
    merchant, info = stored()
    assert merchant.tax_problem and info.tax_code == "0312345673"


def test_a_merchant_with_only_bad_tax_data_has_none() -> None:
    apply_changes.apply_envelope(envelope_at(1, tax={"taxCode": "1"}), source="test")
    assert Merchant.objects.get().tax_problem and not TaxInfo.objects.exists()


def test_the_console_shows_the_tax_problem(admin_client: Client) -> None:
    apply_changes.apply_envelope(envelope_at(1, tax={"communeCode": "99999"}), source="test")
    for page in ("", f"{Merchant.objects.get().pk}/change/"):
        assert "There is no commune with this code" in admin_client.get(f"/admin/merchants/merchant/{page}").text


# --- Poison -----------------------------------------------------------------------------------------------------------

POISON = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"op": "x"}',
    b'{"op": "c", "after": null, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": ""}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a\\u0000b"}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a", "name": "\\ud800"}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a", "metadata": "{"}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a", "metadata": "{\\"tax\\": \\"\\\\u0000\\"}"}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a"}}',
    b'{"op": ["c"], "after": {"id": "a"}, "source": {"lsn": 1}}',
    b'{"op": "c", "after": {"id": "a"}, "source": {"lsn": 99999999999999999999}}',
]


@pytest.mark.parametrize("value", POISON, ids=range(len(POISON)))
def test_poison_is_returned_and_the_other_messages_are_applied(value: bytes) -> None:
    poison = apply_changes.apply_batch([message("create"), Message("t", 0, 1, None, value), message("update", 2)])
    assert [p.message.offset for p in poison] == [1]
    assert Merchant.objects.get().name == "Trà Sen Vàng Sài Gòn"


def test_an_internal_error_affects_only_its_own_message(monkeypatch: Any) -> None:
    real = parse_tax_data.differing_fields

    def broken(info: TaxInfo | None, fields: dict[str, str | None]) -> list[str]:
        if fields["address"] == "20 Nguyễn Huệ":
            raise RuntimeError("a bug")
        return real(info, fields)

    monkeypatch.setattr(parse_tax_data, "differing_fields", broken)
    poison = apply_changes.apply_batch([message("create"), message("update", 1)])
    assert [(p.message.offset, p.error) for p in poison] == [(1, "RuntimeError")]
    assert stored()[0].name == "Trà Sen Vàng"
    quarantine.store(poison)
    monkeypatch.setattr(parse_tax_data, "differing_fields", real)
    out = StringIO()
    call_command("replay_quarantined", all=True, stdout=out)
    assert (stored()[0].name, stored()[1].address) == ("Trà Sen Vàng Sài Gòn", "20 Nguyễn Huệ")
    assert "replayed" in out.getvalue()


def test_a_message_is_quarantined_once_and_can_be_replayed_in_the_console(admin_client: Client) -> None:
    bad = Message(settings.KAFKA_MERCHANT_TOPIC, 0, 7, b"k\xff", b"\xff")
    for _ in range(2):
        quarantine.store(apply_changes.apply_batch([bad]))
    row = Quarantine.objects.get()
    assert (bytes(row.key), bytes(row.value), row.error) == (b"k\xff", b"\xff", "This is not JSON.")
    with pytest.raises(SystemExit):
        call_command("replay_quarantined", row.pk, stdout=StringIO())
    Quarantine.objects.update(value=message("create").value)  # as if a new release could read it
    assert "replayed" in perform(admin_client, "replay", row)
    row.refresh_from_db()
    assert row.replayed_at and stored()[0].name == "Trà Sen Vàng"


# --- Webhooks and commands --------------------------------------------------------------------------------------------


def test_a_webhook_applies_the_same_envelope(client: Client) -> None:
    call = cast.signed(cast.event("merchant.changed", sample("create")))
    answer = client.post("/v1/api/webhooks/internal", **call)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "stored")
    assert stored()[0].history.get().history_change_reason == "webhook:internal"
    bad = cast.signed(cast.event("merchant.changed", sample("truncate")))
    answer = client.post("/v1/api/webhooks/internal", **bad)
    assert (answer.status_code, answer.json()["field"]) == (422, "op")


def test_the_merchant_route_cannot_change_merchants(client: Client) -> None:
    call = cast.signed(cast.event("merchant.changed", sample("create")), route="merchant")
    assert client.post("/v1/api/webhooks/merchant", **call).status_code == 422
    assert not Merchant.objects.exists()


def test_tax_drift_names_fields_without_values_and_fixes_them() -> None:
    apply_sample("create", at=1)
    out = StringIO()
    call_command("tax_drift", stdout=out)
    TaxInfo.objects.update(address="1 Nơi Khác", email="")
    with pytest.raises(SystemExit) as stopped:
        call_command("tax_drift", stdout=out)
    assert stopped.value.code == 1
    assert f"{CODE}  address, email" in out.getvalue()
    assert "Nơi Khác" not in out.getvalue() and "Nguyễn" not in out.getvalue()
    call_command("tax_drift", fix=True, stdout=out)
    assert (stored()[1].address, stored()[1].history.latest().history_change_reason) == (
        "18 Nguyễn Huệ",
        "tax_drift --fix",
    )


def test_tax_drift_that_cannot_be_fixed_stays_an_error() -> None:
    apply_sample("create", at=1)
    apply_changes.apply_envelope(envelope_at(2, tax={"taxCode": "0312345674"}), source="test")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("tax_drift", fix=True, stdout=out)
    assert "taxCode: " in out.getvalue() and "0312345674" not in out.getvalue()


def test_resync_applies_the_latest_change_again() -> None:
    apply_sample("create", at=1)
    apply_sample("update", at=2)
    TaxInfo.objects.update(address="1 Nơi Khác")
    Merchant.objects.update(name="Tên cũ")
    call_command("resync_merchant", CODE, stdout=StringIO())
    assert (stored()[0].name, stored()[1].address) == ("Trà Sen Vàng Sài Gòn", "20 Nguyễn Huệ")
    apply_sample("delete", at=3)
    Merchant.objects.update(deleted_at=None)
    call_command("resync_merchant", CODE, stdout=StringIO())
    assert stored()[0].deleted_at
    with pytest.raises(CommandError):
        call_command("resync_merchant", "unknown", stdout=StringIO())


def test_the_order_and_repetition_of_envelopes_do_not_matter() -> None:
    envelopes = [envelope_at(at, name=f"Tên {at}", tax={"address": f"{at} Lê Lợi"}) for at in range(1, 8)]
    for envelope in [*envelopes[3:], *envelopes, *envelopes[::-1]]:
        apply_changes.apply_envelope(copy.deepcopy(envelope), source="test")
    assert (stored()[0].name, stored()[1].address) == ("Tên 7", "7 Lê Lợi")
