"""Envelopes as Debezium writes them, and what becomes of a merchant."""

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
from merchants.sync import changes, quarantine, tax_data
from merchants.sync.changes import Outcome, Unreadable
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


def recorded(name: str, *, at: int | None = None) -> dict[str, Any]:
    """A sample's value; `at` moves it to another place in the log."""
    value = json.loads((WIRE / f"{name}.json").read_text())["value"]
    if at is not None:
        value["source"].update(lsn=at, ts_ms=at)
    return value


def message(name: str, offset: int = 0) -> Message:
    sample = json.loads((WIRE / f"{name}.json").read_text())
    key, value = (None if part is None else json.dumps(part).encode() for part in (sample["key"], sample["value"]))
    return Message(settings.KAFKA_MERCHANT_TOPIC, 0, offset, key, value)


def heard(name: str, *, at: int | None = None) -> Outcome:
    return changes.apply(recorded(name, at=at), source="test")


def told(at: int, op: str = "u", **more: Any) -> dict[str, Any]:
    """An envelope made by hand; `tax` changes single fields of the tax data, or is all of it."""
    row = {**recorded("create")["after"], "metadata": json.loads(recorded("create")["after"]["metadata"])}
    tax = more.pop("tax", {})
    row["metadata"]["tax"] = {**row["metadata"]["tax"], **tax} if isinstance(tax, dict) else tax
    return {"op": op, "before": None, "after": {**row, **more}, "source": {"lsn": at, "ts_ms": at}}


def held() -> tuple[Merchant, TaxInfo]:
    merchant = Merchant.objects.get(code=CODE)
    return merchant, merchant.tax_info


def rows() -> tuple[int, ...]:
    return tuple(m.objects.count() for m in (Merchant, TaxInfo, Merchant.history.model, TaxInfo.history.model))


# --- The recorded envelopes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["snapshot", "create"])
def test_a_snapshot_and_a_create_make_a_merchant_with_its_tax_data(name: str) -> None:
    assert heard(name) == Outcome.STORED
    merchant, info = held()
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
    heard("create")
    assert heard(name) == Outcome.STORED
    merchant, info = held()
    assert (merchant.name, info.address, info.tax_code) == (title, address, "0312345673")


def test_an_unavailable_field_is_unchanged() -> None:
    heard("create")
    heard("update_unavailable_field")
    info = held()[1]
    assert (info.address, info.phone) == ("18 Nguyễn Huệ", "02838225678")
    assert "unavailable" not in json.dumps(MerchantChange.objects.get().row)


def test_a_delete_hides_the_merchant_and_a_later_change_brings_it_back() -> None:
    heard("create", at=1)
    assert heard("delete", at=2) == Outcome.STORED
    assert held()[0].deleted_at
    assert heard("create", at=1) == Outcome.STALE
    assert held()[0].deleted_at
    assert heard("update", at=3) == Outcome.STORED
    assert held()[0].deleted_at is None


def test_a_truncate_is_refused() -> None:
    heard("create")
    with pytest.raises(Unreadable):
        heard("truncate")
    assert held()[0].deleted_at is None


def test_a_tombstone_and_a_heartbeat_change_nothing() -> None:
    assert changes.take([message("tombstone"), message("heartbeat", 1)]) == []
    assert heard("heartbeat") == Outcome.IGNORED
    assert rows() == (0, 0, 0, 0)


def test_every_sample_goes_through_kafka_s_door_too() -> None:
    names = ["create", "update", "update_unavailable", "delete", "tombstone", "truncate", "heartbeat", "wrapped"]
    poison = changes.take([message(name, at) for at, name in enumerate(names)])
    assert [(p.message.offset, p.error.split(":")[0]) for p in poison] == [(5, "op")]
    assert held()[0].deleted_at is None  # `wrapped` came after the delete


def test_a_delete_without_its_row_is_known_by_its_key() -> None:
    heard("create", at=1)
    value = {"op": "d", "before": None, "after": None, "source": {"lsn": 2, "ts_ms": 2}}
    with pytest.raises(Unreadable):
        changes.apply(value, source="test")
    assert changes.apply(value, source="test", key=b'{"payload": {"id": "tra-sen-vang"}}') == Outcome.STORED
    assert held()[0].deleted_at


# --- The difference, and positions -----------------------------------------------------------------------------------


def test_an_update_with_the_same_data_writes_nothing_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    heard("create", at=1)
    before, seen = rows(), held()[0].updated_at
    with caplog.at_level(logging.INFO):
        assert changes.apply(told(2, updatedAt="2026-11-24T00:00:00Z"), source="test") == Outcome.UNCHANGED
    assert SKIP in caplog.text
    assert (rows(), held()[0].updated_at) == (before, seen)


def test_the_difference_is_from_what_we_hold_not_from_before() -> None:
    merchant = cast.seller(CODE)
    envelope = told(1, name=merchant.name)
    envelope["before"] = envelope["after"]  # the platform sees no change; we hold something else
    assert changes.apply(envelope, source="test") == Outcome.STORED
    assert held()[1].tax_code == "0312345673"


def test_a_placeholder_keeps_what_an_operator_typed_and_what_we_held_before_we_followed() -> None:
    cast.seller(CODE)
    before = held()[1].tax_code
    assert heard("update_unavailable") == Outcome.STORED
    assert (held()[0].name, held()[1].tax_code) == ("Trà Sen Vàng Đà Lạt", before)


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
    heard("create", at=10)
    assert changes.apply({**told(0, name="Khác"), "source": source}, source="test") == outcome
    assert (held()[0].name == "Khác") is (outcome == Outcome.STORED)


def test_a_skipped_change_still_counts_as_heard() -> None:
    heard("create", at=10)
    changes.apply(told(20), source="test")
    assert changes.apply(told(15, name="Khác"), source="test") == Outcome.STALE


def test_a_delete_of_a_merchant_that_we_never_had_is_remembered() -> None:
    assert heard("delete", at=5) == Outcome.UNCHANGED
    assert heard("create", at=4) == Outcome.STALE
    assert not Merchant.objects.exists()


def test_a_status_that_is_not_active_stops_the_merchant() -> None:
    heard("create", at=1)
    changes.apply(told(2, status="SUSPENDED"), source="test")
    assert not held()[0].is_active
    changes.apply(told(3, status="ACTIVE"), source="test")
    assert held()[0].is_active


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
def test_bad_tax_data_is_shown_and_replaces_nothing(tax: dict[str, Any], field: str) -> None:
    heard("create", at=1)
    assert changes.apply(told(2, tax=tax, name="Trà mới"), source="test") == Outcome.STORED
    merchant, info = held()
    assert merchant.tax_problem.startswith(f"{field}: ")
    assert not any(str(value) in merchant.tax_problem for value in tax.values() if value)
    assert (merchant.name, info.tax_code, info.history.count()) == ("Trà mới", "0312345673", 1)
    assert changes.apply(told(3, tax=tax, name="Trà mới"), source="test") == Outcome.UNCHANGED
    changes.apply(told(4), source="test")
    assert held()[0].tax_problem == ""


def test_no_tax_data_any_more_takes_none_away() -> None:
    heard("create", at=1)
    changes.apply(told(2, metadata=None), source="test")
    merchant, info = held()
    assert merchant.tax_problem and info.tax_code == "0312345673"


def test_a_merchant_whose_only_tax_data_is_bad_has_none() -> None:
    changes.apply(told(1, tax={"taxCode": "1"}), source="test")
    assert Merchant.objects.get().tax_problem and not TaxInfo.objects.exists()


def test_the_console_shows_the_problem(admin_client: Client) -> None:
    changes.apply(told(1, tax={"communeCode": "99999"}), source="test")
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
def test_poison_is_told_apart_and_what_comes_with_it_is_kept(value: bytes) -> None:
    poison = changes.take([message("create"), Message("t", 0, 1, None, value), message("update", 2)])
    assert [p.message.offset for p in poison] == [1]
    assert Merchant.objects.get().name == "Trà Sen Vàng Sài Gòn"


def test_a_change_that_breaks_something_of_ours_does_not_take_its_batch_along(monkeypatch: Any) -> None:
    real = tax_data.differences

    def broken(info: TaxInfo | None, fields: dict[str, str | None]) -> list[str]:
        if fields["address"] == "20 Nguyễn Huệ":
            raise RuntimeError("we are wrong")
        return real(info, fields)

    monkeypatch.setattr(tax_data, "differences", broken)
    poison = changes.take([message("create"), message("update", 1)])
    assert [(p.message.offset, p.error) for p in poison] == [(1, "RuntimeError")]
    assert held()[0].name == "Trà Sen Vàng"
    quarantine.keep(poison)
    monkeypatch.setattr(tax_data, "differences", real)
    out = StringIO()
    call_command("replay_quarantined", all=True, stdout=out)
    assert (held()[0].name, held()[1].address) == ("Trà Sen Vàng Sài Gòn", "20 Nguyễn Huệ")
    assert "replayed" in out.getvalue()


def test_a_quarantined_message_is_kept_once_and_replayed_by_the_console(admin_client: Client) -> None:
    bad = Message(settings.KAFKA_MERCHANT_TOPIC, 0, 7, b"k\xff", b"\xff")
    for _ in range(2):
        quarantine.keep(changes.take([bad]))
    row = Quarantine.objects.get()
    assert (bytes(row.key), bytes(row.value), row.error) == (b"k\xff", b"\xff", "This is not JSON.")
    with pytest.raises(SystemExit):
        call_command("replay_quarantined", row.pk, stdout=StringIO())
    Quarantine.objects.update(value=message("create").value)  # as if a release had taught us to read it
    assert "replayed" in perform(admin_client, "replay", row)
    row.refresh_from_db()
    assert row.replayed_at and held()[0].name == "Trà Sen Vàng"


# --- The other ways in ------------------------------------------------------------------------------------------------


def test_a_webhook_brings_the_same_envelope(client: Client) -> None:
    call = cast.signed(cast.event("merchant.changed", recorded("create")))
    answer = client.post("/v1/api/webhooks/internal", **call)
    assert (answer.status_code, answer.json()["outcome"]) == (202, "stored")
    assert held()[0].history.get().history_change_reason == "webhook:internal"
    bad = cast.signed(cast.event("merchant.changed", recorded("truncate")))
    answer = client.post("/v1/api/webhooks/internal", **bad)
    assert (answer.status_code, answer.json()["field"]) == (422, "op")


def test_a_merchant_s_own_route_cannot_change_merchants(client: Client) -> None:
    call = cast.signed(cast.event("merchant.changed", recorded("create")), route="merchant")
    assert client.post("/v1/api/webhooks/merchant", **call).status_code == 422
    assert not Merchant.objects.exists()


def test_drift_is_found_named_without_its_values_and_mended() -> None:
    heard("create", at=1)
    out = StringIO()
    call_command("tax_drift", stdout=out)
    TaxInfo.objects.update(address="1 Nơi Khác", email="")
    with pytest.raises(SystemExit) as stopped:
        call_command("tax_drift", stdout=out)
    assert stopped.value.code == 1
    assert f"{CODE}  address, email" in out.getvalue()
    assert "Nơi Khác" not in out.getvalue() and "Nguyễn" not in out.getvalue()
    call_command("tax_drift", fix=True, stdout=out)
    assert (held()[1].address, held()[1].history.latest().history_change_reason) == ("18 Nguyễn Huệ", "tax_drift --fix")


def test_drift_that_cannot_be_mended_stays_an_error() -> None:
    heard("create", at=1)
    changes.apply(told(2, tax={"taxCode": "0312345674"}), source="test")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("tax_drift", fix=True, stdout=out)
    assert "taxCode: " in out.getvalue() and "0312345674" not in out.getvalue()


def test_resync_replays_what_we_heard_last() -> None:
    heard("create", at=1)
    heard("update", at=2)
    TaxInfo.objects.update(address="1 Nơi Khác")
    Merchant.objects.update(name="Tên cũ")
    call_command("resync_merchant", CODE, stdout=StringIO())
    assert (held()[0].name, held()[1].address) == ("Trà Sen Vàng Sài Gòn", "20 Nguyễn Huệ")
    heard("delete", at=3)
    Merchant.objects.update(deleted_at=None)
    call_command("resync_merchant", CODE, stdout=StringIO())
    assert held()[0].deleted_at
    with pytest.raises(CommandError):
        call_command("resync_merchant", "nobody", stdout=StringIO())


def test_the_order_and_repetition_of_envelopes_do_not_matter() -> None:
    envelopes = [told(at, name=f"Tên {at}", tax={"address": f"{at} Lê Lợi"}) for at in range(1, 8)]
    for envelope in [*envelopes[3:], *envelopes, *envelopes[::-1]]:
        changes.apply(copy.deepcopy(envelope), source="test")
    assert (held()[0].name, held()[1].address) == ("Tên 7", "7 Lê Lợi")
