"""Differences between two configurations, seed by seed.

Two configurations that share a seed share what the seed decides (initial weights of common parts,
order of the samples), so their difference on one seed is less noisy than that of two means.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.report.grouping import Group, seed_values

__all__ = ["BOOTSTRAP_FROM", "LEVEL", "PairedDifference", "best_letters", "paired_difference"]

LEVEL = 0.95
BOOTSTRAP_FROM = 5  # seeds; of fewer, too many resamples have no spread to divide by
_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """One configuration minus another over the seeds that both have.

    Attributes:
        letter: of the first group.
        reference: of the second.
        values: the difference on each common seed, two at least.
        low, high: interval of the mean at `LEVEL`: bootstrap-t over the seeds (Efron 1982, ch. 10;
            Hall, Ann. Statist. 16, 1988) from `BOOTSTRAP_FROM` seeds on, otherwise Student's t.
            docs/compare.md has how often each holds the truth.
    """

    letter: str
    reference: str
    values: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float:
        """Sample standard deviation over the seeds."""
        return statistics.stdev(self.values)

    @property
    def clear(self) -> bool:
        """Larger than the seeds' spread: the interval of the mean does not hold zero."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        own = {"mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}
        about = {"group": self.letter, "reference": self.reference, "seeds": len(self.values)}
        how = "bootstrap_t" if len(self.values) >= BOOTSTRAP_FROM else "student_t"
        return {**about, **own, "interval": how, "clear": self.clear}


def paired_difference(one: Group, other: Group, metric: str) -> PairedDifference | None:
    """One group minus another in a metric; None where they have not two finite common seeds."""
    mine, theirs = seed_values(metric, one.reports), seed_values(metric, other.reports)
    differences = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        return None
    low, high = _interval(differences)
    return PairedDifference(
        letter=one.letter, reference=other.letter, values=tuple(differences), low=low, high=high
    )


def best_letters(groups: Sequence[Group], metric: str, *, higher_is_better: bool) -> frozenset[str]:
    """The best mean, and every group whose paired difference from it is not clear.

    Where there are no two common seeds, the best mean alone. One group has nothing to be best of.
    """
    ranked = [group for group in groups if metric in group.metrics]
    ranked = [group for group in ranked if math.isfinite(group.metrics[metric].mean)]
    if len(ranked) < 2:
        return frozenset()
    choose = max if higher_is_better else min
    best = choose(ranked, key=lambda group: group.metrics[metric].mean)
    found = set()
    for group in ranked:
        pair = None if group is best else paired_difference(group, best, metric)
        same = group.metrics[metric].mean == best.metrics[metric].mean
        if same or (pair is not None and not pair.clear):
            found.add(group.letter)
    return frozenset(found)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    mean, count = statistics.fmean(values), len(values)
    error = statistics.stdev(values) / math.sqrt(count)
    tail = (1 - LEVEL) / 2
    if count >= BOOTSTRAP_FROM and error > 0:
        low, high = np.quantile(_resampled_t(np.asarray(values)), [tail, 1 - tail])
        return mean - float(high) * error, mean - float(low) * error
    from scipy.special import stdtrit

    reach = float(stdtrit(count - 1, 1 - tail)) * error
    return mean - reach, mean + reach


def _resampled_t(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(mean* - mean) / standard error* of each resample that has a spread."""
    # one seed for all: the page of the same runs is the same page
    drawn = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    samples = values[drawn]
    errors = samples.std(1, ddof=1) / math.sqrt(len(values))
    spread = samples.max(1) > samples.min(1)
    found: NDArray[np.float64] = (samples.mean(1) - values.mean())[spread] / errors[spread]
    return found
