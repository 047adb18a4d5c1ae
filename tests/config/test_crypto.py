"""An envelope is decrypted only with the right key, for the right row, and unaltered."""

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
def test_an_encrypted_text_can_be_decrypted(plain: str) -> None:
    assert crypto.decrypt(crypto.encrypt(plain, "here"), "here") == plain


def test_two_envelopes_of_one_text_differ_and_reveal_nothing() -> None:
    assert crypto.encrypt("secret", "here") != crypto.encrypt("secret", "here")
    assert "secret" not in crypto.encrypt("secret", "here")


def test_an_envelope_cannot_be_decrypted_for_another_row() -> None:
    with pytest.raises(crypto.DecryptionFailed, match="copied from elsewhere"):
        crypto.decrypt(crypto.encrypt("secret", "row 1"), "row 2")


@pytest.mark.parametrize("at", [0, 11, 12, 17, -1])
def test_an_envelope_with_a_flipped_bit_cannot_be_decrypted(at: int) -> None:
    head, _, body = crypto.encrypt("secret", "here").rpartition(".")
    raw = bytearray(base64.b64decode(body))
    raw[at] ^= 1
    with pytest.raises(crypto.DecryptionFailed):
        crypto.decrypt(f"{head}.{base64.b64encode(raw).decode()}", "here")


def test_no_letter_of_an_envelope_can_be_changed_or_removed() -> None:
    envelope = crypto.encrypt("sixteen letters.", "here")
    for at in range(len(envelope)):
        for changed in (chr(ord(envelope[at]) ^ 1), "", f"{envelope[at]}!"):
            with pytest.raises(crypto.DecryptionFailed):
                crypto.decrypt(envelope[:at] + changed + envelope[at + 1 :], "here")


@pytest.mark.parametrize("envelope", ["", "v1", "v1.", "v1..", "plain text", "v2.12345678.AAAA"])
def test_a_text_that_is_no_envelope_cannot_be_decrypted(envelope: str) -> None:
    with pytest.raises(crypto.DecryptionFailed):
        crypto.decrypt(envelope, "here")


@pytest.mark.django_db
class TestRows:
    def test_a_login_copied_to_another_account_cannot_be_decrypted(self) -> None:
        mine, theirs = cast.seller().accounts.get(), cast.seller().accounts.get()
        ProviderAccount.objects.filter(pk=mine.pk).update(encrypted_credentials=theirs.encrypted_credentials)
        mine.refresh_from_db()
        with pytest.raises(crypto.DecryptionFailed, match="copied from elsewhere") as error:
            _ = mine.credentials
        assert theirs.encrypted_credentials not in str(error.value)

    def test_a_login_copied_to_another_table_cannot_be_decrypted(self) -> None:
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

    def test_no_two_encrypted_columns_share_an_aad(self) -> None:
        aads = [column.rows.model(pk=7).aad for column in ENCRYPTED_COLUMNS]
        assert len(set(aads)) == len(ENCRYPTED_COLUMNS)


def test_the_previous_key_still_decrypts_and_an_unknown_key_is_named(settings: Any) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    envelope = crypto.encrypt("secret", "here")
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert crypto.decrypt(envelope, "here") == "secret"
    settings.CREDENTIALS_KEYS = [NEW]
    with pytest.raises(crypto.DecryptionFailed, match="not in the key ring"):
        crypto.decrypt(envelope, "here")
