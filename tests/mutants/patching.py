"""Put one mutant into the modules that are already imported: in a forked process, which ends with its tests."""

import ast
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any


def patch(module: ModuleType, source: bytes, line: int) -> bool:
    """Make `module` behave as `source` from `line`'s top-level statement on. False where that cannot be done.

    A function keeps its identity and gets new code, so whoever imported it has the mutant too. An assignment is
    executed again, and the new value replaces the old one wherever it was imported under the same name.
    """
    tree = ast.parse(source)
    statement = next(n for n in tree.body if n.lineno - len(_decorators(n)) <= line <= (n.end_lineno or 0))
    code = compile(source, module.__file__ or "", "exec")
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return _replace(_unwrapped(module.__dict__[statement.name]), _code(code, statement.name))
    if isinstance(statement, ast.ClassDef):
        method = next(
            (n for n in statement.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
             and n.lineno <= line <= (n.end_lineno or 0)), None,
        )  # fmt: skip
        if method is None:
            return False
        function = _unwrapped(vars(module.__dict__[statement.name])[method.name])
        return _replace(function, _code(_code(code, statement.name), method.name))
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return _assign(module, statement, statement.targets[0].id)
    return False


def _decorators(node: ast.stmt) -> list[ast.expr]:
    return getattr(node, "decorator_list", [])


def _unwrapped(value: Any) -> FunctionType | None:
    """The plain function below staticmethod, property and decorators that keep __wrapped__."""
    value = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value if isinstance(value, FunctionType) else None


def _code(parent: CodeType | None, name: str) -> CodeType | None:
    consts = parent.co_consts if parent else ()
    return next((c for c in consts if isinstance(c, CodeType) and c.co_name == name), None)


def _replace(function: FunctionType | None, code: CodeType | None) -> bool:
    if function is None or code is None or code.co_freevars != function.__code__.co_freevars:
        return False
    function.__code__ = code
    return True


def _assign(module: ModuleType, statement: ast.Assign, name: str) -> bool:
    old = module.__dict__[name]
    exec(compile(ast.Module([statement], []), module.__file__ or "", "exec"), module.__dict__)
    new = module.__dict__[name]
    for other in list(sys.modules.values()):
        if other is not None and vars(other).get(name) is old:
            setattr(other, name, new)
    return True
