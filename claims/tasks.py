from celery import shared_task

from claims import claiming


@shared_task(name="claims.expire_claims")
def expire_claims(partition: int) -> None:
    claiming.expire_claims(partition)
