"""What operators need not read: personal words and claim links, hidden wherever they are not the matter at hand."""

from typing import Any

HIDDEN = "•••"
ALWAYS = frozenset({"email", "phone", "personalId", "claimUrl"})  # whoever holds a claim link may speak for the buyer


def masked(buyer: dict[str, str]) -> dict[str, str]:
    """The same fields: the kind, a company's tax code (both public), and of the rest only that it was given."""
    company = buyer.get("kind") == "company"
    open_fields = {"kind", "taxCode"} if company else {"kind"}
    return {field: value if field in open_fields else HIDDEN for field, value in buyer.items()}


def masked_body(value: Any) -> Any:
    """A JSON value as it came, with every buyer masked and every ALWAYS key hidden, however deep."""
    if isinstance(value, dict):
        return {key: _masked_field(key, inner) for key, inner in value.items()}
    return [masked_body(inner) for inner in value] if isinstance(value, list) else value


def _masked_field(key: str, value: Any) -> Any:
    if key in ALWAYS and value:
        return HIDDEN
    if key == "buyer" and value:
        return masked(value) if isinstance(value, dict) else HIDDEN
    return masked_body(value)
