"""Cost against quality: which configurations no other one beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graphwright.report.boards import Board
from graphwright.report.costs import Cost
from graphwright.report.curves import title_of
from graphwright.report.figures import COLOURS, LETTER, WIDTH, Figure, make_figure, x_axis, y_axis
from graphwright.report.spread import Spread
from graphwright.report.svg import Scale, marker, tag, text, tick_label
from graphwright.report.text import format_number

__all__ = ["Point", "pareto_front", "tradeoff_plots"]

HEIGHT, BOTTOM = 250, 216
_LOG_FROM = 8.0  # times the least cost
_LOG_QUALITY_FROM = 2.5  # times the least value


@dataclass(frozen=True, kw_only=True)
class Point:
    """One configuration: what it costs and what it reaches."""

    letter: str
    label: str
    colour: int
    cost: float
    spread: Spread


def tradeoff_plots(
    board: Board, costs: Sequence[Cost], colours: dict[str, int]
) -> tuple[Figure, ...]:
    """One drawing for each cost that is known of two configurations and differs between them."""
    figures = []
    for cost in (cost.drawn() for cost in costs if cost.lower_is_better):
        points = [
            Point(
                letter=group.letter,
                label=group.label,
                colour=colours[group.letter],
                cost=value,
                spread=group.metrics[board.metric],
            )
            for group in board.ranked
            if (value := cost.values.get(group.letter)) is not None and value > 0
        ]
        if len({point.cost for point in points}) > 1:
            figures.append(_plot(board, cost, points))
    return tuple(figures)


def pareto_front(points: Sequence[Point], *, higher_is_better: bool) -> list[Point]:
    """Points that no other is as cheap as and better than, or as good as and cheaper than; by cost.

    Pareto efficiency in the means: the spread over seeds is not looked at.
    """
    sign = -1.0 if higher_is_better else 1.0
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, sign * p.spread.mean)):
        if not front or sign * point.spread.mean < sign * front[-1].spread.mean:
            front.append(point)
    return front


def _plot(board: Board, cost: Cost, points: Sequence[Point]) -> Figure:
    higher = board.higher_is_better
    front = pareto_front(points, higher_is_better=higher)
    baseline = board.baselines[0] if board.baselines else None
    y, unseen = _y_scale(points, None if baseline is None else baseline[1].mean)
    left = 14 + LETTER * max(len(tick_label(v)) for v in y.ticks())
    x = _x_scale([point.cost for point in points], left)
    parts = [*y_axis(y, left, WIDTH - 4), *x_axis(x, BOTTOM, cost.name)]
    details = [f"{'upper' if higher else 'lower'} left is better", "line: Pareto front"]
    details += ["log scale"] if y.log else []
    if baseline is not None and not unseen:
        height = y(baseline[1].mean)
        parts.append(tag("path", d=f"M{left:.1f} {height:.1f}H{WIDTH - 4}", class_="identity"))
        details.append(f"dashes: {baseline[0]}")
    parts.append(_front(front, x, y))
    letters = {point.letter for point in front}
    for point in points:
        parts += _mark(point, x, y, on_front=point.letter in letters)
    parts += _labels(points, letters, x, y)
    said = (
        f"On the Pareto front: {', '.join(f'{p.letter} {p.label}' for p in front)}. "
        + "; ".join(
            f"{p.letter}: {format_number(p.cost)} {cost.unit or cost.name}, {p.spread}"
            for p in points
        )
    )
    title = f"{title_of(board.metric)} by {cost.title}"
    return make_figure(
        f"tradeoff_{cost.key}", title, parts, HEIGHT, " · ".join(details), said, WIDTH
    )


def _x_scale(costs: Sequence[float], left: float) -> Scale:
    low, high = min(costs), max(costs)
    if high > _LOG_FROM * low:
        margin = (high / low) ** 0.08
        return Scale(low / margin, high * margin, left, WIDTH - 4, log=True)
    pad = 0.08 * (high - low)
    return Scale(max(0.0, low - pad), high + pad, left, WIDTH - 4)


def _y_scale(points: Sequence[Point], baseline: float | None) -> tuple[Scale, bool]:
    """Means and their spread; the baseline unless it would squeeze the rest into a corner."""
    sds = [point.spread.sd or 0.0 for point in points]
    means = [point.spread.mean for point in points]
    low = min(mean - sd for mean, sd in zip(means, sds, strict=True))
    high = max(mean + sd for mean, sd in zip(means, sds, strict=True))
    unseen = True
    if baseline is not None:
        reach = high - low
        unseen = not (low - reach <= baseline <= high + reach)
        if not unseen:
            low, high = min(low, baseline), max(high, baseline)
    if low > 0 and high > _LOG_QUALITY_FROM * low:
        margin = (high / low) ** 0.1
        return Scale(low / margin, high * margin, BOTTOM, 12, log=True), unseen
    pad = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    return Scale(low - pad, high + pad, BOTTOM, 12), unseen


def _front(front: Sequence[Point], x: Scale, y: Scale) -> Markup:
    """Steps: what can be had for a cost is the best that is as cheap."""
    path = f"M{x(front[0].cost):.1f} {y(front[0].spread.mean):.1f}"
    for point in front[1:]:
        path += f"H{x(point.cost):.1f}V{y(point.spread.mean):.1f}"
    return tag("path", d=f"{path}H{x.end:.0f}", class_="front")


def _mark(point: Point, x: Scale, y: Scale, *, on_front: bool) -> list[Markup]:
    ink = f"c{point.colour % COLOURS}"
    cx, cy = x(point.cost), y(point.spread.mean)
    parts = []
    if point.spread.sd and math.isfinite(point.spread.sd):
        top, low = y(point.spread.mean + point.spread.sd), y(point.spread.mean - point.spread.sd)
        parts.append(tag("path", d=f"M{cx:.1f} {top:.1f}V{low:.1f}", class_=f"reach {ink}"))
    kind = "filled" if on_front else "hollow"
    parts.append(tag("path", d=marker(point.colour, cx, cy, 5.0), class_=f"mark {kind} {ink}"))
    return [tag("g", *parts, data_g=point.letter)]


def _labels(points: Sequence[Point], front: set[str], x: Scale, y: Scale) -> list[Markup]:
    """Letters beside the marks, in the nearest place that is free of marks and other letters."""
    taken = [
        (x(p.cost) - 6, y(p.spread.mean) - 6, x(p.cost) + 6, y(p.spread.mean) + 6) for p in points
    ]
    parts = []
    for point in points:
        cx, cy = x(point.cost), y(point.spread.mean)
        width = 9.0 * len(point.letter)
        place = _free_place(cx, cy, width, taken, x, y)
        taken.append((place[0] - width / 2, place[1] - 7, place[0] + width / 2, place[1] + 7))
        if math.dist(place, (cx, cy)) > 20:
            line = f"M{cx:.1f} {cy:.1f}L{place[0]:.1f} {place[1]:.1f}"
            parts.append(tag("path", d=line, class_="leader"))
        kind = f"end-label c{point.colour % COLOURS}" + (
            " on-front" if point.letter in front else ""
        )
        label = text(point.letter, place[0], place[1] + 4.5, kind, "middle")
        parts.append(tag("g", label, data_g=point.letter))
    return parts


def _free_place(
    cx: float,
    cy: float,
    width: float,
    taken: Sequence[tuple[float, float, float, float]],
    x: Scale,
    y: Scale,
) -> tuple[float, float]:
    """Rings of growing radius, the right side first; the last try where nothing is free."""
    place = cx, cy
    for radius in (14.0, 18.0, 26.0, 36.0, 48.0):
        for angle in (0, 180, -90, 90, -45, 45, -135, 135):
            turn = math.radians(angle)
            place = cx + (radius + width / 4) * math.cos(turn), cy + radius * math.sin(turn)
            box = place[0] - width / 2, place[1] - 7, place[0] + width / 2, place[1] + 7
            inside = (
                x.start + 2 <= box[0] and box[2] <= x.end and box[1] >= 2 and box[3] <= y.start - 1
            )
            if inside and not any(_touch(box, other) for other in taken):
                return place
    return place


def _touch(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]
