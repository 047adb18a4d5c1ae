"""Standard Webhooks secrets: their format, and lists of them in environment variables."""

import base64
import re
import secrets

PREFIX = "whsec_"
LABEL = re.compile(r"[A-Za-z0-9._-]{1,20}")  # fits WebhookEvent.secret_label


def make() -> str:
    """A new secret of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def size(secret: str) -> int:
    """The number of bytes of a secret. Raises ValueError for a malformed one; the message never quotes it."""
    try:
        count = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except ValueError:
        count = 0
    if not secret.startswith(PREFIX) or not count:
        raise ValueError(f'it must be "{PREFIX}" followed by base64')
    return count


def read(variable: str, text: str) -> dict[str, str]:
    """Label and secret of each entry of a space-separated list. Entries are `label:whsec_…`, or `whsec_…` alone, whose
    label is its position.

    Raises ValueError that names the variable and the position, never the value.
    """
    parsed: dict[str, str] = {}
    for at, entry in enumerate(text.split(), start=1):
        label, colon, secret = entry.rpartition(":")
        label = label if colon else str(at)
        try:
            size(secret)
        except ValueError as error:
            raise ValueError(f"{variable}, entry {at}, is not a webhook secret: {error}.") from None
        if not LABEL.fullmatch(label):
            raise ValueError(f"{variable}, entry {at}: a label has 1 to 20 letters, digits, dots, dashes or _.")
        if label in parsed:
            raise ValueError(f"{variable}, entry {at}: the label {label} is used twice.")
        parsed[label] = secret
    return parsed
