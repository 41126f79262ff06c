"""What configurations cost: size, speed, memory and time, from what their runs recorded."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from graphwright.report.grouping import Group
from graphwright.report.load import RunReport
from graphwright.report.text import MISSING, format_duration, format_number

__all__ = ["cost_table"]

RATES = ("tokens_per_s", "nodes_per_s", "samples_per_s")  # the finest that a run has


def cost_table(groups: Sequence[Group]) -> tuple[list[str], list[list[str]]]:
    """Headings, and one row of text a group; columns of which nobody knows anything are left out.

    The rate is the median over epochs, without validation; memory the peak of the device where
    there is one, else of the process; time the whole run. All are means over the seeds.
    """
    rate = next((name for name in RATES if _any(groups, name)), "")
    unit = rate.removesuffix("_per_s")
    found = {
        "parameters": [_mean(group, _parameters) for group in groups],
        f"{unit} per s": [_mean(group, lambda run: _median(run, rate)) for group in groups],
        "peak memory (MB)": [_mean(group, _peak) for group in groups],
        "time": [group.duration_s for group in groups],
    }
    kept = {name: column for name, column in found.items() if any(v is not None for v in column)}
    columns = ["", "configuration", *kept]
    rows = [
        [group.letter, group.label, *(_text(name, column[i]) for name, column in kept.items())]
        for i, group in enumerate(groups)
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


def _text(name: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return format_duration(value) if name == "time" else format_number(float(round(value)))
