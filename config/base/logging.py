"""One event a line on stdout, as logfmt or JSON.

Our own lines are structlog's: `log.info("[claimed]", order=…)`; `%(order)s` in the event is filled in from its keys.
Everybody else's, Django's and Celery's, librdkafka's and aiohttp's, come by the standard library. Both meet here,
and of both only what config/base/redaction.py lists is written.
"""

import json
import logging
import os
import re
import traceback
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, TextIO

import structlog
from structlog.contextvars import get_contextvars
from structlog.typing import Processor

from config.base.redaction import HIDDEN, KEYS, argument, scrubbed, told_of

MARKER = re.compile(r"\[(_?[A-Za-z]{1,32})\]")
RENDER: dict[str, Processor] = {
    "logfmt": structlog.processors.LogfmtRenderer(),
    "json": structlog.processors.JSONRenderer(partial(json.dumps, ensure_ascii=False)),
}
_part = ""

structlog.configure(
    processors=[structlog.stdlib.render_to_log_args_and_kwargs],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
log = structlog.stdlib.get_logger(__name__)


def serve_as(part: str) -> None:
    """This process is a server: api, worker, beat or consumer. Every line says so, and warnings are lines too."""
    global _part
    _part = part
    logging.raiseExceptions = False  # a line that cannot be written is not printed to stderr either
    warnings.showwarning = _warned


class Line(logging.Formatter):
    """`whole` adds exceptions with their messages: for developers, who have nobody's data."""

    def __init__(self, style: str = "", service: str = "", *, whole: bool = False) -> None:
        super().__init__()
        self.render = RENDER[style or os.environ.get("LOG_FORMAT", "logfmt")]
        self.service = service or os.environ.get("SERVICE_CODE", "SVC-00150-INVOICE")
        self.whole = whole

    def format(self, record: logging.LogRecord) -> str:
        facts = self.facts(record)
        line = str(self.render(None, "", facts))
        if self.whole and record.exc_info and record.exc_info[1]:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        template, marker = _read(str(record.msg))
        named = record.args if isinstance(record.args, Mapping) else {}
        keys: dict[str, Any] = {}
        for source in (get_contextvars(), named, record.__dict__):
            for name, value in source.items():
                if name in KEYS and value is not None and value != "":
                    keys[name] = KEYS[name](value)
        if error := record.exc_info and record.exc_info[1]:
            keys |= told_of(error)
        return {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            **({"part": _part} if _part else {}),
            "logger": record.name,
            **({"marker": marker} if marker else {}),
            "event": _filled(template, None if named else record.args, keys),
            **keys,
        }


@lru_cache(2048)
def _read(text: str) -> tuple[str, str]:
    """A sentence without what may be somebody's, and its marker."""
    found = MARKER.match(text)
    start = found.end() if found else 0
    return text[:start] + scrubbed(text[start:]), found[1] if found else ""


def _filled(template: str, args: Any, keys: dict[str, Any]) -> str:
    if not args and "%(" not in template:
        return template
    try:
        return template % (tuple(map(argument, args)) if args else _Known(keys))
    except (TypeError, ValueError):  # a number was wanted where we hide a word
        return template


class _Known(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return HIDDEN


def _warned(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    log.warning("[warning]", error=category.__name__, at=f"{filename.rpartition('site-packages/')[2]}:{lineno}")
