"""Secrets at rest open with the right key, in the right place, unaltered; or not at all."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import crypto

OLD, NEW = "ab" * 32, "cd" * 32


@given(st.text())
def test_what_is_sealed_opens_again(plain: str) -> None:
    assert crypto.unseal(crypto.seal(plain, "here"), "here") == plain


def test_two_seals_of_one_text_differ_and_show_nothing() -> None:
    assert crypto.seal("secret", "here") != crypto.seal("secret", "here")
    assert "secret" not in crypto.seal("secret", "here")


def test_a_seal_that_was_moved_does_not_open() -> None:
    with pytest.raises(crypto.CannotOpen, match="belongs elsewhere"):
        crypto.unseal(crypto.seal("secret", "row 1"), "row 2")


@pytest.mark.parametrize("at", [0, 11, 12, 17, -1])
def test_one_flipped_bit_does_not_open(at: int) -> None:
    head, _, body = crypto.seal("secret", "here").rpartition(".")
    raw = bytearray(base64.b64decode(body))
    raw[at] ^= 1
    with pytest.raises(crypto.CannotOpen):
        crypto.unseal(f"{head}.{base64.b64encode(raw).decode()}", "here")


def test_the_previous_key_still_opens_and_an_unknown_one_is_named(settings: Any) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    envelope = crypto.seal("secret", "here")
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert crypto.unseal(envelope, "here") == "secret"
    settings.CREDENTIALS_KEYS = [NEW]
    with pytest.raises(crypto.CannotOpen, match="not in the key ring"):
        crypto.unseal(envelope, "here")
