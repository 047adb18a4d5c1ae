"""Parsing of request bodies: exact numbers, a size limit, and no text that the database cannot store."""

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


class ExactJsonParser(BaseParser):
    """Parses fractions as Decimal: money must never become a float."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise Problem(413, "too_large", f"The body has more than {limit} bytes.")
        try:
            value = json.loads(raw, parse_float=Decimal, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:  # a wrong encoding is a ValueError too
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ParseError(f"The body is not valid JSON: {reason}") from None
        try:
            _check_text(value)
        except ValueError as error:
            raise Problem(422, "invalid_text", f"The body has a text that cannot be stored: {error}") from None
        return value


class JsonOnlyNegotiation(BaseContentNegotiation):
    """Ignores the Accept header: the response is always JSON, a problem document or a file, never a 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


def _reject_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _check_text(value: Any) -> None:
    """Raises ValueError for NUL and lone surrogates, in values and in keys: PostgreSQL cannot store them."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a NUL character")
        value.encode()  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_text(key)
            _check_text(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_text(inner)
