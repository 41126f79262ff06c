"""What a page about several runs shows besides its tables, prepared for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from graphwright.report.blocks import as_latex, as_markdown
from graphwright.report.boards import Board
from graphwright.report.compare import Comparison
from graphwright.report.costs import Cost, find_costs
from graphwright.report.curves import title_of
from graphwright.report.dots import difference_plot, ranking_plot
from graphwright.report.figures import Figure
from graphwright.report.grouping import Group
from graphwright.report.load import RunReport
from graphwright.report.overlay import overlay_curves, single_curves
from graphwright.report.paired import Paired
from graphwright.report.spread import spread_texts
from graphwright.report.tradeoff import tradeoff_plots

__all__ = ["Overview", "breakable", "comparison_title", "overview_of", "pick_runs", "uncapitalised"]

_LESS = ("overlay_lr", "overlay_grad_norm")


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The figures and texts of a comparison.

    Attributes:
        board: the one on which all configurations are, None if there are several.
        rankings: of several boards, with their titles.
        headline: mean and spread of the best on that board.
        verdict: what the seeds and the baselines say of the best, in sentences.
        paired: with the figure of each.
        more_overlay: curves that matter less.
        shared, partial: settings that all configurations have, and that only some have.
    """

    colours: dict[str, int]
    board: Board | None
    headline: str
    ranking: Figure | None
    rankings: tuple[tuple[str, Figure], ...]
    verdict: tuple[str, ...]
    paired: tuple[tuple[Paired, Figure], ...]
    costs: tuple[Cost, ...]
    tradeoffs: tuple[Figure, ...]
    overlay: tuple[Figure, ...]
    more_overlay: tuple[Figure, ...]
    panels: tuple[Figure, ...]
    shared: tuple[list[str], ...]
    partial: tuple[list[str], ...]
    markdown: str
    latex: str


def overview_of(comparison: Comparison, shown: Sequence[str]) -> Overview:
    """Everything of the page but its tables.

    Args:
        comparison: of two runs or more.
        shown: metrics of its table of results.
    """
    groups, boards = comparison.groups, comparison.boards
    colours = {group.letter: i for i, group in enumerate(groups)}
    board = boards[0] if len(boards) == 1 else None
    several = boards if board is None else ()
    plots = [(_board_title(b), ranking_plot(b, colours)) for b in several if b.ranked]
    costs = find_costs(groups)
    results = [comparison.results_block(shown)]
    rows = comparison.difference_rows()
    partial = [None in values for values in comparison.differences.values()]
    overlay = overlay_curves(groups, colours)
    return Overview(
        colours=colours,
        board=board,
        headline=_headline(board),
        ranking=None if board is None else ranking_plot(board, colours),
        rankings=tuple((title, plot) for title, plot in plots if plot is not None),
        verdict=_verdict(comparison, board),
        paired=tuple((one, difference_plot(one, colours)) for one in comparison.paired),
        costs=costs,
        tradeoffs=() if board is None else tradeoff_plots(board, costs, colours),
        overlay=tuple(figure for figure in overlay if figure.name not in _LESS),
        more_overlay=tuple(figure for figure in overlay if figure.name in _LESS),
        panels=single_curves(groups, colours),
        shared=tuple(row for row, some in zip(rows, partial, strict=True) if not some),
        partial=tuple(row for row, some in zip(rows, partial, strict=True) if some),
        markdown=as_markdown(results),
        latex=as_latex(results),
    )


def comparison_title(comparison: Comparison) -> str:
    """How many configurations and runs, in words."""
    groups, runs = len(comparison.groups), len(comparison.reports)
    if groups == 1:
        return f"One configuration, {runs} seeds"
    words = f"{groups} configurations compared"
    return words if groups == runs else f"{words} in {runs} runs"


def pick_runs(groups: Sequence[Group], most: int) -> list[tuple[Group, RunReport]]:
    """At most so many runs, in the order of their groups: one of each group comes before a second
    of any."""
    turns = [
        (turn, place, group, report)
        for place, group in enumerate(groups)
        for turn, report in enumerate(group.reports)
    ]
    chosen = sorted(turns, key=lambda entry: entry[:2])[:most]
    chosen.sort(key=lambda entry: (entry[1], entry[0]))
    return [(group, report) for _, _, group, report in chosen]


def breakable(text: Any) -> Markup:
    """HTML that may break after a slash, an underscore, a comma or an equals sign."""
    shown = str(escape(text))
    for char in "/_,=":
        shown = shown.replace(char, f"{char}<wbr>")
    return Markup(shown)


def uncapitalised(words: str) -> str:
    """Words inside a sentence; acronyms stay as they are.

    >>> uncapitalised("Gradient norm"), uncapitalised("MAE x")
    ('gradient norm', 'MAE x')
    """
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _board_title(board: Board) -> str:
    return f"{title_of(board.metric)}, {board.where}" if board.where else title_of(board.metric)


def _headline(board: Board | None) -> str:
    """As the tables write it."""
    spreads = [group.metrics[board.metric] for group in board.ranked] if board else []
    return spread_texts(spreads)[0] if spreads else ""


def _verdict(comparison: Comparison, board: Board | None) -> tuple[str, ...]:
    if board is None:
        if len(comparison.same_data) < 2:
            return ()
        count = len(comparison.same_data)
        return (
            f"Tested on {count} different sets of data: compare numbers of the same data only.",
        )
    told = [comparison.paired[0].verdict()] if comparison.paired else []
    if len(board.ranked) > 1 and not told and not comparison.pivots:
        told.append("Without two common seeds nobody knows which differences are more than chance.")
    return tuple(words for words in (*told, board.baseline_words()) if words)
