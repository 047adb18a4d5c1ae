from celery import shared_task

from webhooks.inbound import receiving
from webhooks.outbound import deliveries


@shared_task(name="webhooks.retry_failed_events")
def retry_failed_events() -> None:
    receiving.retry_failed()


@shared_task(name="webhooks.deliver_due")
def deliver_due() -> None:
    deliveries.deliver_due()
