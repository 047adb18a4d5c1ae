"""The conditions under which somebody is called: one list, from which everything else is written.

`manage.py alerts --once` judges it by the figures, with no Prometheus; Prometheus' rules and the runbook's section are
written from it by `manage.py alerts --write`. Each condition is one figure against one threshold. What "spikes" or
"grows" is a figure of a recent stretch of time, so that PostgreSQL alone can tell.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from config.monitoring.gauges import Figure

TEAM: Final = "invoice-team"
SRE: Final = "on-call SRE"
RUNBOOK = "docs/operations.md"


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    summary: str
    figure: str
    threshold: float
    check: str  # where to look first
    fix: str
    escalate: Literal["invoice-team", "on-call SRE"]
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # label, the values that count
    fold: Literal["sum", "max", "min", "absent"] = "sum"
    per: str = ""  # the threshold is a share of this figure's sum
    least: float = 0  # and the figure's own sum is at least this
    minutes: int = 0  # how long Prometheus waits before it calls; `--once` does not wait

    @property
    def anchor(self) -> str:
        return f"{RUNBOOK}#{self.name.lower()}"

    def value(self, figures: Mapping[str, Figure]) -> float | None:
        """What is held against the threshold. None: there is nothing to judge."""
        found = self._values(figures[self.figure]) if self.figure in figures else []
        match self.fold:
            case "absent":
                return 0.0 if found else 1.0
            case "min" | "max":
                return (min if self.fold == "min" else max)(found, default=None)
        if not self.per:
            return math.fsum(found)
        whole = figures[self.per].total
        return math.fsum(found) / whole if whole and math.fsum(found) >= self.least else None

    def fires(self, figures: Mapping[str, Figure]) -> bool:
        value = self.value(figures)
        if value is None:
            return False
        return value <= self.threshold if self.fold == "min" else value >= self.threshold

    def _values(self, figure: Figure) -> list[float]:
        wanted = [self.only.get(label) for label in figure.labels]
        return [
            value
            for labels, value in figure.values.items()
            if all(names is None or label in names for label, names in zip(labels, wanted, strict=True))
        ]


ALERTS = [
    Alert(
        "HoadonSilent",
        "Hoadon tells no figures: its API or its database is down.",
        figure="worker_id",
        fold="absent",
        threshold=1,
        check="`/v1/api/health/ready` says what is missing; `kubectl logs deploy/invoice`.",
        fix="Bring back what is named there. Nothing is lost meanwhile: senders get 503 and send again.",
        escalate=SRE,
        minutes=2,
    ),
    Alert(
        "IssuanceFailuresSpike",
        "One in twenty of the invoices that ended in the last quarter of an hour failed, and ten at least.",
        figure="invoices_failed_recently",
        per="invoices_ended_recently",
        least=10,
        threshold=0.05,
        only={"reason": ("account", "bug", "conflict", "exhausted", "late", "refused", "rejected", "stale_key")},
        check="Console → Invoices, state FAILED: one reason, one provider or one merchant? `manage.py inspect_invoice "
        "ORDER` shows what the provider answered.",
        fix="A provider that is down: wait, retries go on. One merchant's data: mend it. Then replay: "
        "`manage.py replay_issuance ORDER --reason TEXT`.",
        escalate=SRE,
    ),
    Alert(
        "DeadLettersGrow",
        "Invoices have failed in the last quarter of an hour and will not be tried again by themselves.",
        figure="invoices_failed_recently",
        only={"reason": ("account", "bug", "exhausted", "late", "rejected", "stale_key")},
        threshold=1,
        check="Console → Invoices, state FAILED, by reason; `manage.py inspect_invoice ORDER`.",
        fix="End the cause, then `manage.py replay_issuance ORDER --reason TEXT`, first with `--dry-run`.",
        escalate=TEAM,
    ),
    Alert(
        "TwoNumbersForOneDocument",
        "A provider has another invoice than ours, or two, for one document.",
        figure="invoices_failed",
        only={"reason": ("conflict",)},
        threshold=1,
        check="`manage.py inspect_invoice ORDER`: both numbers are among its attempts or in its failure message. "
        "Look both up at the provider.",
        fix="Adopt the right one in the console, and have the provider cancel the other. Replay nothing before.",
        escalate=TEAM,
    ),
    Alert(
        "BooksDiffer",
        "The night's reconcile found our books and a provider's to differ, or could not read one.",
        figure="books_differing",
        threshold=1,
        check="The log lines `[reconcile]` name account and number; `manage.py reconcile --date D` compares that day "
        "again.",
        fix="`only_theirs`: look the order up in the console and adopt it. `only_ours` and `total`: look it up at the "
        "provider, nothing is sent again. `foreign`: ask the merchant who else issues under the symbol. `unread`: end "
        "the cause, then compare again.",
        escalate=TEAM,
    ),
    Alert(
        "AuditBroken",
        "The audit is not as it was written: somebody changed the database by hand.",
        figure="audit_broken",
        threshold=1,
        check="Console → Audit verifications, and the log lines `[auditBroken]`; `manage.py verify_audit` names the "
        "first broken row of a hundred such invoices. `invoice=0` is the digest: expected once after a restored backup "
        "or a detached month.",
        fix="Find out who was at the database, and put the rows back from a backup. The next night's verification "
        "clears it.",
        escalate=SRE,
    ),
    Alert(
        "PaymentsDisagree",
        "A second payment of an order told other money in the last day; its invoice stands as it is.",
        figure="payments_disagreeing",
        threshold=1,
        check="The log line `[paymentConflict]` names the order; `manage.py inspect_invoice ORDER` shows both sums.",
        fix="Ask the platform which is right. If the second is: have the merchant correct the invoice at the provider.",
        escalate=TEAM,
    ),
    Alert(
        "PaidSalesNotActedOn",
        "Verified payments were refused or failed here: the sale is paid and has no invoice.",
        figure="webhooks_not_acted",
        only={"type": ("payment.succeeded",)},
        threshold=1,
        check="Console → Webhook events, status refused or failed: `error` says which field does not add up.",
        fix="Have the sender mend the body and send it under a new id, then close the refused one there. What failed "
        "through our fault is tried again by itself.",
        escalate=TEAM,
    ),
    Alert(
        "PaymentsStayParked",
        "A paid sale has had no invoice for an hour: its merchant cannot issue it, or it does not add up.",
        figure="payments_parked_seconds",
        fold="max",
        threshold=3600,
        check="Console → Payments, parked: each says what is missing. If nothing is: the log line "
        "`[parkedPaymentFailed]`.",
        fix="`merchant`, `tax_info`: the platform must tell it. `account`, `symbol_year`: add the provider account. "
        "`refused`: have the sender mend the sale and send it again. Each opens by itself then.",
        escalate=TEAM,
    ),
    Alert(
        "IssueLimitNear",
        "Invoices that should have been sent by now pass their legal day within the hour.",
        figure="issue_limit_near",
        threshold=1,
        check="Console → Invoices, “held up, near the issue limit”: is the lane parked or paused, the worker down?",
        fix="Open what is closed, or move what waits to another account (docs/operations.md, “To another account”). "
        "What misses its day fails as `late`, and a replay is dated the day of the replay.",
        escalate=SRE,
    ),
    Alert(
        "WorkStandsStill",
        "Open invoices are ten minutes past their turn: nobody closes claims, or nobody sends.",
        figure="invoices_oldest_seconds",
        only={"state": ("WAITING", "QUEUED", "SENDING")},
        fold="max",
        threshold=600,
        check="Are beat and a worker of each partition up (`kubectl get deploy`)? Is a partition, merchant or account "
        "paused or parked?",
        fix="Start what is down; resume what is paused. Workers take up where they left off.",
        escalate=SRE,
    ),
    Alert(
        "UncertainTooLong",
        "A provider has not told for half an hour whether it has an invoice.",
        figure="invoices_oldest_seconds",
        only={"state": ("UNCERTAIN",)},
        fold="max",
        threshold=1800,
        check="Console → Invoices, state UNCERTAIN; `manage.py inspect_invoice ORDER` shows each answer to our asking.",
        fix="Once the provider answers again it ends by itself; `manage.py replay_issuance ORDER --reason TEXT` asks "
        "now. It is never sent a second time before it is proven absent.",
        escalate=SRE,
    ),
    Alert(
        "AccountParked",
        "A provider refuses an account: its merchant's invoices wait.",
        figure="accounts_parked",
        threshold=1,
        check="Console → Provider accounts, parked: the reason is there (login, certificate, numbers, symbol).",
        fix="Have the merchant renew what is named there, or type the new login and press *Probe*. A refused "
        "login is probed by itself; else one invoice tries every five minutes, and its success opens the lane.",
        escalate=TEAM,
    ),
    Alert(
        "CertificateEnding",
        "An account's signing certificate ends soon.",
        figure="certificates_ending",
        threshold=1,
        check="Console → Provider accounts: the date its certificate ends.",
        fix="Have the merchant renew it at the provider, then type the new date.",
        escalate=TEAM,
    ),
    Alert(
        "NumbersRunningOut",
        "An account has few invoice numbers left.",
        figure="accounts_short",
        threshold=1,
        check="Console → Provider accounts: numbers left.",
        fix="Have the merchant buy more at the provider, then type the new last number.",
        escalate=TEAM,
    ),
    Alert(
        "VatRatesChange",
        "The law's VAT rates change within 30 days.",
        figure="vat_rates_change_days",
        fold="min",
        threshold=30,
        check="Console → Legal rules: the next row and its day.",
        fix="Tell the platform: from that day on a sale with a rate that is gone does not add up. If the law was "
        "prolonged, load a new `fixtures/legal_rules.json` (docs/operations.md).",
        escalate=TEAM,
    ),
    Alert(
        "TaxInfoDrift",
        "Merchants' tax data is not what the platform told us last.",
        figure="tax_drift",
        threshold=1,
        check="`manage.py tax_drift` names merchants and fields.",
        fix="`manage.py tax_drift --fix`, or `manage.py resync_merchant ID` for one. Data that cannot be used must be "
        "mended on the platform.",
        escalate=TEAM,
    ),
    Alert(
        "ConsumerSilent",
        "The consumer has not told for five minutes how far it is, or never: merchants' changes wait in Kafka.",
        figure="consumer_silent_seconds",
        fold="max",
        threshold=300,
        check="Is the consumer up (`kubectl get statefulset invoice-consumer`)? Its log: `[followMerchants]`.",
        fix="Start it; it takes up where it committed last. A member that Kafka refuses says so and ends.",
        escalate=SRE,
        minutes=5,
    ),
    Alert(
        "MessagesQuarantined",
        "Messages from Kafka could not be acted on.",
        figure="quarantined",
        threshold=1,
        check="`manage.py replay_quarantined` lists them with what is wrong.",
        fix="Mend the cause, then `manage.py replay_quarantined --all`.",
        escalate=TEAM,
    ),
    Alert(
        "WebhooksRejected",
        "Ten webhooks were turned away in the last hour: wrong signatures, or bodies that do not add up.",
        figure="webhooks_rejected",
        threshold=10,
        check="By route and reason on the console's home page; the log lines `[webhookRejected]` and "
        "`[webhookRefused]`.",
        fix="`signature`: the sender's secret or clock is wrong, see docs/security.md. `refused`: the sender's data.",
        escalate=TEAM,
    ),
    Alert(
        "DeliveriesStandStill",
        "News for merchants are ten minutes late.",
        figure="deliveries_oldest_seconds",
        threshold=600,
        check="Is a worker of the queue `webhook-deliveries` up?",
        fix="Start it; it takes up where it left off. One slow receiver is no cause: it holds up nobody else.",
        escalate=SRE,
        minutes=5,
    ),
    Alert(
        "EndpointGivenUp",
        "A merchant's endpoint was switched off in the last day: gone, or five days without a success.",
        figure="endpoints_given_up",
        threshold=1,
        check="Console → Webhook endpoints, disabled: the reason, the merchant.",
        fix="Tell the merchant. Once their server is back, empty the reason: what they missed is sent.",
        escalate=TEAM,
    ),
]
