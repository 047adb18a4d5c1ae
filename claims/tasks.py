from celery import shared_task

from invoices.operations import claim


@shared_task(name="claims.expire_claims")
def expire_claims(partition: int) -> None:
    claim.expire_claims(partition)
