"""The mutants of a source file: one small change each, at an exact place, so that survivors read as diffs."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

COMPARE = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.Div: "*", ast.Mod: "*"}
SWAP = {"min": "max", "max": "min", "any": "all", "all": "any"}
# In SQL a condition is dropped, a comparison moved by one, or a lock taken away.
SQL = [
    (re.compile(r"\bAND (?:NOT )?[^\n()]+?(?= AND |\n|\)|$)"), ""),
    (re.compile(r"(?<![<>=])<= "), "< "),
    (re.compile(r"(?<![<>=])>= "), "> "),
    (re.compile(r"(?<![<>=-])> (?!=)"), ">= "),
    (re.compile(r"(?<![<>=])< (?!=)"), "<= "),
    (re.compile(r" = 'QUEUED'"), " <> 'QUEUED'"),
    (re.compile(r" FOR NO KEY UPDATE(?: SKIP LOCKED)?"), ""),
    (re.compile(r"\bmin\("), "max("),
    (re.compile(r"\bORDER BY [^\n()]+?(?= LIMIT|\n|\))"), ""),
]
SQL_WORD = re.compile(r"\b(SELECT|UPDATE|INSERT)\b")


@dataclass(frozen=True, slots=True)
class Mutant:
    path: str
    line: int
    start: int  # offset in the file's bytes
    end: int
    new: str
    what: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """The changed lines, before and after."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        old = source[first:last].decode()
        new = (source[first : self.start] + self.new.encode() + source[self.end : last]).decode()
        changed = [f"-{line}" for line in old.splitlines()] + [f"+{line}" for line in new.splitlines()]
        return f"{self.path}:{self.line} {self.what}\n" + "\n".join(changed)


def mutants_of(path: str, source: bytes) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its lines."""
    tree = ast.parse(source)
    offsets = [0]
    for line in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))

    def place(node: ast.AST) -> tuple[int, int]:
        return offsets[node.lineno - 1] + node.col_offset, offsets[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def mutant(node: ast.AST, new: str, what: str, span: tuple[int, int] | None = None) -> Mutant:
        start, end = span or place(node)
        return Mutant(path, node.lineno, start, end, new, what)  # type: ignore[attr-defined]

    def text(node: ast.AST) -> str:
        start, end = place(node)
        return source[start:end].decode()

    skipped = _skipped(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARE:
            span = place(node.left)[1], place(node.comparators[0])[0]
            yield mutant(node, f" {COMPARE[type(node.ops[0])]} ", "other comparison", span)
        elif isinstance(node, ast.BoolOp):
            for at, value in enumerate(node.values):
                rest = [text(v) for i, v in enumerate(node.values) if i != at]
                word = " and " if isinstance(node.op, ast.And) else " or "
                yield mutant(value, f"({word.join(rest)})", "condition dropped", place(node))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield mutant(node, f"({text(node.operand)})", "not dropped")
        elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
            span = place(node.left)[1], place(node.right)[0]
            if b"(" not in source[slice(*span)] and b")" not in source[slice(*span)]:
                yield mutant(node, f" {ARITHMETIC[type(node.op)]} ", "other arithmetic", span)
        elif isinstance(node, ast.IfExp):
            yield mutant(node, f"({text(node.body)})", "else branch dropped")
            yield mutant(node, f"({text(node.orelse)})", "then branch dropped")
        elif isinstance(node, ast.If):
            yield mutant(node.test, "False", "branch never taken")
            yield mutant(node.test, "True", "branch always taken")
        elif isinstance(node, ast.Return) and node.value is not None and text(node.value) != "None":
            yield mutant(node.value, "None", "returns None")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield mutant(node, "pass", "call dropped")
        elif isinstance(node, ast.Raise):
            yield mutant(node, "pass", "raise dropped")
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant):
                    start, end = place(key)[0], place(value)[1]
                    comma = re.match(rb"\s*,", source[end:])
                    yield mutant(key, "", "entry dropped", (start, end + (comma.end() if comma else 0)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield mutant(node, str(not node.value), "other constant")
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield mutant(node, str(node.value + 1), "other constant")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SWAP:
            yield mutant(node.func, SWAP[node.func.id], "other function")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_WORD.search(node.value):
            start, end = place(node)
            for pattern, new in SQL:
                for match in pattern.finditer(source[start:end].decode()):
                    at = start + len(source[start:end].decode()[: match.start()].encode())
                    line = source.count(b"\n", 0, at) + 1
                    yield Mutant(path, line, at, at + len(match[0].encode()), new, "SQL: " + match[0].strip()[:40])


def _skipped(tree: ast.AST) -> set[int]:
    """Nodes that decide nothing: annotations, docstrings, log lines, class bodies' declarations."""
    found: set[int] = set()

    def skip(node: ast.AST | None) -> None:
        if node is not None:
            found.update(id(inner) for inner in ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            skip(node.returns)
            for argument in [*node.args.args, *node.args.kwonlyargs]:
                skip(argument.annotation)
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                skip(default)
            for decorator in node.decorator_list:
                skip(decorator)
        elif isinstance(node, ast.AnnAssign):
            skip(node.annotation)
        elif isinstance(node, ast.ClassDef):
            for statement in node.body:
                if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                    skip(statement)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "log":
                skip(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value.func
            if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "log":
                skip(node)
        elif isinstance(node, ast.Assert) or isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skip(node)
    return found
