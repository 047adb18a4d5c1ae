"""Reads and checks environment variables. The variables are declared in `config/settings.py`, each with its meaning.

`manage.py environment` generates the table in docs/operations.md. All wrong variables are reported together.
"""

import os
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    default: str | None  # in production; None: it must be set
    meaning: str
    section: str


class Environment:
    """Reads variables of `values`. A wrong one is added to `problems` and its default used until `finish` raises."""

    def __init__(self, values: MutableMapping[str, str]) -> None:
        self.values = values
        self.development = False  # True: the development defaults are used
        self.variables: dict[str, Variable] = {}
        self.problems: list[str] = []
        self._section = ""

    def read_file(self, path: Path) -> None:
        """Set the variables in the file `path` that are not set yet."""
        environ.Env.read_env(path)

    def section(self, title: str) -> None:
        self._section = title

    def problem(self, text: str) -> None:
        self.problems.append(text)

    def finish(self) -> None:
        """Raise ImproperlyConfigured with every problem, one per line."""
        problems, self.problems = self.problems, []
        if problems:
            raise ImproperlyConfigured("\n".join(problems))

    def text(
        self, name: str, meaning: str, default: str | None = None, *, development: str | None = None, shown: str = "",
        one_of: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        """`shown`: how the table describes a default that is computed. Without a default the text must not be empty."""

        def cast(raw: str) -> str:
            if one_of and raw not in one_of:
                raise ValueError("set it to " + " or ".join(f'"{word}"' for word in one_of))
            if default is None and not raw:
                raise ValueError("it must not be empty")
            return raw

        return self._read(name, meaning, cast, default, development, "", shown)

    def whole(
        self, name: str, meaning: str, default: int | None = None, *, at_least: int = 1, at_most: int | None = None
    ) -> int:
        def cast(raw: str) -> int:
            value = int(raw)
            if at_most is not None and not at_least <= value <= at_most:
                raise ValueError(f"it must lie between {at_least} and {at_most}")
            if value < at_least:
                raise ValueError(f"it must be at least {at_least}")
            return value

        return self._read(name, meaning, cast, default, None, at_least)

    def seconds(self, name: str, meaning: str, default: float, *, development: float | None = None) -> float:
        def cast(raw: str) -> float:
            value = float(raw)
            if not value > 0:
                raise ValueError("it must be greater than 0")
            return value

        return self._read(name, meaning, cast, default, development, 1.0)

    def number(self, name: str, meaning: str, default: float) -> float:
        return self._read(name, meaning, float, default, None, 0.0)

    def flag(self, name: str, meaning: str, default: bool = False, *, development: bool | None = None) -> bool:
        def cast(raw: str) -> bool:
            if raw.lower() not in (*TRUE, *FALSE):
                raise ValueError("it must be true or false")
            return raw.lower() in TRUE

        return self._read(name, meaning, cast, default, development, False)

    def words(self, name: str, meaning: str, *, development: list[str] | None = None) -> list[str]:
        """Separated by commas."""
        return self._read(name, meaning, lambda raw: [word for word in raw.split(",") if word], [], development, [])

    def steps(self, name: str, meaning: str, default: list[float]) -> list[float]:
        """Seconds, separated by commas."""
        return self._read(name, meaning, lambda raw: [float(step) for step in raw.split(",")], default, None, [])

    def options(self, name: str, meaning: str) -> dict[str, str]:
        """name=value, separated by commas."""
        return self._read(name, meaning, lambda raw: dict(pair.split("=", 1) for pair in raw.split(",")), {}, None, {})

    def database(self, name: str, meaning: str) -> dict[str, Any]:
        return self._read(name, meaning, environ.Env.db_url_config, None, None, {})

    def mail(self, name: str, meaning: str, default: str, *, development: str) -> dict[str, Any]:
        url = self.text(name, meaning, default, development=development)
        return self._guarded(name, environ.Env.email_url_config, url, {})

    def _read(
        self, name: str, meaning: str, cast: Callable[[str], T], default: T | None, development: T | None, blank: T,
        shown: str = "",
    ) -> T:  # fmt: skip
        text = None if default is None and not shown else shown or _text(default)
        self.variables[name] = Variable(name, text, meaning, self._section)
        fallback = development if self.development and development is not None else default
        raw = self.values.get(name)
        if raw is not None:
            return self._guarded(name, cast, raw, blank if fallback is None else fallback)
        if fallback is None:
            self.problem(f"{name} is not set: {meaning}")
            return blank
        return fallback

    def _guarded(self, name: str, cast: Callable[[str], T], raw: str, fallback: T) -> T:
        """The value, or `fallback` and a noted problem, which never quotes the value: it may be a secret."""
        try:
            return cast(raw)
        except (ValueError, ImproperlyConfigured) as error:
            reason = str(error) if str(error).startswith(("it ", "set ")) else "it cannot be read"
            self.problem(f"{name}: {reason}. Its meaning: {self.variables[name].meaning}")
            return fallback


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


env = Environment(os.environ)


def table() -> str:
    """The variables as Markdown, one table per section."""
    lines: list[str] = []
    section = ""
    for variable in env.variables.values():
        if variable.section != section:
            section = variable.section
            lines += ["", f"**{section}**", "", "| variable | default | meaning |", "|---|---|---|"]
        default = "**must be set**" if variable.default is None else f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {default} | {variable.meaning} |")
    return "\n".join(lines).strip()
