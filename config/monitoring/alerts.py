"""The alerts: one list, from which Prometheus' rules and the runbook's section are generated.

`manage.py alerts --once` evaluates the list without Prometheus; `manage.py alerts --write` writes the rules and the
runbook. Each alert compares one gauge with one threshold. What happened "recently" is a gauge too, so PostgreSQL alone
can evaluate every alert.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from config.monitoring.gauges import Gauge

TEAM: Final = "invoice-team"
SRE: Final = "on-call SRE"
RUNBOOK = "docs/operations.md"


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    summary: str
    gauge: str
    threshold: float
    check: str  # what to inspect first
    fix: str
    escalate: Literal["invoice-team", "on-call SRE"]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # label and the values that count; empty: all
    aggregate: Literal["sum", "max", "min", "absent"] = "sum"
    per: str = ""  # a gauge; then the threshold is a share of its sum
    minimum: float = 0  # of the gauge's own sum, with `per`
    for_minutes: int = 0  # that Prometheus waits before it fires; `--once` does not wait

    @property
    def anchor(self) -> str:
        return f"{RUNBOOK}#{self.name.lower()}"

    def value(self, gauges: Mapping[str, Gauge]) -> float | None:
        """The value to compare with the threshold; None if there is nothing to compare."""
        values = self._values(gauges[self.gauge]) if self.gauge in gauges else []
        match self.aggregate:
            case "absent":
                return 0.0 if values else 1.0
            case "min" | "max":
                return (min if self.aggregate == "min" else max)(values, default=None)
        if not self.per:
            return math.fsum(values)
        whole = gauges[self.per].total
        return math.fsum(values) / whole if whole and math.fsum(values) >= self.minimum else None

    def fires(self, gauges: Mapping[str, Gauge]) -> bool:
        value = self.value(gauges)
        if value is None:
            return False
        return value <= self.threshold if self.aggregate == "min" else value >= self.threshold

    def _values(self, gauge: Gauge) -> list[float]:
        allowed = [self.labels.get(label) for label in gauge.labels]
        return [
            value
            for labels, value in gauge.values.items()
            if all(values is None or label in values for label, values in zip(labels, allowed, strict=True))
        ]


ALERTS = [
    Alert(
        "HoadonDown",
        "Hoadon exports no metrics: its API or its database is down.",
        gauge="worker_id",
        aggregate="absent",
        threshold=1,
        check="`/v1/api/health/ready` names what is missing; `kubectl logs deploy/invoice`.",
        fix="Restore what is named there. Nothing is lost: senders get 503 and send again.",
        escalate=SRE,
        for_minutes=2,
    ),
    Alert(
        "IssuanceFailuresSpike",
        "At least ten invoices failed in the last 15 minutes, and at least 5 % of those that ended.",
        gauge="invoices_failed_recently",
        per="invoices_ended_recently",
        minimum=10,
        threshold=0.05,
        labels={"reason": ("account", "bug", "conflict", "exhausted", "late", "refused", "rejected", "stale_key")},
        check="Console → Invoices, state FAILED: is it one reason, one provider or one merchant? "
        "`manage.py inspect_invoice ORDER` shows what the provider answered.",
        fix="If a provider is down, wait: retries continue. If one merchant's data is wrong, correct it. Then replay: "
        "`manage.py replay_issuance ORDER --reason TEXT`.",
        escalate=SRE,
    ),
    Alert(
        "DeadLettersGrow",
        "New dead letters in the last 15 minutes: invoices in FAILED that wait for a person.",
        gauge="invoices_failed_recently",
        labels={"reason": ("account", "bug", "exhausted", "late", "rejected", "stale_key")},
        threshold=1,
        check="Console → Invoices, state FAILED, by reason; `manage.py inspect_invoice ORDER`.",
        fix="Remove the cause, then `manage.py replay_issuance ORDER --reason TEXT`, first with `--dry-run`.",
        escalate=TEAM,
    ),
    Alert(
        "InvoiceConflict",
        "A provider's invoice differs from ours, or it has two invoices for one document.",
        gauge="invoices_failed",
        labels={"reason": ("conflict",)},
        threshold=1,
        check="`manage.py inspect_invoice ORDER`: its failure message says what differs. Look both up at the provider.",
        fix="Adopt the right invoice in the console; if there are two, have the provider cancel the other. Replay "
        "nothing before that.",
        escalate=TEAM,
    ),
    Alert(
        "ReconciliationDifferences",
        "The nightly reconciliation found differences between our records and a provider's, or could not read one.",
        gauge="books_differing",
        threshold=1,
        check="The log lines `[reconcile]` name account and number; `manage.py reconcile --date D` repeats the day.",
        fix="`only_theirs`: look the order up in the console and adopt it. `only_ours` and `total`: look it up at the "
        "provider; nothing is sent again. `foreign`: ask the merchant who else issues under the symbol. `unread`: "
        "remove the cause, then compare again.",
        escalate=TEAM,
    ),
    Alert(
        "AuditBroken",
        "The audit was altered after it was written: the database was changed directly.",
        gauge="audit_broken",
        threshold=1,
        check="Console → Audit verifications, and the log lines `[auditBroken]`; `manage.py verify_audit` names the "
        "first broken row of up to a hundred invoices. `invoice=0` is the digest: expected once after a restored "
        "backup or a detached month.",
        fix="Find out who changed the database, and restore the rows from a backup. The next night's verification "
        "clears the alert.",
        escalate=SRE,
    ),
    Alert(
        "PaymentConflict",
        "In the last 24 hours an order got a second payment with a different amount. Its invoice was not changed.",
        gauge="payments_disagreeing",
        threshold=1,
        check="The log line `[paymentConflict]` names the order; `manage.py inspect_invoice ORDER` shows both sums.",
        fix="Ask the platform which is right. If it is the second, the merchant corrects the invoice at the provider.",
        escalate=TEAM,
    ),
    Alert(
        "PaymentsNotApplied",
        "Verified payments were refused or failed here: the sale is paid and has no invoice.",
        gauge="webhooks_not_applied",
        labels={"type": ("payment.succeeded",)},
        threshold=1,
        check="Console → Webhook events, status refused or failed: `error` says which field does not add up.",
        fix="Refused: have the sender correct the body and send it under a new id, then close the refused event in the "
        "console. Failed by an internal error: it is tried again automatically.",
        escalate=TEAM,
    ),
    Alert(
        "PaymentsParkedTooLong",
        "A paid sale has had no invoice for an hour: its merchant cannot issue it, or it does not add up.",
        gauge="payments_parked_seconds",
        aggregate="max",
        threshold=3600,
        check="Console → Payments, parked: each says what is missing. If nothing is missing: the log line "
        "`[parkedPaymentFailed]`.",
        fix="`merchant`, `tax_info`: the platform must send it. `account`, `symbol_year`: add the provider account. "
        "`refused`: have the sender correct the sale and send it again. The invoice then opens automatically.",
        escalate=TEAM,
    ),
    Alert(
        "IssueLimitNear",
        "Invoices that are overdue for sending reach their issue limit within the hour.",
        gauge="issue_limit_near",
        threshold=1,
        check="Console → Invoices, “overdue, near the issue limit”: is the account parked or paused, the worker down?",
        fix="Reopen what is parked or paused, or see “Moving invoices to another account” in docs/operations.md. "
        "Past the limit an invoice fails as `late`; a replay is dated the day of the replay.",
        escalate=SRE,
    ),
    Alert(
        "InvoicesStuck",
        "Open invoices are ten minutes overdue: claim windows are not closed, or nothing is sent.",
        gauge="invoices_oldest_seconds",
        labels={"state": ("WAITING", "QUEUED", "SENDING")},
        aggregate="max",
        threshold=600,
        check="Are beat and a worker of each partition up (`kubectl get deploy`)? Is a partition, merchant or account "
        "paused or parked?",
        fix="Start what is down; resume what is paused. Workers continue where they stopped.",
        escalate=SRE,
    ),
    Alert(
        "UncertainTooLong",
        "For half an hour a provider has not confirmed whether it has an invoice.",
        gauge="invoices_oldest_seconds",
        labels={"state": ("UNCERTAIN",)},
        aggregate="max",
        threshold=1800,
        check="Console → Invoices, state UNCERTAIN; `manage.py inspect_invoice ORDER` shows each look-up.",
        fix="It resolves once the provider answers again; `manage.py replay_issuance ORDER --reason TEXT` looks it up "
        "now. It is never sent a second time before it is proven absent.",
        escalate=SRE,
    ),
    Alert(
        "AccountParked",
        "A provider refuses an account: its merchant's invoices wait.",
        gauge="accounts_parked",
        threshold=1,
        check="Console → Provider accounts, parked: the reason is shown there (login, certificate, numbers, symbol).",
        fix="Have the merchant renew what is named there, or enter the new login and press *Probe*. A refused login is "
        "probed automatically; otherwise one invoice is tried every five minutes, and its success reopens the account.",
        escalate=TEAM,
    ),
    Alert(
        "CertificateExpiring",
        "An account's signing certificate expires soon.",
        gauge="certificates_ending",
        threshold=1,
        check="Console → Provider accounts: the date its certificate ends.",
        fix="Have the merchant renew it at the provider, then enter the new date.",
        escalate=TEAM,
    ),
    Alert(
        "NumbersRunningOut",
        "An account has few invoice numbers left.",
        gauge="accounts_short",
        threshold=1,
        check="Console → Provider accounts: numbers left.",
        fix="Have the merchant buy more at the provider, then enter the new last number.",
        escalate=TEAM,
    ),
    Alert(
        "VatRatesChange",
        "The legal VAT rates change within 30 days.",
        gauge="vat_rates_change_days",
        aggregate="min",
        threshold=30,
        check="Console → Legal rules: the next row and its day.",
        fix="Inform the platform: from that day a sale with a rate that no longer exists does not add up. If the law "
        "was extended, load a new `fixtures/legal_rules.json` (docs/operations.md).",
        escalate=TEAM,
    ),
    Alert(
        "TaxInfoDrift",
        "Merchants' tax data differs from what the platform sent last.",
        gauge="tax_drift",
        threshold=1,
        check="`manage.py tax_drift` names merchants and fields.",
        fix="`manage.py tax_drift --fix`, or `manage.py resync_merchant ID` for one. The platform must correct data "
        "that cannot be used.",
        escalate=TEAM,
    ),
    Alert(
        "ConsumerSilent",
        "The consumer has not reported its lag for five minutes, or never: merchants' changes wait in Kafka.",
        gauge="consumer_silent_seconds",
        aggregate="max",
        threshold=300,
        check="Is the consumer up (`kubectl get statefulset invoice-consumer`)? Its log: `[followMerchants]`.",
        fix="Start it; it continues from its last commit. A member that Kafka refuses logs that and exits.",
        escalate=SRE,
        for_minutes=5,
    ),
    Alert(
        "MessagesQuarantined",
        "Messages from Kafka could not be applied.",
        gauge="quarantined",
        threshold=1,
        check="`manage.py replay_quarantined` lists them and what is wrong with each.",
        fix="Remove the cause, then `manage.py replay_quarantined --all`.",
        escalate=TEAM,
    ),
    Alert(
        "WebhooksRejected",
        "Ten webhooks were rejected in the last hour: wrong signatures, or bodies that do not add up.",
        gauge="webhooks_rejected",
        threshold=10,
        check="The console's home page, by route and reason; the log lines `[webhookRejected]`, `[webhookRefused]`.",
        fix="`signature`: the sender's secret or clock is wrong, see docs/security.md. `refused`: the sender's data.",
        escalate=TEAM,
    ),
    Alert(
        "DeliveriesDelayed",
        "Webhooks to merchants are ten minutes late.",
        gauge="deliveries_oldest_seconds",
        threshold=600,
        check="Is a worker of the queue `webhook-deliveries` up?",
        fix="Start it; it continues where it stopped. A single slow receiver is not the cause: it delays no other.",
        escalate=SRE,
        for_minutes=5,
    ),
    Alert(
        "EndpointDisabled",
        "A merchant's endpoint was disabled in the last 24 hours: it is gone, or had no success for five days.",
        gauge="endpoints_given_up",
        threshold=1,
        check="Console → Webhook endpoints, disabled: the reason and the merchant.",
        fix="Inform the merchant. Once their server is back, clear the reason: the missed events are sent.",
        escalate=TEAM,
    ),
]
