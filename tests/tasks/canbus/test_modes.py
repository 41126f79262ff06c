"""Curricula: which benign windows take part in an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.canbus.config import CurriculumConfig
from graphwright.tasks.canbus.modes import curriculum

LABEL = np.array([1] * 20 + [0] * 400)
SCORE = np.arange(420, dtype=float)  # the last benign windows are the hardest


def test_all_attacks_and_more_and_more_benign_windows() -> None:
    select = curriculum(LABEL, CurriculumConfig(), epochs=10, seed=1)
    counts = []
    for epoch in range(10):
        rows = select(epoch)
        assert (LABEL[rows] > 0).sum() == 20
        assert len(np.unique(rows)) == len(rows)
        assert np.array_equal(rows, select(epoch))
        counts.append(int((LABEL[rows] == 0).sum()))
    assert counts[0] == 20
    assert counts[-1] == 200
    assert counts == sorted(counts)
    assert not np.array_equal(
        select(0), curriculum(LABEL, CurriculumConfig(), epochs=10, seed=2)(0)
    )


def test_half_of_the_benign_windows_are_hard() -> None:
    select = curriculum(LABEL, CurriculumConfig(), epochs=10, seed=1, score_W=SCORE)
    first, last = select(0), select(9)
    benign = SCORE[LABEL == 0]
    assert (SCORE[first] >= np.percentile(benign, 75)).sum() == 10
    # only 20 windows are above the last percentile, all of them are taken
    assert (SCORE[last] >= np.percentile(benign, 95)).sum() == 20
    assert (LABEL[last] == 0).sum() == 200


def test_there_may_be_fewer_windows_than_asked_for() -> None:
    label = np.array([1] * 20 + [0] * 30)
    select = curriculum(label, CurriculumConfig(), epochs=3, seed=0, score_W=np.arange(50.0))
    assert len(select(2)) == 50


@pytest.mark.parametrize("kind", [0, 1])
def test_one_kind_of_windows_is_no_curriculum(kind: int) -> None:
    with pytest.raises(DataError, match="both kinds"):
        curriculum(np.full(10, kind), CurriculumConfig(), epochs=3, seed=0)
