"""Limits on structures that a stranger sends: neighbours cost the square of their points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphwright.data.limits import InputLimits, LimitError
from graphwright.tasks.geometry.arrays import structures_from_arrays
from graphwright.tasks.geometry.raw_input import check_file, check_table, input_form

LIMITS = InputLimits(samples=4, size=10)


def _table(*sizes: int) -> object:
    rng = np.random.default_rng(0)
    return structures_from_arrays([rng.normal(size=(n, 3)) for n in sizes])


@pytest.mark.parametrize("sizes", [(10,), (5, 5, 5, 5)])
def test_within_limits(sizes: tuple[int, ...]) -> None:
    check_table(_table(*sizes), LIMITS, "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [(11,), (8, 8), (2,) * 5])
def test_beyond(sizes: tuple[int, ...]) -> None:
    with pytest.raises(LimitError):
        check_table(_table(*sizes), LIMITS, "x")  # type: ignore[arg-type]
    check_table(_table(*sizes), None, "x")  # type: ignore[arg-type]


def test_frames_are_counted_before_they_are_parsed(tmp_path: Path) -> None:
    path = tmp_path / "x.xyz"
    path.write_text("1\ncomment\nNo element at all\n" * 5)
    with pytest.raises(LimitError, match="5 frames"):
        check_file(path, LIMITS)
    check_file(path, None)


def test_the_form_follows_the_model() -> None:
    state = {"elements": [1, 8], "features": 2, "position_unit": "angstrom"}
    form = input_form(state)
    (structure,) = form.example["structures"]
    assert structure["elements"] == [1, 8, 1, 8, 1]
    assert np.shape(structure["features"]) == (5, 2)
    assert "angstrom" in form.json
