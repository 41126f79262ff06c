"""How tests are shared out among processes (`make test`)."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays in one process; so does the contract battery, whose files share trained runs."""
    for item in items:
        shared = item.path.parent.name == "contract"
        item.add_marker(pytest.mark.xdist_group("contract" if shared else str(item.path)))
