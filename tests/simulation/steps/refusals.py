"""What the product may refuse: a step that asks for it is no violation."""

from collections.abc import Callable
from typing import Any

from invoices.lifecycle import WrongState
from invoices.opening import facts
from invoices.operations import claim
from invoices.providers.base import ProviderError

REFUSALS = (WrongState, ProviderError, claim.UnknownToken, facts.Unacceptable)


def catch_refusals(work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, returning the product's refusal of an invalid request as text."""

    def guarded() -> Any:
        try:
            return work()
        except REFUSALS as error:
            return f"refused: {error}"

    return guarded
