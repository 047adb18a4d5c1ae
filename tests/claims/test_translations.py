"""Every text of the buyer's page exists in Vietnamese and English, and the compiled catalogues are current."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).parents[2]
LOCALE = ROOT / "claims" / "locale"
APPS = ("claims", "invoices", "merchants")
ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[\d\]) (".*")$|^(".*")$', re.MULTILINE)
CALL = re.compile(r"""\b(?:_|gettext|gettext_lazy|ngettext)\(\s*u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


def written(language: str) -> dict[str, list[str]]:
    """The .po file: each msgid with its translations. Needs no gettext tools."""
    entries: dict[str, list[str]] = {}
    for block in (LOCALE / language / "LC_MESSAGES" / "django.po").read_text().split("\n\n"):
        parts: dict[str, str] = {}
        keyword = ""
        for key, first, more in ENTRY.findall(block):
            keyword = key or keyword
            parts[keyword] = parts.get(keyword, "") + ast.literal_eval(first or more)
        if parts:
            entries[parts["msgid"]] = [text for key, text in parts.items() if key.startswith("msgstr")]
    return entries


def used() -> set[str]:
    """The msgids in Python and in templates."""
    texts = [path.read_text() for app in APPS for path in (ROOT / app).rglob("*.py")]
    texts += [templatize(path.read_text()) for path in (ROOT / "claims" / "templates").rglob("*.html")]
    return {ast.literal_eval(literal) for text in texts for literal in CALL.findall(text)}


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_compiled_catalogue_is_current(language: str) -> None:
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    compiled: dict[str, list[str]] = {}
    for key, text in catalogue.items():
        compiled.setdefault(key[0] if isinstance(key, tuple) else key, []).append(text)
    assert compiled == written(language)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_text_is_translated_and_no_translation_is_unused(language: str) -> None:
    entries = written(language)
    assert set(entries) - {""} == used()
    assert not [msgid for msgid, texts in entries.items() if not all(texts)]


def test_vietnamese_is_not_english() -> None:
    same = {msgid for msgid, texts in written("vi").items() if texts == [msgid]}
    assert same == {"Email"}


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_translation_keeps_its_placeholders(language: str) -> None:
    placeholder = re.compile(r"%\(\w+\)[sd]")
    for msgid, texts in written(language).items():
        for text in texts:
            assert msgid == "" or set(placeholder.findall(text)) == set(placeholder.findall(msgid)), msgid
