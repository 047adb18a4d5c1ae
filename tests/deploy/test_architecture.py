"""docs/architecture.md: its state diagram is the code's, and its links exist."""

import re

from config.settings import ROOT
from invoices import lifecycle

PAGE = ROOT / "docs" / "architecture.md"


def test_the_state_diagram_is_the_one_in_lifecycle() -> None:
    assert lifecycle.__doc__
    _, _, picture = lifecycle.__doc__.partition("\n\n")
    assert f"```\n{picture.strip(chr(10))}\n```" in PAGE.read_text()


def test_the_links_of_the_page_exist() -> None:
    text = PAGE.read_text()
    for link in re.findall(r'\]\(([^)#]+)\)|src="([^"]+)"', text):
        assert (PAGE.parent / (link[0] or link[1])).exists(), link
