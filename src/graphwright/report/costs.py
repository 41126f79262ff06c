"""What configurations cost: size, speed, memory and time, from what their runs recorded."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphwright.report.grouping import Group
from graphwright.report.load import RunReport
from graphwright.report.text import MISSING, format_duration, format_number

__all__ = ["Cost", "cost_table", "find_costs"]

RATES = ("tokens_per_s", "nodes_per_s", "samples_per_s")  # the finest that a run has
_UNITS = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One kind of cost. `values` by letter of the group: the mean over its seeds, None if unknown.

    `name` heads the column of a table, `title` ends that of a figure.
    """

    key: str
    name: str
    title: str
    values: Mapping[str, float | None]
    unit: str = ""
    lower_is_better: bool = True

    def text(self, letter: str) -> str:
        """The value of a group as it is read."""
        value = self.values[letter]
        if value is None:
            return MISSING
        return format_duration(value) if self.key == "time" else format_number(float(round(value)))

    def drawn(self) -> Cost:
        """For an axis: times in the unit that fits the longest."""
        if self.key != "time":
            return self
        longest = max((value for value in self.values.values() if value), default=0.0)
        _, seconds, unit = next(entry for entry in _UNITS if longest >= entry[0])
        values = {k: None if v is None else v / seconds for k, v in self.values.items()}
        return Cost(key="time", name=f"time ({unit})", title=self.title, values=values, unit=unit)


def find_costs(groups: Sequence[Group]) -> tuple[Cost, ...]:
    """The costs of which something is known.

    The rate is the median over epochs, without validation; memory the peak of the device where
    there is one, else of the process; time the whole run. All are means over the seeds.
    """
    rate = next((name for name in RATES if _any(groups, name)), "")
    unit = rate.removesuffix("_per_s")
    found = (
        Cost(
            key="parameters",
            name="parameters",
            title="size",
            values={group.letter: _mean(group, _parameters) for group in groups},
        ),
        Cost(
            key="rate",
            name=f"{unit} per s",
            title="speed",
            values={group.letter: _mean(group, lambda run: _median(run, rate)) for group in groups},
            lower_is_better=False,
        ),
        Cost(
            key="memory",
            name="peak memory (MB)",
            title="memory",
            values={group.letter: _mean(group, _peak) for group in groups},
            unit="MB",
        ),
        Cost(
            key="time",
            name="time",
            title="time",
            values={group.letter: group.duration_s for group in groups},
            unit="s",
        ),
    )
    return tuple(cost for cost in found if any(v is not None for v in cost.values.values()))


def cost_table(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Headings, and one row of text a group; see `find_costs`."""
    costs = find_costs(groups)
    columns = ["", "configuration", *(cost.name for cost in costs)]
    rows = [
        [group.letter, group.label, *(cost.text(group.letter) for cost in costs)]
        for group in groups
    ]
    return columns, rows


def _any(groups: Sequence[Group], name: str) -> bool:
    return any(name in report.series for group in groups for report in group.reports)


def _mean(group: Group, number: Callable[[RunReport], float | None]) -> float | None:
    values = [value for report in group.reports if (value := number(report)) is not None]
    return statistics.fmean(values) if values else None


def _parameters(report: RunReport) -> float | None:
    count = report.metrics.get("parameters")
    return float(count) if isinstance(count, int) else None


def _median(report: RunReport, name: str) -> float | None:
    values = report.series[name].values if name in report.series else ()
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else None


def _peak(report: RunReport) -> float | None:
    for name in ("device_mem_mb", "rss_peak_mb"):
        values = report.series[name].values if name in report.series else ()
        if peak := max(filter(math.isfinite, values), default=0.0):
            return peak
    return None
