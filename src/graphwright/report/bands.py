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
_FOOT, _GAP = 34, 14.0
# told apart without colour: by dashes, and by the label at the end
_DASHES = ("", "8 4", "2 4", "10 3 2 3", "5 2", "1 3", "12 4", "4 4 1 4")


@dataclass(frozen=True, kw_only=True)
class Band:
    """One curve; values that are not finite are left out.

    Attributes:
        label: stands at its end; a line without one stays in the background.
        middle: what the line shows.
        low, high: edges of the band; empty without one.
        xs: of the values; by default 1, 2, …
        number: of its colour and its dashes; by default its place.
        key: what a legend calls it; by default its label.
    """

    label: str
    middle: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    xs: Sequence[float] = ()
    number: int | None = None
    key: str = ""

    def at(self, place: int) -> float:
        """x of a value."""
        return self.xs[place] if self.xs else place + 1.0


def band_chart(
    name: str,
    title: str,
    bands: Sequence[Band],
    *,
    x_label: str,
    log: bool = False,
    band_words: str = "median and middle half of the seeds",
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Figure:
    """Curves over a common x axis. The first is the one that matters: it is drawn thickest.

    With `log` the y axis is logarithmic; zeros lie on its bottom, which the caption says.
    """
    width, height = size
    values = [v for band in bands for v in (*band.middle, *band.low, *band.high) if _finite(v)]
    floor = _floor(values) if log else None
    y = _y_scale(values, floor, height - _FOOT)
    left = 12 + LETTER * max(len(tick_label(v)) for v in y.ticks())
    right = width - 14 - LETTER * max([len(band.label) for band in bands], default=0)
    x = _x_scale(bands, left, right)
    parts = [*y_axis(y, left, right), *x_axis(x, height - _FOOT, x_label)]
    parts += [_area(band, _number_of(bands, i), x, y) for i, band in enumerate(bands) if band.low]
    for i, band in reversed(list(enumerate(bands))):
        parts.append(_line(band, _number_of(bands, i), x, y, first=i == 0))
    parts += _labels(bands, x, y)
    zeros = floor is not None and any(v < floor for v in values)
    details = ["log scale" if log else "", "zero is drawn at the bottom" if zeros else ""]
    if any(len(band.low) for band in bands):
        details.insert(0, band_words)
    scales = {"data_x": _numbers(x), "data_y": _numbers(y), "data_unit": x_label}
    detail = " · ".join(part for part in details if part)
    said = _describe(bands, x_label)
    return make_figure(name, title, parts, height, detail, said, width, attributes=scales)


def _number_of(bands: Sequence[Band], place: int) -> int:
    number = bands[place].number
    return place if number is None else number


def _x_scale(bands: Sequence[Band], left: float, right: float) -> Scale:
    ends = [band.at(i) for band in bands if len(band.middle) for i in (0, len(band.middle) - 1)]
    low, high = min(ends, default=1.0), max(ends, default=2.0)
    return Scale(low, high if high > low else low + 1, left, right)


def _finite(value: float) -> bool:
    return math.isfinite(value)


def _floor(values: Sequence[float]) -> float:
    """The lowest value of a logarithmic axis."""
    positive = [v for v in values if v > 0]
    return max(min(positive) / 1.3, max(positive) / 1e4) if positive else 1e-3


def _y_scale(values: Sequence[float], floor: float | None, bottom: float) -> Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if floor is not None:
        return Scale(floor, max(high, 2 * floor) * 1.1, bottom, 12, log=True)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return Scale(low - pad, high + pad, bottom, 12)


def _at(y: Scale, value: float) -> float:
    return y(max(value, y.low))


def _points(values: Sequence[float]) -> list[int]:
    return [i for i, value in enumerate(values) if _finite(value)]


def _area(band: Band, number: int, x: Scale, y: Scale) -> Markup:
    """The band, filled lightly enough for lines of others to be read through it."""
    rows = [i for i in _points(band.low) if _finite(band.high[i])]
    ends = [*rows, *reversed(rows)]
    edge = [band.high[i] for i in rows] + [band.low[i] for i in reversed(rows)]
    path = coordinates([x(band.at(i)) for i in ends], [_at(y, v) for v in edge]) + "Z"
    return tag("path", d=path, class_=f"band c{number % COLOURS}", data_g=band.key or band.label)


def _line(band: Band, number: int, x: Scale, y: Scale, *, first: bool) -> Markup:
    rows = _points(band.middle)
    path = coordinates([x(band.at(i)) for i in rows], [_at(y, band.middle[i]) for i in rows])
    if not band.label:
        return tag("path", d=path, class_="line other", data_g=band.key)
    # a colour that comes again has other dashes
    dashes = _DASHES[(number + number // COLOURS) % len(_DASHES)]
    look = {"stroke_dasharray": dashes} if dashes else {}
    kind = f"line c{number % COLOURS}{' first' if first else ''}"
    return tag(
        "path", d=path, class_=kind, data_label=band.label, data_g=band.key or band.label, **look
    )


def _labels(bands: Sequence[Band], x: Scale, y: Scale) -> list[Markup]:
    """Right of the plot, moved apart; a leader joins them to a line that ends early."""
    wanted = []
    for i, band in enumerate(bands):
        rows = _points(band.middle)
        if rows and band.label:
            height, end = _at(y, band.middle[rows[-1]]), x(band.at(rows[-1]))
            wanted.append((height, end, band.label, _number_of(bands, i)))
    wanted.sort()
    places: list[float] = []
    gap = min(_GAP, (y.start - y.end) / max(len(wanted) - 1, 1))
    for height, *_ in wanted:
        places.append(max(height, places[-1] + gap) if places else height)
    overflow = max(0.0, places[-1] - y.start) if places else 0.0
    parts = []
    for place, (height, end, label, number) in zip(places, wanted, strict=True):
        shown = [text(label, x.end + 6, place - overflow + 4, f"end-label c{number % COLOURS}")]
        if end < x.end - 30:
            leader = f"M{end:.1f} {height:.1f}L{x.end + 3:.1f} {place - overflow:.1f}"
            shown.insert(0, tag("path", d=leader, class_="leader"))
        parts.append(tag("g", *shown, data_g=label))
    return parts


def _numbers(scale: Scale) -> str:
    return f"{scale.low:g} {scale.high:g} {scale.start:g} {scale.end:g} {int(scale.log)}"


def _describe(bands: Sequence[Band], x_label: str) -> str:
    sentences = []
    for band in bands:
        rows = _points(band.middle)
        if rows and band.label:
            first, last = rows[0], rows[-1]
            sentences.append(
                f"{band.label}: {format_number(band.middle[first])} at {x_label} "
                f"{format_number(band.at(first))}, {format_number(band.middle[last])} at {x_label} "
                f"{format_number(band.at(last))}"
            )
    return ". ".join(sentences) + "." if sentences else "No finite values."
