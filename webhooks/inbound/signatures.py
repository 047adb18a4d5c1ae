"""Verify the Standard Webhooks signature of an incoming raw body, before anything in it is trusted."""

from collections.abc import Mapping

from django.conf import settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Unverified(Exception):
    """No accepted secret matches, or the timestamp is more than five minutes off. The message may be shown."""


def verify_signature(route: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The label of the route's secret that signed this body. Raises Unverified.

    The library reads the system clock: a shifted business clock must not make old signatures valid.
    """
    reason = "No secret is configured."
    try:
        body.decode()
    except UnicodeDecodeError:
        raise Unverified("The body is not UTF-8.") from None
    for label, secret in settings.WEBHOOK_SECRETS[route].items():
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
            return label
        except WebhookVerificationError as error:
            reason = str(error)
        except ValueError:  # the signature is not base64, or lacks "v1,"
            reason = "The signature is malformed."
    raise Unverified(reason)
