"""What the head of a page about several runs shows."""

from __future__ import annotations

import math

from graphwright.report.compare import Comparison
from graphwright.report.curves import OverlayRun, title_of
from graphwright.report.figures import COLOURS, Bar, Figure, bar_chart

__all__ = ["comparison_title", "group_ranking", "overlay_runs"]

RANKED = 8


def comparison_title(comparison: Comparison) -> str:
    """How many configurations and runs, in words."""
    groups, runs = len(comparison.groups), len(comparison.reports)
    if groups == 1:
        return f"One configuration, {runs} seeds"
    words = f"{groups} configurations compared"
    return words if groups == runs else f"{words} in {runs} runs"


def overlay_runs(comparison: Comparison) -> list[OverlayRun]:
    """Every run with the letter and colour of its group, best group first."""
    return [
        OverlayRun(report=report, letter=group.letter, colour=i % (2 * COLOURS))
        for i, group in enumerate(comparison.groups)
        for report in group.reports
    ]


def group_ranking(comparison: Comparison) -> Figure | None:
    """Bars of the primary metric by group; None unless two groups share one primary metric."""
    if len(comparison.primary) != 1:
        return None
    ((name, higher),) = comparison.primary.items()
    spreads = [(group, group.metrics.get(name)) for group in comparison.groups]
    bars = [
        Bar(label=f"{g.letter}  {g.label}", length=s.mean, value=str(s), strong=g.letter == "A")
        for g, s in spreads
        if s is not None and math.isfinite(s.mean)
    ]
    if len(bars) < 2:
        return None
    way = "longer is better" if higher else "shorter is better"
    return bar_chart("groups", title_of(name), bars[:RANKED], detail=way)
