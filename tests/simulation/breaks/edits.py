"""Bugs that change a text of the product: one source change each, in a function or in a statement of SQL."""

import ast
import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import CodeType, FunctionType
from typing import NamedTuple
from unittest.mock import patch


class BreakHasNoEffect(AssertionError):
    """A break does not change the product's code any more: the code that it was written for is gone."""


class Edit(NamedTuple):
    """`old` becomes `new` wherever it stands in `target`: "module:function" or "module:STATEMENT"."""

    target: str
    old: str
    new: str


@contextmanager
def edited(edits: tuple[Edit, ...]) -> Iterator[None]:
    """The edits are in the product. Raises BreakHasNoEffect."""
    with ExitStack() as stack:
        for target in dict.fromkeys(edit.target for edit in edits):
            stack.enter_context(_edited(target, [edit for edit in edits if edit.target == target]))
        yield


def replaced(text: str, old: str, new: str) -> str:
    """Raises BreakHasNoEffect."""
    if old not in text or old == new:
        raise BreakHasNoEffect(f"there is no {old!r} in {text}")
    return text.replace(old, new)


@contextmanager
def _edited(target: str, edits: list[Edit]) -> Iterator[None]:
    """A function keeps its identity and gets new code, so whatever imported it has the change too."""
    module, _, name = target.partition(":")
    try:
        value = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BreakHasNoEffect(f"there is no {target}") from error
    text = source = value if isinstance(value, str) else inspect.getsource(value)
    for _, old, new in edits:
        text = replaced(text, old, new)
    if isinstance(value, str):
        with patch(f"{module}.{name}", text):
            yield
        return
    if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
        raise BreakHasNoEffect(f"{target} does the same with {edits}")
    code, value.__code__ = value.__code__, _compile(value, text)
    try:
        yield
    finally:
        value.__code__ = code


def _compile(function: FunctionType, source: str) -> CodeType:
    names: dict[str, FunctionType] = {}
    exec(compile(source, f"broken {function.__name__}", "exec"), function.__globals__, names)
    return names[function.__name__].__code__
