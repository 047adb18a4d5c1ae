"""How the workers of xdist share the suite.

A module is never split, so that no server and no browser is started twice. The modules that start processes wait more
than they compute: one worker runs them one after another while the others keep the processor busy.
"""

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

WITH_PROCESSES = (
    "tests/chaos/",
    "tests/deploy/",
    "tests/api/test_openapi.py",
    "tests/invoices/dev/test_demo.py",
    "tests/merchants/test_following.py",
)
LONG = ("tests/simulation/", "tests/console/test_console.py", "tests/invoices/admin/test_actions_browser.py")
ROOT = Path(__file__).resolve().parent.parent
assert all((ROOT / path).exists() for path in WITH_PROCESSES + LONG)


class ByModule(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith(WITH_PROCESSES) else nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    config.option.loadscopereorder = False  # the order is that of the collection
    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that the workers finish together."""
    items.sort(key=lambda item: (not item.nodeid.startswith(WITH_PROCESSES), not item.nodeid.startswith(LONG)))
