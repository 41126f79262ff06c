"""Which benign windows take part in an epoch: the curricula of the training modes.

All attack windows are in every epoch. Benign ones join until there are r(e) of them for each attack
window, r growing in a straight line over the epochs (1 to 10 as published, KD-GAT, arXiv
2507.19686). `curriculum_random` draws them at random. `curriculum_classifier` draws half of them
among the hard ones, whose VGAE score lies at or above percentile p(e) of the benign training
windows (75 to 95), and the rest among the others.

Legend: W = training windows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.config import CurriculumConfig

__all__ = ["curriculum"]

Index = NDArray[np.int64]


def curriculum(
    label_W: NDArray[np.integer],
    config: CurriculumConfig,
    *,
    epochs: int,
    seed: int,
    score_W: NDArray[np.floating] | None = None,
) -> Callable[[int], Index]:
    """Places of the windows of an epoch, ascending: a pure function of the epoch.

    Args:
        label_W: 0 benign, above 0 attack.
        config: ratios and percentiles at both ends.
        epochs: of the whole training.
        seed: of what is drawn.
        score_W: how odd a VGAE finds each window; None draws at random.

    Raises:
        DataError: no attack window, or no benign one: there is nothing to balance.
    """
    attack, benign = np.flatnonzero(label_W > 0), np.flatnonzero(label_W == 0)
    if not len(attack) or not len(benign):
        raise DataError(
            f"a curriculum needs both kinds of windows, and {len(attack)} of {len(label_W)} are "
            "attacks",
            fix="choose training_mode=all_samples",
        )

    def select(epoch: int) -> Index:
        progress = epoch / max(1, epochs - 1)
        ratio = _between(config.ratio_start, config.ratio_end, progress)
        count = min(len(benign), round(ratio * len(attack)))
        rng = np.random.default_rng([seed, 0xCA11, epoch])
        if score_W is None:
            chosen = rng.choice(benign, count, replace=False)
        else:
            percentile = _between(config.percentile_start, config.percentile_end, progress)
            chosen = _half_hard(benign, score_W[benign], percentile, count, rng)
        return np.sort(np.concatenate([attack, chosen]))

    return select


def _half_hard(
    benign: Index,
    score: NDArray[np.floating],
    percentile: float,
    count: int,
    rng: np.random.Generator,
) -> Index:
    hard = score >= np.percentile(score, percentile)
    many = min(int(hard.sum()), max(count // 2, count - int((~hard).sum())))
    parts = [
        rng.choice(benign[hard], many, replace=False),
        rng.choice(benign[~hard], count - many, replace=False),
    ]
    return np.concatenate(parts)


def _between(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress
