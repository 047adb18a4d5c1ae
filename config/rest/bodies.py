"""Bodies as they came: exact numbers, bounded size, and no text that the database cannot keep."""

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import IO, Any

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from config.rest.problems import Problem


class ExactJson(BaseParser):
    """Decimals stay decimals: money must not pass through a binary fraction."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise Problem(413, "too_large", f"The body has more than {limit} bytes.")
        try:
            value = json.loads(raw, parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:  # a wrong encoding is a ValueError too
            told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ParseError(f"The body is not JSON that we read: {told}") from None
        try:
            _check_text(value)
        except ValueError as error:
            raise Problem(422, "invalid_text", f"The body has a text that cannot be kept: {error}") from None
        return value


class OnlyJson(BaseContentNegotiation):
    """We answer JSON, problems and files, whatever a client would rather accept: a 406 has never helped anybody."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _check_text(value: Any) -> None:
    """PostgreSQL keeps neither NUL nor half a character, in values or in keys. Raises ValueError."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a NUL character")
        value.encode()  # half a surrogate pair is a UnicodeEncodeError, which is a ValueError
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check_text(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner)
