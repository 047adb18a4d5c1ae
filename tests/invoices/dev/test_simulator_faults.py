"""Each fault of the simulated vendor, and the error that a sender gets."""

import asyncio

import pytest

from invoices.dev.simulator import Simulator
from invoices.providers.base import (
    Issued,
    ProviderError,
    Refused,
    Submitted,
    Unavailable,
    Uncertain,
)
from tests.invoices.providers.wire import REFERENCE, TAX_CODE, document, failure, found, run, viettel

# mode: the sender's error, and how many invoices exist after the settle time
MODES: dict[str, tuple[type[ProviderError], int]] = {
    "issue-then-drop": (Uncertain, 1),
    "drop-before": (Uncertain, 0),
    "timeout-before": (Uncertain, 0),
    "hang": (Uncertain, 1),
    "5xx-after-issue": (Uncertain, 1),
    "5xx-before": (Uncertain, 0),
    "429": (Unavailable, 0),
    "being-processed": (Uncertain, 1),
    "commit-late": (Uncertain, 1),
    "duplicate-key": (Uncertain, 1),
    "bad-body": (Uncertain, 1),
    "ip-blocked-500": (Uncertain, 0),
    "date-before-last": (Refused, 0),
    "number-conflict": (Unavailable, 0),
    "out-of-quota": (Refused, 0),
    "cert-expired": (Refused, 0),
    "invalid-buyer-tax-code": (Refused, 0),
    "token-expired": (Refused, 0),
}


UNANSWERED = ("hang", "timeout-before")


@pytest.mark.parametrize("mode", MODES)
def test_each_fault_has_its_error_class_and_a_look_up_finds_what_was_issued(simulator: Simulator, mode: str) -> None:
    kind, invoices = MODES[mode]
    simulator.add_fault(mode, seconds=0.4, endpoint="create")

    async def journey() -> None:
        async with viettel(simulator.url, limits={"total": 0.3 if mode in UNANSWERED else 10}) as provider:
            error = await failure(provider, document())
            assert isinstance(error, kind)
            if isinstance(error, Uncertain):
                assert error.look_up_now == (mode == "duplicate-key")
            if invoices:
                assert (await found(provider)).number == "1"
            else:
                assert await provider.find(REFERENCE) is None

    run(journey())
    assert len(simulator.ledger()) == invoices


def test_a_fault_happens_only_as_often_as_ordered(simulator: Simulator) -> None:
    simulator.add_fault("429", count=1, tenant=TAX_CODE, endpoint="create")
    simulator.add_fault("5xx-before", tenant="0000000000")

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            assert isinstance(await failure(provider, document()), Unavailable)
            assert isinstance(await provider.issue(document()), Issued)

    run(journey())


def test_an_expired_token_costs_one_login_and_no_failure(simulator: Simulator) -> None:
    simulator.add_fault("token-expired", count=1)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            assert isinstance(await provider.issue(document()), Issued)

    run(journey())
    assert simulator.stats()["logins"] == 2


def test_a_token_past_its_life_is_answered_401_and_renewed(simulator: Simulator) -> None:
    simulator.settings(token_life=0)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            error = await failure(provider, document())
            assert isinstance(error, Refused)
            assert error.login
            simulator.settings(token_life=298)
            await provider.issue(document())

    run(journey())


def test_a_strict_vendor_refuses_a_known_key_and_a_forgetful_one_answers_with_the_same_invoice(
    simulator: Simulator,
) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            first = await provider.issue(document())
            error = await failure(provider, document())
            assert isinstance(error, Uncertain)
            assert error.look_up_now
            simulator.settings(personality="forgetful")
            assert await provider.issue(document()) == first
            simulator.settings(window=0)
            await provider.issue(document())

    run(journey())
    assert simulator.summary()["duplicates"] == {REFERENCE: 2}


def test_a_forgotten_key_is_issued_twice_and_the_summary_names_it(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document())
            simulator.add_fault("forget-key")
            await provider.issue(document())

    run(journey())
    assert simulator.summary()["duplicates"] == {REFERENCE: 2}


def test_the_same_key_at_the_same_time_is_issued_once(simulator: Simulator) -> None:
    simulator.settings(latency=50)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            calls = provider.issue(document()), provider.issue(document())
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(result) for result in results} == {Issued, Uncertain}

    run(journey())
    assert len(simulator.ledger()) == 1


def test_a_look_up_can_lag_behind_and_can_fail(simulator: Simulator) -> None:
    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            await provider.issue(document())
            simulator.add_fault("lookup-lag", seconds=0.2)
            await found(provider)
            simulator.clear_faults()
            simulator.add_fault("lookup-error")
            with pytest.raises(Uncertain):
                await provider.find(REFERENCE)

    run(journey())


def test_a_code_may_come_later(simulator: Simulator) -> None:
    simulator.add_fault("code-delayed", seconds=2)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            assert isinstance(await provider.issue(document()), Submitted)
            invoice = await found(provider)
            assert (invoice.code, invoice.rejected) == ("", "")
            while not invoice.code:
                invoice = await found(provider)

    run(journey())


def test_the_tax_authority_may_reject_an_invoice(simulator: Simulator) -> None:
    simulator.add_fault("cqt-rejected", seconds=0)

    async def journey() -> None:
        async with viettel(simulator.url) as provider:
            assert isinstance(await provider.issue(document()), Submitted)
            invoice = await found(provider)
            assert (invoice.code, invoice.rejected) == ("", "MST người mua không tồn tại")

    run(journey())
