"""Drawings of a run: predicted against true, bars with their numbers; lines are in `lines.py`.

Every figure is small (tenths of kilobytes), reads without colour (dashes, letters, labels at the
line ends) and carries a description for people who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from markupsafe import Markup

from graphwright.report.predictions import Scatter
from graphwright.report.svg import Scale, coordinates, tag, text, tick_label
from graphwright.report.text import format_number

__all__ = [
    "Bar",
    "Figure",
    "bar_chart",
    "fit_label",
    "label_width",
    "make_figure",
    "scatter_chart",
    "x_axis",
    "y_axis",
]

WIDTH = 360
COLOURS = 8
LETTER = 6.6  # mean width of a character of a tick, in user units
PLAIN_LETTER, STRONG_LETTER = 8.0, 9.0  # of most characters of a label
_NARROW, _NARROW_ONES = 0.6, frozenset(" .,:;'|!/ijltfrI-()[]")  # times that
_WIDE, _WIDE_ONES = 1.55, frozenset("mwMW@%—±")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An SVG drawing. `detail` is a short remark for the caption, `description` is for ears."""

    name: str
    title: str
    svg: Markup
    detail: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row of a bar chart: from `start`, `length` long, `value` as its text."""

    label: str
    length: float
    value: str
    start: float = 0.0
    strong: bool = False


def scatter_chart(scatter: Scatter, *, title: str, max_points: int) -> Figure:
    """Predicted against true on equal axes, with the line on which they agree."""
    target, predicted = _thin(scatter, max_points)
    low = float(min(scatter.target.min(), scatter.predicted.min()))
    high = float(max(scatter.target.max(), scatter.predicted.max()))
    pad = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    low, high = low - pad, high + pad
    height, bottom = 338, 300
    y = Scale(low, high, bottom, 10)
    left = 28 + LETTER * max(len(tick_label(v)) for v in y.ticks())
    x = Scale(low, high, left, left + bottom - 10)
    unit = f" ({scatter.unit})" if scatter.unit else ""
    dots = "".join(f"M{x(t):.1f} {y(p):.1f}h0" for t, p in zip(target, predicted, strict=True))
    parts = [
        *y_axis(y, left, left + bottom - 10),
        *x_axis(x, bottom, f"true{unit}"),
        tag("path", d=coordinates([x(low), x(high)], [y(low), y(high)]), class_="identity"),
        tag("path", d=dots, class_="dots"),
        tag(
            "text",
            f"predicted{unit}",
            class_="axis-label",
            text_anchor="middle",
            transform=f"translate(11 {bottom / 2:.0f}) rotate(-90)",
        ),
    ]
    detail = f"MAE {format_number(scatter.mae, 3)}{' ' + scatter.unit if scatter.unit else ''}"
    if math.isfinite(scatter.r2):
        detail += f" · R² {scatter.r2:.3f}"
    count = len(scatter.target)
    shown = f", {len(target):,} of them drawn" if len(target) < count else ""
    dropped = f", {scatter.dropped:,} not finite and left out" if scatter.dropped else ""
    described = f"Predicted against true for {count:,} samples{shown}{dropped}. {detail}."
    return make_figure(
        f"predicted_{scatter.name}", title, parts, height, detail, described, left + bottom + 2
    )


def bar_chart(name: str, title: str, bars: Sequence[Bar], *, detail: str = "") -> Figure:
    """Rows of label, value and bar; bars are to scale from the smallest start on."""
    low = min([0.0, *(min(bar.start, bar.start + bar.length) for bar in bars)])
    high = max([1e-12, *(max(bar.start, bar.start + bar.length) for bar in bars)])
    x = Scale(low, high, 0, WIDTH)
    parts: list[Markup] = []
    for i, bar in enumerate(bars):
        top = 34 * i
        begin, end = sorted((x(bar.start), x(bar.start + bar.length)))
        kind = "strong" if bar.strong else "plain"
        room = WIDTH - 14 - label_width(bar.value, strong=bar.strong)
        parts += [
            text(fit_label(bar.label, room, strong=bar.strong), 0, top + 13, f"bar-label {kind}"),
            text(bar.value, WIDTH, top + 13, f"bar-value {kind}", "end"),
            tag("rect", class_="track", x=0, y=top + 19, width=WIDTH, height=7, rx=3.5),
            tag(
                "rect", class_=f"bar {kind}", x=begin, y=top + 19, width=max(end - begin, 2.0),
                height=7, rx=min(3.5, max(end - begin, 2.0) / 2),
            ),
        ]  # fmt: skip
    described = "; ".join(f"{bar.label} {bar.value}" for bar in bars)
    return make_figure(name, title, parts, 34 * len(bars) - 4, detail, described)


def make_figure(
    name: str,
    title: str,
    parts: Sequence[Markup],
    height: int,
    detail: str,
    description: str,
    width: float = WIDTH,
    *,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Wrap parts into an SVG of `width` by `height` user units."""
    svg = tag(
        "svg", *parts, class_="chart", xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {max(height, 1)}", role="img",
        aria_label=f"{title}. {description}", **attributes,
    )  # fmt: skip
    return Figure(name=name, title=title, svg=svg, detail=detail, description=description)


def y_axis(y: Scale, left: float, right: float) -> list[Markup]:
    """Grid lines with their values on the left."""
    parts = []
    for value in y.ticks():
        height = y(value)
        parts.append(tag("path", d=f"M{left:.1f} {height:.1f}H{right:.1f}", class_="grid"))
        parts.append(text(tick_label(value), left - 7, height + 4, "tick", "end"))
    return parts


def x_axis(x: Scale, bottom: float, label: str) -> list[Markup]:
    """A line with ticks at `bottom`; epochs and steps get whole numbers only."""
    parts = [tag("path", d=f"M{x.start:.1f} {bottom:.1f}H{x.end:.1f}", class_="axis")]
    whole = label in {"epoch", "step"}
    for value in x.ticks():
        if whole and value != int(value):
            continue
        parts.append(tag("path", d=f"M{x(value):.1f} {bottom:.1f}v4", class_="axis"))
        parts.append(text(tick_label(value), x(value), bottom + 16, "tick", "middle"))
    parts.append(text(label, (x.start + x.end) / 2, bottom + 31, "axis-label", "middle"))
    return parts


def fit_label(label: str, room: float, *, strong: bool) -> str:
    """A label that stays clear of the number beside it."""
    if label_width(label, strong=strong) <= room:
        return label
    kept = len(label)
    while kept > 1 and label_width(f"{label[:kept]}…", strong=strong) > room:
        kept -= 1
    return f"{label[:kept].rstrip()}…"


def label_width(label: str, *, strong: bool) -> float:
    """User units, rather too many: nobody knows the font of the reader's browser."""
    wide = sum(_WIDE if char in _WIDE_ONES else _NARROW if char in _NARROW_ONES else 1.0
               for char in label)  # fmt: skip
    return wide * (STRONG_LETTER if strong else PLAIN_LETTER)


def _thin(scatter: Scatter, max_points: int) -> tuple[list[float], list[float]]:
    count = len(scatter.target)
    # evenly through the file: a random choice would change the page from one call to the next
    chosen = np.unique(np.linspace(0, count - 1, min(count, max_points)).astype(int))
    return scatter.target[chosen].tolist(), scatter.predicted[chosen].tolist()
