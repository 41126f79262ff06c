"""Differences between configurations, seed by seed.

Two configurations that share a seed share what the seed decides (initial weights of common parts,
order of the samples), so their difference on one seed is less noisy than that of two means.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphwright.report.grouping import Group, seed_values
from graphwright.report.pivot import SAME_DATA
from graphwright.report.text import MISSING, format_number

__all__ = ["Paired", "PairedDifference", "paired_differences"]

LEVEL = 0.95
BOOTSTRAP_FROM = 8  # seeds; of fewer there are too few resamples for their tails
MOST_PAIRED = 16  # configurations; with more of them nobody reads each pair
_RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """One configuration minus another over the seeds that both have.

    Attributes:
        letter: of the first group.
        reference: of the second.
        values: the difference on each common seed, two at least.
        low, high: interval of the mean at `LEVEL`: percentile bootstrap over the seeds (Efron,
            1979) from `BOOTSTRAP_FROM` seeds on, otherwise Student's t.
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
        return {**about, **own, "clear": self.clear}


@dataclass(frozen=True, kw_only=True)
class Paired:
    """All pairs of comparable configurations in one metric.

    Attributes:
        letters: of the groups, best first; the first is the reference of `rows`.
        labels: by letter.
        pairs: by (letter, reference), both ways.
    """

    metric: str
    higher_is_better: bool
    letters: tuple[str, ...]
    labels: Mapping[str, str]
    pairs: Mapping[tuple[str, str], PairedDifference]

    @property
    def title(self) -> str:
        """Of the table."""
        return f"Paired differences in {self.metric.replace('_', ' ')}"

    @property
    def note(self) -> str:
        """How the numbers were made."""
        few = min(len(pair.values) for pair in self.pairs.values())
        how = "bootstrap over seeds" if few >= BOOTSTRAP_FROM else "Student's t"
        return (
            f"Row minus {self.letters[0]} on each common seed: mean ± sample standard deviation, "
            f"and a {100 * LEVEL:.0f} % interval of the mean ({how}), each on its own. Larger than "
            "the seeds' spread: the interval does not hold zero."
        )

    def columns(self) -> list[str]:
        """Headings of `rows`."""
        return ["", "configuration", "difference", "interval", "seeds", "larger than their spread"]

    def rows(self) -> list[list[str]]:
        """Every configuration minus the best."""
        best = self.letters[0]
        return [
            [letter, self.labels[letter], *_texts(self.pairs.get((letter, best)))]
            for letter in self.letters[1:]
        ]

    def statements(self) -> list[str]:
        """A sentence for each configuration: which ones it beats by more than the spread."""
        found = []
        for letter in self.letters:
            beaten = [o for o in self.letters if self._beats(letter, o)]
            if beaten:
                names = ", ".join(self.labels[other] for other in beaten)
                found.append(f"{self.labels[letter]} is better than {names}.")
        return found or ["No difference is larger than the seeds' spread."]

    def matrix(self) -> list[list[str]]:
        """Row minus column, for every pair; a star where it is larger than the spread."""
        return [[row, *(self._cell(row, col) for col in self.letters)] for row in self.letters]

    def to_json(self) -> dict[str, Any]:
        """JSON values, each pair once."""
        once = [p.to_json() for (a, b), p in self.pairs.items() if self._place(a) > self._place(b)]
        return {"metric": self.metric, "level": LEVEL, "pairs": once}

    def _beats(self, letter: str, other: str) -> bool:
        pair = self.pairs.get((letter, other))
        return pair is not None and pair.clear and (pair.mean > 0) == self.higher_is_better

    def _cell(self, row: str, column: str) -> str:
        pair = self.pairs.get((row, column))
        if pair is None:
            return "" if row == column else MISSING
        return _signed(pair.mean) + ("*" if pair.clear else "")

    def _place(self, letter: str) -> int:
        return self.letters.index(letter)


def paired_differences(groups: Sequence[Group], primary: Mapping[str, bool]) -> tuple[Paired, ...]:
    """Differences in each primary metric between groups on the same data with two common seeds.

    Args:
        groups: best first.
        primary: name of each primary metric to whether higher is better.
    """
    found = []
    for metric, higher in primary.items():
        for members in _same_data([group for group in groups if metric in group.metrics]):
            pairs = _pairs(members, metric) if len(members) <= MOST_PAIRED else {}
            letters = tuple(g.letter for g in members if any(g.letter in pair for pair in pairs))
            if letters:
                found.append(
                    Paired(
                        metric=metric,
                        higher_is_better=higher,
                        letters=letters,
                        labels={group.letter: group.label for group in members},
                        pairs=pairs,
                    )
                )
    return tuple(found)


def _same_data(groups: Sequence[Group]) -> list[list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        kept = {k: v for k, v in group.settings.items() if k == "task" or k.startswith(SAME_DATA)}
        found.setdefault(repr(sorted(kept.items())), []).append(group)
    return list(found.values())


def _pairs(groups: Sequence[Group], metric: str) -> dict[tuple[str, str], PairedDifference]:
    values = {group.letter: seed_values(metric, group.reports) for group in groups}
    found = {}
    for a, mine in values.items():
        for b, theirs in values.items():
            differences = [mine[seed] - theirs[seed] for seed in mine if seed in theirs]
            if a != b and len(differences) > 1 and all(map(math.isfinite, differences)):
                low, high = _interval(differences)
                found[a, b] = PairedDifference(
                    letter=a, reference=b, values=tuple(differences), low=low, high=high
                )
    return found


def _interval(values: Sequence[float]) -> tuple[float, float]:
    mean, count = statistics.fmean(values), len(values)
    tail = (1 - LEVEL) / 2
    if count >= BOOTSTRAP_FROM:
        # one seed for all: the page of the same runs is the same page
        drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
        low, high = np.quantile(np.asarray(values)[drawn].mean(1), [tail, 1 - tail])
        return float(low), float(high)
    from scipy.special import stdtrit

    reach = float(stdtrit(count - 1, 1 - tail)) * statistics.stdev(values) / math.sqrt(count)
    return mean - reach, mean + reach


def _texts(pair: PairedDifference | None) -> list[str]:
    if pair is None:
        return [MISSING] * 4
    return [
        f"{_signed(pair.mean)} ± {format_number(pair.sd, 2)}",
        f"{_signed(pair.low)} to {_signed(pair.high)}",
        str(len(pair.values)),
        "yes" if pair.clear else "no",
    ]


def _signed(value: float) -> str:
    shown = format_number(value, 3)
    return f"+{shown}" if value > 0 else shown.replace("-", "−", 1)
