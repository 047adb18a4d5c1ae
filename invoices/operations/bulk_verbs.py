"""The verbs of bulk runs, each for one invoice."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from config.base.crypto import DecryptionFailed
from invoices.lifecycle import WrongState
from invoices.models import Invoice, InvoiceIssuance
from invoices.opening.facts import Unacceptable
from invoices.operations.cancel import cancel
from invoices.operations.issue_now import issue_now
from invoices.operations.look_up import latest_attempt
from invoices.operations.replay import replay

REJECTIONS = (WrongState, Unacceptable, DecryptionFailed)


@dataclass(frozen=True, slots=True)
class Verb:
    """`perform` returns what happened, or raises one of REJECTIONS. With `dry_run` it changes nothing."""

    label: str
    permission: str
    perform: Callable[..., str]


def _replay(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    result = replay(invoice, actor=actor, reason=reason, dry_run=dry_run)
    if not result.acted:
        raise WrongState(f"It is {result.state}: {result.why}.")
    return result.why


def _look_up(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    """For the dry run only: the worker looks many up at once."""
    attempt_to_look_up(invoice)
    return "it is looked up at its provider"


def _issue_now(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    issue_now(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "it no longer waits for its buyer"


def _cancel(invoice: Invoice, *, actor: str, reason: str, dry_run: bool) -> str:
    cancel(invoice, actor=actor, reason=reason, dry_run=dry_run)
    return "no invoice is owed for it any more"


VERBS = {
    "replay": Verb("Replay", "invoices.replay_invoice", _replay),
    "look_up": Verb("Look up", "invoices.look_up_invoice", _look_up),
    "issue_now": Verb("Issue now", "invoices.issue_invoice_now", _issue_now),
    "cancel": Verb("Cancel", "invoices.cancel_invoice", _cancel),
}


def attempt_to_look_up(invoice: Invoice) -> InvoiceIssuance:
    """Raises WrongState, or DecryptionFailed where its account's login cannot be decrypted."""
    attempt = latest_attempt(invoice)
    _ = attempt.account.credentials
    return attempt


def generalize(message: str, invoice: Invoice) -> str:
    """A message without the order's id and without times, so that equal reasons are counted together."""
    text = message.replace(f"Order {invoice.order_id}", "The order").replace(f"order {invoice.order_id}", "the order")
    text = re.sub(r"( at| until)? \d{4}-\d\d-\d\dT[\d:.+-]*\d", "", text)
    return re.sub(r"\s+", " ", text).strip()[:200]
