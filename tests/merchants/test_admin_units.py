import importlib.util
import json
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "data" / "vn_admin_units.json"


@pytest.fixture(scope="module")
def rows():
    return json.loads((ROOT / "fixtures" / "admin_units.json").read_text(encoding="utf-8"))


def test_there_are_34_provinces_and_3321_communes(rows):
    assert Counter(row["fields"]["level"] for row in rows) == {"province": 34, "commune": 3321}
    kinds = {"thanh_pho_tw": 7, "tinh": 27, "phuong": 697, "xa": 2611, "dac_khu": 13}
    assert Counter(row["fields"]["unit_type"] for row in rows) == kinds


def test_codes_are_unique_and_of_their_levels_length(rows):
    assert len({row["pk"] for row in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"\d{2}" if row["fields"]["level"] == "province" else r"\d{5}", row["pk"])


def test_each_commune_comes_after_its_province(rows):
    seen = set()
    for row in rows:
        if row["fields"]["level"] == "province":
            assert row["fields"]["parent"] is None
            seen.add(row["pk"])
        else:
            assert row["fields"]["parent"] in seen


def test_texts_are_nfc_trimmed_and_never_empty(rows):
    for row in rows:
        for name, text in row["fields"].items():
            if name != "parent":
                assert text and text == " ".join(text.split()) == unicodedata.normalize("NFC", text)


def test_the_search_text_is_found_without_accents(rows):
    by_code = {row["pk"]: row["fields"] for row in rows}
    assert by_code["01"]["search"] == "ha noi thanh pho ha noi"
    assert by_code["75"]["search"] == "dong nai thanh pho dong nai"
    assert all(re.fullmatch(r"[a-z0-9 '.-]+", row["fields"]["search"]) for row in rows)


def test_the_changes_of_april_2026_are_included(rows):
    by_code = {row["pk"]: row["fields"] for row in rows}
    assert by_code["75"]["full_name"] == "Thành phố Đồng Nai"
    assert by_code["26368"]["full_name"] == "Phường Long Thành"


def test_each_row_is_on_one_line():
    text = (ROOT / "fixtures" / "admin_units.json").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 34 + 3321 + 2


def test_the_fixture_equals_the_reference_dataset_except_for_its_misprint(rows):
    if not REFERENCE.exists():
        pytest.skip(f"no reference dataset at {os.path.relpath(REFERENCE, ROOT)}: it is not part of this repository")
    spec = importlib.util.spec_from_file_location("make_admin_units", ROOT / "fixtures" / "make_admin_units.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.differences(rows, json.loads(REFERENCE.read_text(encoding="utf-8"))) == []
    assert make.MISPRINTS == {"06978": "06970"}
