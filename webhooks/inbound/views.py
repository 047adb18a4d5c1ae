from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from structlog.stdlib import get_logger

from config.monitoring import counters
from config.rest.problems import problem
from webhooks.inbound.receiving import Malformed, Reused, receive
from webhooks.inbound.signatures import Unverified, verify
from webhooks.metrics import REJECTED

log = get_logger(__name__)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, route: str) -> HttpResponse:
    """POST webhooks/internal and webhooks/merchant: Standard Webhooks in, the contract's answer out."""
    try:
        label = verify(route, request.body, request.headers)
        status, body = receive(route, request.headers["webhook-id"][:200], request.body, label)
    except Unverified as error:
        log.warning("[webhookRejected]", route=route, code="signature", why=str(error))
        _count_rejected(route, "signature")
        return problem(401, "signature", str(error))
    except Malformed as error:
        log.warning("[webhookRejected]", route=route, code=error.code)
        _count_rejected(route, error.code)
        return problem(400, error.code, str(error))
    except Reused as error:
        _count_rejected(route, "webhook_id_reused")
        return problem(409, "webhook_id_reused", str(error))
    except (OperationalError, InterfaceError):
        log.exception("[webhookUnavailable]", route=route)
        answer = problem(503, "database", "The database does not answer; please send this again.")
        answer["Retry-After"] = "5"
        return answer
    if status == 422:
        _count_rejected(route, "refused")
        return problem(422, body["code"], body["detail"], field=body["field"], eventId=body["eventId"])
    return JsonResponse(body, status=status)


def _count_rejected(route: str, reason: str) -> None:
    """A body that nobody signed has no row: it is only counted, and answered also when that fails."""
    try:
        counters.add({(REJECTED, f"{route}:{reason}"): 1})
    except DatabaseError:
        log.exception("[webhookRejected] not counted", route=route)
