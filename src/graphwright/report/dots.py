"""Rows of dots on one axis: results seed by seed, and differences with their intervals.

Unlike bars, dots need no zero: values that differ in their third digit can be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graphwright.report.boards import Board
from graphwright.report.curves import title_of
from graphwright.report.figures import COLOURS, WIDTH, Figure, fit_label, label_width, make_figure
from graphwright.report.grouping import Group, seed_values
from graphwright.report.paired import Paired, signed
from graphwright.report.spread import Spread, spread_texts
from graphwright.report.svg import Scale, tag, text, tick_label
from graphwright.report.text import format_number

__all__ = ["DotRow", "difference_plot", "dot_plot", "ranking_plot"]

ROW = 43
MOST_ROWS, MOST_BASELINES = 12, 2


@dataclass(frozen=True, kw_only=True)
class DotRow:
    """One row: a label, a value in words, a mark at `centre`, small dots, an interval.

    `letter` stands before the label in the row's colour. `colour` counts through the palette, None
    for grey; a `strong` row is filled, others hollow.
    """

    label: str
    value: str
    centre: float
    dots: Sequence[float] = ()
    low: float | None = None
    high: float | None = None
    letter: str = ""
    colour: int | None = None
    strong: bool = True


def ranking_plot(board: Board, colours: dict[str, int]) -> Figure | None:
    """The configurations of a board, best first, seed by seed, and its best baselines.

    Args:
        board: with one row at least in all.
        colours: number of the colour of a group, by its letter.
    """
    groups = board.ranked[:MOST_ROWS]
    if not groups:
        return None
    baselines = _near_baselines(board, groups)
    if len(groups) + len(baselines) < 2:
        return None
    spreads = [g.metrics[board.metric] for g in groups] + [s for _, s in baselines]
    texts = spread_texts(spreads)
    rows = [
        DotRow(
            letter=group.letter,
            label=group.label,
            value=shown,
            centre=group.metrics[board.metric].mean,
            dots=[v for v in seed_values(board.metric, group.reports).values() if math.isfinite(v)],
            colour=colours[group.letter],
        )
        for group, shown in zip(groups, texts, strict=False)
    ]
    for (name, spread), shown in zip(baselines, texts[len(groups) :], strict=True):
        value = shown.removesuffix(" ± 0")
        rows.append(
            DotRow(label=f"{name} (baseline)", value=value, centre=spread.mean, strong=False)
        )
    rows.sort(key=lambda row: row.centre, reverse=board.higher_is_better)
    way = "right is better" if board.higher_is_better else "left is better"
    more = len(board.groups) - len(groups)
    detail = f"{way} · best {len(groups)} of {len(board.groups)}" if more else way
    return dot_plot("ranking", title_of(board.metric), rows, detail=detail)


def _near_baselines(board: Board, groups: Sequence[Group]) -> list[tuple[str, Spread]]:
    """The best ones, unless all configurations would shrink to one point beside them."""
    means = [group.metrics[board.metric].mean for group in groups]
    reach = 2 * (max(means) - min(means)) if len(means) > 1 else math.inf
    best = board.baselines[:MOST_BASELINES]
    return [(n, s) for n, s in best if min(means) - reach <= s.mean <= max(means) + reach]


def difference_plot(paired: Paired, colours: dict[str, int]) -> Figure:
    """Every configuration minus the best, with its interval; filled where it does not hold zero."""
    pairs = paired.with_best()
    rows = [
        DotRow(
            letter=pair.letter,
            label=paired.labels[pair.letter],
            value=f"{signed(pair.mean)}, {'clear' if pair.clear else 'not clear'}",
            centre=pair.mean,
            dots=pair.values,
            low=pair.low,
            high=pair.high,
            colour=colours[pair.letter],
            strong=pair.clear,
        )
        for pair in pairs[: 2 * MOST_ROWS]
    ]
    way = "left" if paired.higher_is_better else "right"
    detail = f"{way} of zero: worse than {paired.letters[0]}"
    if len(rows) < len(pairs):
        detail += f" · the best {len(rows)} of {len(pairs)}"
    title = f"{title_of(paired.metric)}: difference from {paired.letters[0]}"
    return dot_plot("differences", title, rows, detail=detail, zero=True)


def dot_plot(
    name: str, title: str, rows: Sequence[DotRow], *, detail: str = "", zero: bool = False
) -> Figure:
    """Rows over a common axis; with `zero` that value is in it and marked by a line."""
    values = [
        v for row in rows for v in (row.centre, *row.dots, row.low, row.high) if v is not None
    ]
    x = _scale([*values, *([0.0] if zero else [])])
    bottom = ROW * len(rows) + 2
    parts: list[Markup] = []
    for i, row in enumerate(rows):
        if zero:  # not through the texts
            parts.append(tag("path", d=f"M{x(0.0):.1f} {ROW * i + 16}v19", class_="zero"))
        parts += _row(row, ROW * i, x)
    parts.append(tag("path", d=f"M0 {bottom}H{WIDTH}", class_="axis"))
    for value in x.ticks(4):
        half = label_width(tick_label(value), strong=False) / 2
        parts.append(tag("path", d=f"M{x(value):.1f} {bottom}v4", class_="axis"))
        place = min(max(x(value), half), WIDTH - half)
        parts.append(text(tick_label(value), place, bottom + 16, "tick", "middle"))
    said = "; ".join(_said(row) for row in rows)
    return make_figure(name, title, parts, bottom + 20, detail, said)


def _scale(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    pad = (high - low) * 0.02 or abs(high) * 0.1 or 1.0
    return Scale(low - pad, high + pad, 7, WIDTH - 7)


def _row(row: DotRow, top: float, x: Scale) -> list[Markup]:
    begin = 4 + 11 * len(row.letter) if row.letter else 0
    room = WIDTH - begin - 14 - label_width(row.value, strong=row.strong)
    kind = "strong" if row.strong else "plain"
    ink = "grey" if row.colour is None else f"c{row.colour % COLOURS}"
    y = top + 25.0
    parts = [
        text(row.letter, 0, top + 13, f"bar-label letter {ink}"),
        text(fit_label(row.label, room, strong=row.strong), begin, top + 13, f"bar-label {kind}"),
        text(row.value, WIDTH, top + 13, f"bar-value {kind}", "end"),
        tag("path", d=f"M0 {y:.0f}H{WIDTH}", class_="rail"),
    ]
    if row.low is not None and row.high is not None:
        low, high = x(row.low), x(row.high)
        reach = f"M{low:.1f} {y - 4:.0f}v8m0 -4H{high:.1f}m0 -4v8"
        parts.append(tag("path", d=reach, class_=f"reach {ink}"))
    for value in row.dots:
        parts.append(tag("circle", cx=x(value), cy=y, r=3.0, class_=f"seed {ink}"))
    if row.low is None:
        parts.append(tag("path", d=f"M{x(row.centre):.1f} {y - 8:.0f}v16", class_=f"mean {ink}"))
    else:
        middle = f"M{x(row.centre):.1f} {y - 6:.0f}l6 6l-6 6l-6 -6Z"
        parts.append(tag("path", d=middle, class_=f"middle {kind} {ink}"))
    return parts


def _said(row: DotRow) -> str:
    name = f"{row.letter} {row.label} {row.value}".strip()
    if row.low is None or row.high is None:
        return name
    return f"{name}, from {format_number(row.low, 3)} to {format_number(row.high, 3)}"
