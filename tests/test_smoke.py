from tests import cast
import pytest

@pytest.mark.django_db
def test_open(client):
    m = cast.seller()
    r = client.post("/v1/api/webhooks/internal", **cast.signed(cast.event("payment.succeeded", cast.payment(m))))
    print(r.json())
    assert r.status_code == 202, r.json()

@pytest.mark.django_db
def test_states():
    for f in (cast.waiting, cast.queued, cast.sending, cast.issued, cast.failed):
        i = f(); print(i, i.audit_seq)
