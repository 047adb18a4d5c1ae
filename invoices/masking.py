"""Hide personal data and claim links from operators who do not need them."""

from typing import Any

HIDDEN = "•••"
ALWAYS_HIDDEN = frozenset({"email", "phone", "personalId", "claimUrl"})  # a claim link lets its holder act as the buyer


def mask_buyer(buyer: dict[str, str]) -> dict[str, str]:
    """The buyer with hidden values, except the kind and a company's tax code, which are public."""
    company = buyer.get("kind") == "company"
    open_fields = {"kind", "taxCode"} if company else {"kind"}
    return {field: value if field in open_fields else HIDDEN for field, value in buyer.items()}


def mask_body(value: Any) -> Any:
    """A JSON value with every buyer masked and every key in ALWAYS_HIDDEN hidden, at any depth."""
    if isinstance(value, dict):
        return {key: _mask_field(key, inner) for key, inner in value.items()}
    return [mask_body(inner) for inner in value] if isinstance(value, list) else value


def _mask_field(key: str, value: Any) -> Any:
    if key in ALWAYS_HIDDEN and value:
        return HIDDEN
    if key == "buyer" and value:
        return mask_buyer(value) if isinstance(value, dict) else HIDDEN
    return mask_body(value)
