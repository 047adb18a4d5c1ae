"""Standard Webhooks signatures on what comes in: the raw body, checked before anything else is believed."""

from collections.abc import Mapping

from django.conf import settings
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Unverified(Exception):
    """No accepted secret fits, or the timestamp is more than five minutes off. The message may be shown."""


def verify(route: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The label of the route's secret that signed this body. Raises Unverified.

    The library reads the machine's clock: a moved business clock must not make old signatures good.
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
        except ValueError:  # a signature that is not base64, or no "v1," in front
            reason = "The signature is malformed."
    raise Unverified(reason)
