"""Fixtures of the tests of mirrors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory that must stay empty, and an environment that is put back."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    assert list((tmp_path / "cwd").iterdir()) == []
