"""SVG by hand: escaped tags, axis scales and ticks.

Colours are CSS variables (theme.css), so that one drawing serves light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = [
    "Scale",
    "coordinates",
    "linear_ticks",
    "log_ticks",
    "marker",
    "tag",
    "text",
    "tick_label",
]

_CORNERS = {1: (4, 45.0), 2: (3, -90.0), 3: (4, 0.0), 4: (3, 90.0), 6: (5, -90.0)}
_ARM, _HALF = 1.2, 0.42
_PLUS = (
    (_HALF, -_ARM), (_HALF, -_HALF), (_ARM, -_HALF), (_ARM, _HALF), (_HALF, _HALF), (_HALF, _ARM),
    (-_HALF, _ARM), (-_HALF, _HALF), (-_ARM, _HALF), (-_ARM, -_HALF), (-_HALF, -_HALF),
    (-_HALF, -_ARM),
)  # fmt: skip


def tag(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """One element. `class_` and `stroke_width` become `class` and `stroke-width`.

    >>> tag("text", "a < b", class_="tick", x=1.25)
    Markup('<text class="tick" x="1.2">a &lt; b</text>')
    """
    # joined by hand: "%" in Markup would escape the quotes of the attributes again
    parts = [f' {_attribute(key)}="{escape(_number(value))}"' for key, value in attributes.items()]
    body = "".join(str(escape(child)) for child in children)
    end = f">{body}</{name}>" if body else "/>"
    return Markup(f"<{name}{''.join(parts)}{end}")


def text(content: str, x: float, y: float, class_: str, anchor: str = "start") -> Markup:
    """A text element at (x, y) in user units."""
    return tag("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def coordinates(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Path data through finite points; one decimal is a tenth of a pixel."""
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in zip(xs, ys, strict=True))


def marker(kind: int, x: float, y: float, r: float) -> str:
    """Path data of one of eight shapes around (x, y), told apart without colour.

    Circle, square, triangle, diamond, triangle on its tip, plus, pentagon, cross; from the ninth on
    shifted by one, so that a colour that comes again has another shape.
    """
    kind = (kind + kind // 8) % 8
    if kind == 0:
        return f"M{x - r:.1f} {y:.1f}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 -{2 * r:g} 0Z"
    if kind in _CORNERS:
        count, first = _CORNERS[kind]
        turns = [math.radians(first + 360 * i / count) for i in range(count)]
        points = [(1.25 * r * math.cos(turn), 1.25 * r * math.sin(turn)) for turn in turns]
    else:
        cos, sin = (1.0, 0.0) if kind == 5 else (math.sqrt(0.5), math.sqrt(0.5))
        points = [(r * (cos * u - sin * v), r * (sin * u + cos * v)) for u, v in _PLUS]
    return coordinates([x + u for u, _ in points], [y + v for _, v in points]) + "Z"


@dataclass(frozen=True)
class Scale:
    """Maps data [low, high] to user units [start, end]; logarithmic where `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round values inside the domain."""
        if self.log and self.high > 6 * self.low:
            return log_ticks(self.low, self.high)
        return linear_ticks(self.low, self.high, count)


def linear_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.75)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # rounding to the step's own decimals turns 0.30000000000000004 into 0.3
    decimals = max(0, 1 - math.floor(math.log10(step)))
    return [round(i * step, decimals) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 between them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high / low)
    factors = (1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)
    stride = max(1, math.ceil(decades / 6))
    exponents = range(first, last + 1, stride)
    values = [float(f"{factor:g}e{e}") for e in exponents for factor in factors]
    return [v for v in values if low * 0.999 <= v <= high * 1.001]


def tick_label(value: float) -> str:
    """A short label: 0.05, 12k, 1e-4."""
    magnitude = abs(value)
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if magnitude >= limit:
            scale = 1e3 if suffix == "k" else limit
            return f"{value / scale:.4g}{suffix}"
    if 0 < magnitude < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.6g}"


def _attribute(key: str) -> str:
    return "viewBox" if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _number(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return value
