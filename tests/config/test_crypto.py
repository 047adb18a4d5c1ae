"""Secrets at rest open with the right key, in the right place, unaltered; or not at all."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.base import crypto
from config.base.encrypted_columns import ENCRYPTED_COLUMNS
from config.models import Configuration
from merchants.models import ProviderAccount
from tests import cast

OLD, NEW = "ab" * 32, "cd" * 32


@given(st.text())
def test_what_is_sealed_opens_again(plain: str) -> None:
    assert crypto.decrypt(crypto.encrypt(plain, "here"), "here") == plain


def test_two_seals_of_one_text_differ_and_show_nothing() -> None:
    assert crypto.encrypt("secret", "here") != crypto.encrypt("secret", "here")
    assert "secret" not in crypto.encrypt("secret", "here")


def test_a_seal_that_was_moved_does_not_open() -> None:
    with pytest.raises(crypto.DecryptionFailed, match="copied from elsewhere"):
        crypto.decrypt(crypto.encrypt("secret", "row 1"), "row 2")


@pytest.mark.parametrize("at", [0, 11, 12, 17, -1])
def test_one_flipped_bit_does_not_open(at: int) -> None:
    head, _, body = crypto.encrypt("secret", "here").rpartition(".")
    raw = bytearray(base64.b64decode(body))
    raw[at] ^= 1
    with pytest.raises(crypto.DecryptionFailed):
        crypto.decrypt(f"{head}.{base64.b64encode(raw).decode()}", "here")


def test_no_letter_of_an_envelope_can_be_changed_or_left_out() -> None:
    envelope = crypto.encrypt("sixteen letters.", "here")
    for at in range(len(envelope)):
        for changed in (chr(ord(envelope[at]) ^ 1), "", f"{envelope[at]}!"):
            with pytest.raises(crypto.DecryptionFailed):
                crypto.decrypt(envelope[:at] + changed + envelope[at + 1 :], "here")


@pytest.mark.parametrize("envelope", ["", "v1", "v1.", "v1..", "plain text", "v2.12345678.AAAA"])
def test_what_is_no_envelope_does_not_open(envelope: str) -> None:
    with pytest.raises(crypto.DecryptionFailed):
        crypto.decrypt(envelope, "here")


@pytest.mark.django_db
class TestRows:
    def test_a_login_that_was_copied_to_another_account_does_not_open(self) -> None:
        mine, theirs = cast.seller().accounts.get(), cast.seller().accounts.get()
        ProviderAccount.objects.filter(pk=mine.pk).update(encrypted_credentials=theirs.encrypted_credentials)
        mine.refresh_from_db()
        with pytest.raises(crypto.DecryptionFailed, match="copied from elsewhere") as error:
            _ = mine.credentials
        assert theirs.encrypted_credentials not in str(error.value)

    def test_a_login_that_was_moved_to_another_table_does_not_open(self) -> None:
        account = cast.seller().accounts.get()
        setting = Configuration(pk=account.pk, key="k", is_secret=True, value=account.encrypted_credentials)
        with pytest.raises(crypto.DecryptionFailed):
            setting.read()

    def test_two_secret_settings_cannot_be_swapped(self) -> None:
        one, other = (Configuration(key=key, is_secret=True) for key in ("one", "other"))
        one.write("1"), other.write("2")
        one.value, other.value = other.value, one.value
        for row in (one, other):
            with pytest.raises(crypto.DecryptionFailed):
                row.read()

    def test_no_two_sealed_columns_share_a_place(self) -> None:
        places = [sealed.rows.model(pk=7).aad for sealed in ENCRYPTED_COLUMNS]
        assert len(set(places)) == len(ENCRYPTED_COLUMNS)


def test_the_previous_key_still_opens_and_an_unknown_one_is_named(settings: Any) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    envelope = crypto.encrypt("secret", "here")
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert crypto.decrypt(envelope, "here") == "secret"
    settings.CREDENTIALS_KEYS = [NEW]
    with pytest.raises(crypto.DecryptionFailed, match="not in the key ring"):
        crypto.decrypt(envelope, "here")
