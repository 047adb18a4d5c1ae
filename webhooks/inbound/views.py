from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from structlog.stdlib import get_logger

from config.monitoring import counters
from config.rest.problems import problem
from webhooks.inbound.receiving import IdReused, Malformed, receive_event
from webhooks.inbound.signatures import Unverified, verify_signature
from webhooks.metrics import REJECTED

log = get_logger(__name__)


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, route: str) -> HttpResponse:
    """POST webhooks/internal and webhooks/merchant, signed by Standard Webhooks."""
    try:
        label = verify_signature(route, request.body, request.headers)
        status, body = receive_event(route, request.headers["webhook-id"][:200], request.body, label)
    except Unverified as error:
        log.warning("[webhookRejected]", route=route, code="signature", why=str(error))
        _count_rejected(route, "signature")
        return problem(401, "signature", str(error))
    except Malformed as error:
        log.warning("[webhookRejected]", route=route, code=error.code)
        _count_rejected(route, error.code)
        return problem(400, error.code, str(error))
    except IdReused as error:
        _count_rejected(route, "webhook_id_reused")
        return problem(409, "webhook_id_reused", str(error))
    except (OperationalError, InterfaceError):
        log.exception("[webhookUnavailable]", route=route)
        response = problem(503, "database", "The database is not available. Please send this again.")
        response["Retry-After"] = "5"
        return response
    if status == 422:
        _count_rejected(route, "refused")
        return problem(422, body["code"], body["detail"], field=body["field"], eventId=body["eventId"])
    return JsonResponse(body, status=status)


def _count_rejected(route: str, reason: str) -> None:
    """Count a rejected body, for it has no row. A failure to count does not change the response."""
    try:
        counters.count({(REJECTED, f"{route}:{reason}"): 1})
    except DatabaseError:
        log.exception("[webhookRejected] not counted", route=route)
