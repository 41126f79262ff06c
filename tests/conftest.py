"""How tests are shared out among processes (`make test`), and what hypothesis tries."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# The same examples at every run: a change is judged by what it changes. Others are looked for with
# HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

#: These take minutes, of which most is waiting: begun last, they would be waited for at the end.
LONGEST = ("tests/launch/test_slurm_cluster.py", "tests/launch/test_sweep_killed.py")


class ByFile(LoadScopeScheduling):
    """A file stays in one process; so does the contract battery, whose files share trained runs."""

    def _split_scope(self, nodeid: str) -> str:  # what xdist's documentation says to override
        path = PurePosixPath(nodeid.split("::", 1)[0])
        return "contract" if path.parent.name == "contract" else str(path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, whatever else is chosen."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))  # (stable)
