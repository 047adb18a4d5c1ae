"""The partition of an order, computed as the platform does."""

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from invoices.queues import partition_of

VECTORS = {
    "order-1": 2,
    "order-2": 1,
    "order-3": 0,
    "hello": 1,
    "1234567890123456789": 2,
    "550e8400-e29b-41d4-a716-446655440000": 0,
    "đơn-hàng-1": 1,
    "polygenelubricants": 2,
    "": 0,
}


def java_hash(units: list[int]) -> int:
    """String.hashCode with unbounded arithmetic, reduced to 32 bits at the end."""
    whole = sum(unit * 31**power for power, unit in enumerate(reversed(units))) % 2**32
    return whole - 2**32 if whole >= 2**31 else whole


@pytest.mark.parametrize(("order", "partition"), VECTORS.items())
def test_the_vectors_of_the_contract_hold(order, partition):
    assert partition_of(order, 3) == partition


def test_the_smallest_hash_has_a_partition():
    assert java_hash([ord(c) for c in "polygenelubricants"]) == -(2**31)  # its absolute value passes 32 bits
    assert partition_of("polygenelubricants", 7) == 2**31 % 7


@given(st.text(), st.integers(1, 64))
def test_every_order_has_one_partition_and_it_is_in_range(order, partitions):
    assert 0 <= partition_of(order, partitions) < partitions
    assert partition_of(order, partitions) == partition_of(order, partitions)


@given(st.text(st.characters(codec="utf-16")), st.integers(1, 64))
def test_it_is_javas_hash_over_utf_16_units(order, partitions):
    raw = order.encode("utf-16-be")
    units = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
    assert partition_of(order, partitions) == abs(java_hash(units)) % partitions


def test_an_emoji_counts_as_its_two_surrogates():
    assert partition_of("🍜", 1000) == abs(java_hash([0xD83C, 0xDF5C])) % 1000
    assert partition_of("🍜", 1000) == partition_of("\ud83c\udf5c", 1000)


def test_the_command_prints_one_line_an_order(capsys):
    call_command("partition", "order-1", "đơn-hàng-1")
    assert capsys.readouterr().out == "order-1\t2\nđơn-hàng-1\t1\n"
