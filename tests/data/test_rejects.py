"""Rejected rows are counted and written aside."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError


def test_rows_are_written_with_their_reasons(tmp_path: Path) -> None:
    with Rejects(tmp_path / "run") as rejects:
        rejects.add("a.csv", "line 3", "not a number")
        rejects.add("a.csv", 'line "4", bad', "too\nshort")
        rejects.add("b.csv", "line 9", "not a number")
        assert not (tmp_path / "run" / "rejected.csv").exists()
    assert rejects.count == 3
    assert list(rejects.by_reason().items()) == [("not a number", 2), ("too\nshort", 1)]
    with (tmp_path / "run" / "rejected.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["source", "where", "reason"],
        ["a.csv", "line 3", "not a number"],
        ["a.csv", 'line "4", bad', "too\nshort"],
        ["b.csv", "line 9", "not a number"],
    ]
    summary = json.loads((tmp_path / "run" / "rejected.json").read_text())
    assert summary == {"count": 3, "reasons": {"not a number": 2, "too\nshort": 1}}
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["rejected.csv", "rejected.json"]


def test_nothing_rejected_is_said_too(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path)
    rejects.close()
    rejects.close()
    assert (tmp_path / "rejected.csv").read_text().strip() == "source,where,reason"
    assert json.loads((tmp_path / "rejected.json").read_text())["count"] == 0


def test_only_counted_without_a_folder() -> None:
    with Rejects(None) as rejects:
        rejects.add("a", "b", "c")
    assert rejects.by_reason() == {"c": 1}


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    with Rejects(tmp_path, strict=True) as rejects, pytest.raises(DataError, match="not a number"):
        rejects.add("a.csv", "line 3", "not a number")
    assert rejects.count == 0
