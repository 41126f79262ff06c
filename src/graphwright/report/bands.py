"""Curves with a band around each: the median over seeds and where the middle half lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from graphwright.report.figures import COLOURS, LETTER, Figure, make_figure, x_axis, y_axis
from graphwright.report.svg import Scale, coordinates, tag, text, tick_label
from graphwright.report.text import format_number

__all__ = ["Band", "band_chart"]

WIDTH, HEIGHT = 560, 300
_BOTTOM, _GAP = HEIGHT - 34, 14.0
# told apart without colour: by dashes, and by the label at the end
_DASHES = ("", "8 4", "2 4", "10 3 2 3", "5 2", "1 3", "12 4", "4 4 1 4")


@dataclass(frozen=True, kw_only=True)
class Band:
    """One curve, at x = 1, 2, …; values that are not finite at its start are left out.

    Attributes:
        label: stands at its end.
        middle: what the line shows.
        low, high: edges of the band; empty without one.
    """

    label: str
    middle: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def band_chart(
    name: str, title: str, bands: Sequence[Band], *, x_label: str, log: bool = False
) -> Figure:
    """Curves over a common x axis. The first is the one that matters: it is drawn thickest.

    With `log` the y axis is logarithmic; zeros lie on its bottom, which the caption says.
    """
    values = [v for band in bands for v in (*band.middle, *band.low, *band.high) if _finite(v)]
    floor = _floor(values) if log else None
    y = _y_scale(values, floor)
    left = 12 + LETTER * max(len(tick_label(v)) for v in y.ticks())
    right = WIDTH - 14 - LETTER * max(len(band.label) for band in bands)
    x = Scale(1, max(2, *(len(band.middle) for band in bands)), left, right)
    parts = [*y_axis(y, left, right), *x_axis(x, _BOTTOM, x_label)]
    parts += [_area(band, i, x, y) for i, band in enumerate(bands) if len(band.low)]
    for i, band in reversed(list(enumerate(bands))):
        parts.append(_line(band, i, x, y))
    parts += _labels(bands, x, y)
    zeros = floor is not None and any(v < floor for v in values)
    details = ["log scale" if log else "", "zero is drawn at the bottom" if zeros else ""]
    if any(len(band.low) for band in bands):
        details.insert(0, "median and middle half of the seeds")
    scales = {"data_x": _numbers(x), "data_y": _numbers(y), "data_unit": x_label}
    detail = " · ".join(part for part in details if part)
    said = _describe(bands, x_label)
    return make_figure(name, title, parts, HEIGHT, detail, said, WIDTH, attributes=scales)


def _finite(value: float) -> bool:
    return math.isfinite(value)


def _floor(values: Sequence[float]) -> float:
    """The lowest value of a logarithmic axis."""
    positive = [v for v in values if v > 0]
    return max(min(positive) / 1.3, max(positive) / 1e4) if positive else 1e-3


def _y_scale(values: Sequence[float], floor: float | None) -> Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if floor is not None:
        return Scale(floor, max(high, 2 * floor) * 1.1, _BOTTOM, 12, log=True)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Scale(low - pad, high + pad, _BOTTOM, 12)


def _at(y: Scale, value: float) -> float:
    return y(max(value, y.low))


def _points(values: Sequence[float]) -> list[int]:
    return [i for i, value in enumerate(values) if _finite(value)]


def _area(band: Band, number: int, x: Scale, y: Scale) -> Markup:
    """The band, filled lightly enough for lines of others to be read through it."""
    rows = [i for i in _points(band.low) if _finite(band.high[i])]
    ends = [*rows, *reversed(rows)]
    edge = [band.high[i] for i in rows] + [band.low[i] for i in reversed(rows)]
    path = coordinates([x(i + 1) for i in ends], [_at(y, v) for v in edge]) + "Z"
    fill = f"var(--c{number % COLOURS})"
    return tag("path", d=path, fill=fill, fill_opacity="0.13", stroke="none")


def _line(band: Band, number: int, x: Scale, y: Scale) -> Markup:
    rows = _points(band.middle)
    path = coordinates([x(i + 1) for i in rows], [_at(y, band.middle[i]) for i in rows])
    dashes = _DASHES[number % len(_DASHES)]
    look = {"stroke_dasharray": dashes} if dashes else {}
    width = "stroke-width:2.8" if number == 0 else "stroke-width:2"
    kind = f"line c{number % COLOURS}"
    return tag("path", d=path, class_=kind, data_label=band.label, style=width, **look)


def _labels(bands: Sequence[Band], x: Scale, y: Scale) -> list[Markup]:
    """At the end of each line, moved apart to a line of text each."""
    wanted = []
    for i, band in enumerate(bands):
        rows = _points(band.middle)
        if rows:
            wanted.append((_at(y, band.middle[rows[-1]]), band.label, i))
    places: list[float] = []
    for height, _, _ in sorted(wanted):
        places.append(max(height, places[-1] + _GAP) if places else height)
    overflow = max(0.0, places[-1] - y.start) if places else 0.0
    return [
        text(label, x.end + 6, place - overflow + 4, f"end-label c{i % COLOURS}")
        for place, (_, label, i) in zip(places, sorted(wanted), strict=True)
    ]


def _numbers(scale: Scale) -> str:
    return f"{scale.low:g} {scale.high:g} {scale.start:g} {scale.end:g} {int(scale.log)}"


def _describe(bands: Sequence[Band], x_label: str) -> str:
    sentences = []
    for band in bands:
        rows = _points(band.middle)
        if rows:
            first, last = rows[0], rows[-1]
            sentences.append(
                f"{band.label}: {format_number(band.middle[first])} at {x_label} {first + 1}, "
                f"{format_number(band.middle[last])} at {x_label} {last + 1}"
            )
    return ". ".join(sentences) + "." if sentences else "No finite values."
