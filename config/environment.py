"""Every variable that `settings.py` reads, from its source: name, default and the comment beside it.

A knob is documented where it is read, once; `manage.py environment` writes the table of docs/operations.md from here.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings

READS = re.compile(r"env\.(str|int|float|bool|list|dict|db_url|email_url)|positive")
SECTION = re.compile(r"# --- (.+?) -{3,}")


@dataclass(frozen=True, slots=True)
class Knob:
    name: str
    default: str | None  # in production, as the source says it; None: it must be set
    meaning: str
    section: str


def knobs() -> list[Knob]:
    """In the order of the file. One that is read in several places must be set if one of them has no default."""
    source = (settings.ROOT / "config" / "settings.py").read_text()
    comments, above, sections = _comments(source)
    found: dict[str, Knob] = {}
    for call, last_line in sorted(_reads(ast.parse(source)), key=lambda read: (read[0].lineno, read[0].col_offset)):
        name, default = ast.literal_eval(call.args[0]), _default(call)
        beside = [*range(call.lineno, (call.end_lineno or 0) + 1), last_line]
        meaning = next((comments[line] for line in beside if line in comments), above.pop(call.lineno - 1, ""))
        section = next((title for line, title in reversed(sections) if line < call.lineno), "The process")
        if known := found.get(name):
            default = None if default is None else known.default
            meaning, section = known.meaning or meaning, known.section
        found[name] = Knob(name, default, meaning, section)
    return list(found.values())


def table() -> str:
    """Markdown, a table a section."""
    lines: list[str] = []
    section = ""
    for knob in knobs():
        if knob.section != section:
            section = knob.section
            lines += ["", f"**{section}**", "", "| variable | default | |", "|---|---|---|"]
        default = "**must be set**" if knob.default is None else f"`{knob.default}`" if knob.default else ""
        lines.append(f"| `{knob.name}` | {default} | {knob.meaning} |")
    return "\n".join(lines).strip()


def _reads(tree: ast.AST, last_line: int = 0) -> Iterator[tuple[ast.Call, int]]:
    """Calls that read a variable, each with the last line of its statement (of an `if`: of its condition)."""
    for node in ast.iter_child_nodes(tree):
        last = (node.end_lineno or 0) if isinstance(node, ast.stmt) else last_line
        if (
            isinstance(node, ast.Call)
            and READS.fullmatch(ast.unparse(node.func))
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node, node.end_lineno or 0 if isinstance(tree, ast.If) else last
        yield from _reads(node, last)


def _default(call: ast.Call) -> str | None:
    """As production sees it; "" where it is nothing, or more than a value, which the comment has to tell."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "default"] or call.args[1:2]
    if not given:
        return None
    value = given[0]
    if isinstance(value, ast.IfExp) and ast.unparse(value.test) == "DEVELOPMENT":
        value = value.orelse
    if isinstance(value, ast.Name):
        return "false" if value.id == "DEVELOPMENT" else value.id
    if isinstance(value, ast.Constant):
        return str(value.value).lower() if isinstance(value.value, bool) else str(value.value)
    text = ast.unparse(value)
    if isinstance(value, ast.List | ast.Dict):
        return text.strip("[]{}")
    if isinstance(value, ast.JoinedStr):
        return text[2:-1]
    return text if isinstance(value, ast.BinOp) and not any(isinstance(n, ast.Name) for n in ast.walk(value)) else ""


def _comments(source: str) -> tuple[dict[int, str], dict[int, str], list[tuple[int, str]]]:
    """By line: trailing comments, comments on a line of their own, and the titles of the sections."""
    beside, above, sections = {}, {}, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, text = token.start[0], _plain(token.string)
            if title := SECTION.match(token.string):
                sections.append((line, title[1]))
            elif not token.line[: token.start[1]].strip():
                above[line] = text
            elif text:
                beside[line] = text
    return beside, above, sections


def _plain(comment: str) -> str:
    """Without what is for the linter."""
    return re.sub(r"#\s*(noqa|type):.*", "", comment).strip("#. ")
