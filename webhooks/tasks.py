from celery import shared_task

from webhooks import receiving


@shared_task(name="webhooks.act_again")
def act_again() -> None:
    receiving.act_again()
