"""The buyer as shown to anyone with the claim link: recognisable, without personal data that could be misused.

A claim link is printed on receipts and opened on shared phones.
"""

HIDDEN = "•••"


def mask_buyer(buyer: dict[str, str]) -> dict[str, str]:
    """The buyer with masked values. A company's name is public and stays; of a person's name the given name stays."""
    person = buyer.get("kind") == "individual"
    hide = {
        "name": _initials if person else str,
        "taxCode": _tail,
        "personalId": _tail,
        "budgetCode": _tail,
        "address": _district if person else str,
        "email": _mailbox,
        "phone": _tail,
    }
    return {field: hide.get(field, str)(value) for field, value in buyer.items()}


def _tail(text: str) -> str:
    return HIDDEN + text[-3:] if len(text) > 5 else HIDDEN


def _initials(name: str) -> str:
    """Nguyễn Thị Mai → N. T. Mai: the last word is the given name."""
    *others, given = name.split()
    return " ".join([*(f"{word[0]}." for word in others), given])


def _district(address: str) -> str:
    """Without house number and street."""
    _, _, rest = address.partition(",")
    return f"{HIDDEN},{rest}" if rest.strip() else HIDDEN


def _mailbox(address: str) -> str:
    box, _, domain = address.rpartition("@")
    return f"{box[:1]}{HIDDEN}@{domain}"
