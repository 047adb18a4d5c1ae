"""The vendors that we speak to, by the name that an account carries."""

from dataclasses import replace
from typing import Any

from invoices.providers.base import Account, Provider, Refused, Scope
from invoices.providers.http import Http
from invoices.providers.viettel import Viettel

PROVIDERS: dict[str, type[Provider]] = {"viettel": Viettel}


def build(provider_name: str, account: Account, http: Http, **limits: Any) -> Provider:
    """An adapter for one account, in the thread of the event loop that `http` belongs to.

    `limits` override single fields of the vendor's Limits (`settle=5`). KeyError: no such vendor.
    Refused: there is no login, or it opens with none of our keys; nothing was sent.
    """
    if not account.credentials:
        raise Refused("no_login", "it must be given anew", scope=Scope.ACCOUNT, login=True)
    provider = PROVIDERS[provider_name](account, http)
    provider.limits = replace(provider.limits, **limits)
    return provider
