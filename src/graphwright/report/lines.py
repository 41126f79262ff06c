"""Curves over epochs or steps: one drawing for a run's metrics and for many runs overlaid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from graphwright.report.figures import COLOURS, LETTER, WIDTH, Figure, make_figure, x_axis, y_axis
from graphwright.report.svg import Scale, coordinates, tag, text, tick_label
from graphwright.report.text import format_number

__all__ = ["Line", "line_chart"]

HEIGHT = 222
MAX_VERTICES = 400


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve. Values may be non-finite: the line then breaks and a cross marks the place.

    `colour` counts through the palette; from the ninth on lines are dashed, too. `mark` is the
    index of a point that gets a ring.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0
    dashed: bool = False
    mark: int | None = None
    end_label: str | None = None


def line_chart(
    name: str,
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    detail: str = "",
    most_vertices: int = MAX_VERTICES,
) -> Figure:
    """Curves over a common x axis; a logarithmic y axis where the values span 10 times or more.

    `most_vertices` is the length at which the path of one line is thinned.
    """
    ys = [y for line in lines for y in line.ys if math.isfinite(y)]
    xs = [x for line in lines for x in line.xs if math.isfinite(x)]
    if not ys or not xs:
        ys, xs = ys or [0.0, 1.0], xs or [0.0, 1.0]
    low, high, log = _domain(ys)
    ends = [line.end_label if line.end_label is not None else line.label for line in lines]
    right = WIDTH - 12 - LETTER * max([len(end) for end in ends], default=0)
    y = Scale(low, high, HEIGHT - 34, 12, log)
    left = 12 + LETTER * max(len(tick_label(v)) for v in y.ticks())
    x = Scale(min(xs), max(xs), left, right)
    parts = [*y_axis(y, left, right), *x_axis(x, HEIGHT - 34, x_label)]
    parts += [part for line in lines for part in _draw_line(line, x, y, most_vertices)]
    parts += _end_labels(lines, ends, x, y)
    described = _describe(lines, x_label)
    details = [d for d in (detail, "log scale" if log else "") if d]
    # page.js reads values under the pointer back from the coordinates
    scales = {"data_x": _numbers(x), "data_y": _numbers(y), "data_unit": x_label}
    remark = " · ".join(details)
    return make_figure(name, title, parts, HEIGHT, remark, described, attributes=scales)


def _numbers(scale: Scale) -> str:
    return f"{scale.low:g} {scale.high:g} {scale.start:g} {scale.end:g} {int(scale.log)}"


def _domain(values: Sequence[float]) -> tuple[float, float, bool]:
    low, high = min(values), max(values)
    if low > 0 and high / low >= 10:
        margin = (high / low) ** 0.03
        return low / margin, high * margin, True
    if 0 <= low < 0.5 * high or low == high > 0:
        return 0.0, high * 1.05, False
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return low - pad, high + pad, False


def _draw_line(line: Line, x: Scale, y: Scale, most: int) -> list[Markup]:
    colour = f"c{line.colour % COLOURS}"
    dashed = line.dashed != (line.colour >= COLOURS)
    parts = []
    for piece in _finite_pieces(line):
        chosen = _vertices([line.ys[i] for i in piece], most)
        xs, ys = [x(line.xs[piece[i]]) for i in chosen], [y(line.ys[piece[i]]) for i in chosen]
        if len(piece) == 1:
            parts.append(tag("circle", cx=xs[0], cy=ys[0], r=3.0, class_=f"point {colour}"))
        else:
            kind = f"line {colour}{' dashed' if dashed else ''}"
            parts.append(tag("path", d=coordinates(xs, ys), class_=kind, data_label=line.label))
    for i, value in enumerate(line.ys):
        if not math.isfinite(value):
            place = f"M{x(line.xs[i]) - 3.5:.1f} {y.end - 3.5:.1f}l7 7m0 -7l-7 7"
            parts.append(tag("path", d=place, class_="not-finite"))
    if line.mark is not None:
        cx, cy = x(line.xs[line.mark]), y(line.ys[line.mark])
        parts.append(tag("circle", cx=cx, cy=cy, r=4.0, class_=f"ring {colour}"))
    return parts


def _finite_pieces(line: Line) -> list[list[int]]:
    pieces: list[list[int]] = [[]]
    for i, value in enumerate(line.ys):
        if math.isfinite(value):
            pieces[-1].append(i)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _vertices(values: Sequence[float], most: int) -> list[int]:
    """Indices to draw: of long curves the lowest and highest of each bucket, so peaks stay."""
    count = len(values)
    if count <= most:
        return list(range(count))
    edges = np.linspace(0, count, most // 2 + 1).astype(int)
    chosen = {0, count - 1}
    for begin, end in itertools.pairwise(edges.tolist()):
        bucket = range(begin, end)
        chosen |= {min(bucket, key=values.__getitem__), max(bucket, key=values.__getitem__)}
    return sorted(chosen)


def _end_labels(lines: Sequence[Line], ends: Sequence[str], x: Scale, y: Scale) -> list[Markup]:
    """Labels right of the last finite point of each line, pushed apart where they would touch."""
    wanted, parts = [], []
    for line, label in zip(lines, ends, strict=True):
        last = next((i for i in reversed(range(len(line.ys))) if math.isfinite(line.ys[i])), None)
        if not label or last is None:
            continue
        height, class_ = y(line.ys[last]), f"end-label c{line.colour % COLOURS}"
        if x(line.xs[last]) < x.end - 30:  # this run stopped early: its label stays with it
            parts.append(text(label, x(line.xs[last]) + 5, height + 4, class_))
        else:
            wanted.append((height, label, class_))
    wanted.sort()
    for place, (_, label, class_) in zip(_spread([w[0] for w in wanted], y), wanted, strict=True):
        parts.append(text(label, x.end + 6, place + 4, class_))
    return parts


def _spread(heights: Sequence[float], y: Scale) -> list[float]:
    """Sorted heights moved apart to a line of text each, and back up where they leave the plot."""
    gap = min(13.0, (y.start - y.end) / max(len(heights), 1))
    places: list[float] = []
    for height in heights:
        places.append(max(height, places[-1] + gap) if places else height)
    overflow = max(0.0, places[-1] - y.start) if places else 0.0
    return [place - overflow for place in places]


def _describe(lines: Sequence[Line], x_label: str) -> str:
    sentences = []
    for line in lines[:12]:
        finite = [(x, y) for x, y in zip(line.xs, line.ys, strict=True) if math.isfinite(y)]
        if finite:
            (x0, y0), (x1, y1) = finite[0], finite[-1]
            sentences.append(
                f"{line.label}: {format_number(y0)} at {x_label} {format_number(x0)}, "
                f"{format_number(y1)} at {x_label} {format_number(x1)}"
            )
        if len(finite) < len(line.ys):
            sentences.append(f"{len(line.ys) - len(finite)} values of {line.label} are not finite")
    return ". ".join(sentences) + "." if sentences else "No finite values."
