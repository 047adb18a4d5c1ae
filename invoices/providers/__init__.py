"""The supported vendors, by the provider name of an account."""

from dataclasses import replace
from typing import Any

from invoices.providers.base import Account, Provider, Refused, Scope
from invoices.providers.http import Http
from invoices.providers.viettel import Viettel

PROVIDERS: dict[str, type[Provider]] = {"viettel": Viettel}


def build_provider(provider_name: str, account: Account, http: Http, **limits: Any) -> Provider:
    """An adapter for one account, in the thread of the event loop that `http` belongs to.

    `limits` override single fields of the vendor's Limits (`settle=5`). Raises KeyError if there is no such vendor,
    and Refused if the account has no login or none of our keys decrypts it; nothing was sent then.
    """
    if not account.credentials:
        raise Refused("no_login", "the login must be entered again", scope=Scope.ACCOUNT, login=True)
    provider = PROVIDERS[provider_name](account, http)
    provider.limits = replace(provider.limits, **limits)
    return provider
