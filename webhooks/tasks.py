from celery import shared_task

from webhooks.inbound import receiving
from webhooks.outbound import deliveries


@shared_task(name="webhooks.act_again")
def act_again() -> None:
    receiving.act_again()


@shared_task(name="webhooks.deliver_due")
def deliver_due() -> None:
    deliveries.deliver_due()
