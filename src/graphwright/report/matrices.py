"""Heat maps of the `matrices` of a run: small tables of numbers whose pattern is the point.

Cells carry their numbers where these fit, so that nothing depends on telling shades apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from graphwright.report.figures import LETTER, Figure, make_figure
from graphwright.report.results import as_number
from graphwright.report.svg import tag, text
from graphwright.report.text import format_number

__all__ = ["Matrix", "heat_map", "heat_maps", "parse_matrices"]

WIDTH = 250
NUMBERED = 6  # columns up to which a number fits into a cell
_STRONGEST = 0.55  # opacity of the largest cell, on which its number can still be read


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Numbers with names of rows and columns; NaN where there is none."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    note: str = ""


def parse_matrices(entries: object) -> tuple[Matrix, ...]:
    """The `matrices` of `metrics.json`; an entry whose sizes do not fit is left out."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    found = (_matrix(entry) for entry in entries if isinstance(entry, Mapping))
    return tuple(matrix for matrix in found if matrix is not None)


def heat_maps(matrices: Sequence[Matrix]) -> tuple[Figure, ...]:
    """One drawing each, all on one scale of shades."""
    sizes = [abs(v) for m in matrices for row in m.values for v in row if math.isfinite(v)]
    most = max(sizes, default=0.0) or 1.0
    return tuple(heat_map(f"matrix_{i}", m, most) for i, m in enumerate(matrices))


def heat_map(name: str, matrix: Matrix, most: float) -> Figure:
    """Cells as dark as their size; those below zero have another colour and their sign.

    Args:
        name: of the drawing's file.
        matrix: what to draw.
        most: size of the darkest cell.
    """
    left = 8 + LETTER * max(len(label) for label in matrix.rows)
    width = (WIDTH - left) / len(matrix.columns)
    height = min(width, 30.0)
    parts = [
        text(label, left + (j + 0.5) * width, 12, "tick", "middle")
        for j, label in enumerate(matrix.columns)
    ]
    for i, (label, row) in enumerate(zip(matrix.rows, matrix.values, strict=True)):
        top = 18 + i * height
        parts.append(text(label, left - 6, top + height / 2 + 4, "tick", "end"))
        for j, value in enumerate(row):
            parts += _cell(value, left + j * width, top, width, height, most)
    described = "; ".join(
        f"{label}: {', '.join(format_number(value, 3) for value in row)}"
        for label, row in zip(matrix.rows, matrix.values, strict=True)
    )
    bottom = round(20 + len(matrix.rows) * height)
    return make_figure(name, matrix.title, parts, bottom, matrix.note, described, WIDTH)


def _cell(
    value: float, x: float, y: float, width: float, height: float, most: float
) -> list[Markup]:
    shade = min(abs(value) / most, 1.0) * _STRONGEST if math.isfinite(value) else 0.0
    kind = "cell below" if value < 0 else "cell"
    box = {"x": x + 0.5, "y": y + 0.5, "width": width - 1, "height": height - 1}
    parts = [tag("rect", class_=kind, fill_opacity=f"{shade:.3f}", **box)]
    if width >= (WIDTH - 60) / NUMBERED:
        shown = format_number(value, 2) if math.isfinite(value) else "–"
        parts.append(text(shown, x + width / 2, y + height / 2 + 4, "cell-value", "middle"))
    return parts


def _matrix(entry: Mapping[str, Any]) -> Matrix | None:
    values = entry.get("values")
    if not isinstance(values, Sequence) or not values:
        return None
    numbers = tuple(tuple(_or_nan(cell) for cell in row) for row in values)
    rows = tuple(str(name) for name in entry.get("rows") or range(len(numbers)))
    columns = tuple(str(name) for name in entry.get("columns") or range(len(numbers[0])))
    if len(rows) != len(numbers) or {len(row) for row in numbers} != {len(columns)} or not columns:
        return None
    title, note = str(entry.get("title") or "Matrix"), str(entry.get("note") or "")
    return Matrix(title=title, rows=rows, columns=columns, values=numbers, note=note)


def _or_nan(cell: object) -> float:
    number = as_number(cell)
    return math.nan if number is None else number
