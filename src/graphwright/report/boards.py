"""Which configurations can be compared with each other, in which metric, beside which baselines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphwright.report.grouping import (
    Group,
    canonical,
    data_settings,
    differing_keys,
    telling_settings,
)
from graphwright.report.spread import Spread
from graphwright.report.text import format_number

__all__ = ["Board", "baseline_spreads", "find_boards"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """Configurations tested on the same data, in one primary metric, best first.

    Attributes:
        where: the settings that tell this data from that of the other boards; "" for a single one.
        groups: those with a result, which need not be finite.
        baselines: the other rows of the runs' own tables, best first.
    """

    metric: str
    higher_is_better: bool
    where: str
    groups: tuple[Group, ...]
    baselines: tuple[tuple[str, Spread], ...]

    @property
    def ranked(self) -> tuple[Group, ...]:
        """Groups whose mean is a number."""
        return tuple(g for g in self.groups if math.isfinite(g.metrics[self.metric].mean))

    def better(self, one: float, other: float) -> bool:
        """Whether the first value is better."""
        return one > other if self.higher_is_better else one < other

    def baseline_words(self) -> str:
        """Which configurations are better in the mean than the best baseline; "" without one."""
        if not self.baselines or not self.ranked:
            return ""
        name, spread = self.baselines[0]
        means = [(group.letter, group.metrics[self.metric].mean) for group in self.ranked]
        above = [letter for letter, mean in means if self.better(mean, spread.mean)]
        below = [letter for letter, mean in means if letter not in above]
        beside = f"the best baseline, {name} ({format_number(spread.mean)})"
        if not below:
            return f"All are better than {beside}."
        if not above:
            return f"None is better than {beside}."
        return f"Better than {beside}: {', '.join(above)}. Not better: {', '.join(below)}."


def find_boards(groups: Sequence[Group], primary: Mapping[str, bool]) -> tuple[Board, ...]:
    """One for each primary metric and data set.

    Args:
        groups: best first within the same data.
        primary: name of each primary metric to whether higher is better.
    """
    found = []
    for metric, higher in primary.items():
        having = [group for group in groups if metric in group.metrics]
        by_data: dict[str, list[Group]] = {}
        for group in having:
            by_data.setdefault(canonical(data_settings(group.settings)), []).append(group)
        for members, where in zip(by_data.values(), _where([*by_data.values()]), strict=True):
            found.append(
                Board(
                    metric=metric,
                    higher_is_better=higher,
                    where=where,
                    groups=tuple(members),
                    baselines=_sorted(baseline_spreads(members, metric), higher=higher),
                )
            )
    return tuple(found)


def baseline_spreads(groups: Sequence[Group], metric: str) -> dict[str, Spread]:
    """The other rows of the runs' own tables in a metric, over the seeds of these groups.

    Runs of one seed tell the same: the mean of them is that seed's.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for group in groups:
        for name, seed, number in _rivals(group, metric):
            found.setdefault(name, {}).setdefault(seed, []).append(number)
    return {
        name: Spread.of([statistics.fmean(told) for told in by_seed.values()])
        for name, by_seed in found.items()
    }


def _where(data_sets: Sequence[Sequence[Group]]) -> list[str]:
    identities = [data_settings(members[0].settings) for members in data_sets]
    return [", ".join(told) for told in telling_settings(identities, differing_keys(identities))]


def _sorted(spreads: Mapping[str, Spread], *, higher: bool) -> tuple[tuple[str, Spread], ...]:
    finite = [(name, spread) for name, spread in spreads.items() if math.isfinite(spread.mean)]
    return tuple(sorted(finite, key=lambda entry: entry[1].mean, reverse=higher))


def _rivals(group: Group, metric: str) -> Iterator[tuple[str, str, float]]:
    for report in group.reports:
        head = report.headline
        if head is not None and head.metric == metric:
            for name, number in head.rivals:
                yield name, str(report.seed), number
