"""docs/architecture.md: its picture is the code's, and what it points to is there."""

import re

from config.settings import ROOT
from invoices import lifecycle

PAGE = ROOT / "docs" / "architecture.md"


def test_the_life_of_an_invoice_is_drawn_once() -> None:
    assert lifecycle.__doc__
    _, _, picture = lifecycle.__doc__.partition("\n\n")
    assert f"```\n{picture.strip(chr(10))}\n```" in PAGE.read_text()


def test_what_the_page_points_to_exists() -> None:
    text = PAGE.read_text()
    for link in re.findall(r'\]\(([^)#]+)\)|src="([^"]+)"', text):
        assert (PAGE.parent / (link[0] or link[1])).exists(), link
