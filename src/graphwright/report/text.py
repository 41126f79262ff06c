"""Numbers, durations and tables as people read them; one rule for page, card and terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, TypeGuard

__all__ = [
    "format_column",
    "format_duration",
    "format_number",
    "format_value",
    "is_number",
    "json_safe",
    "markdown_escape",
    "markdown_table",
    "plain_table",
    "table_texts",
]

MISSING = "–"
_MARKDOWN_SPECIAL = re.compile(r"[\\`*\[\]<>|#~]|(?<![^\W_])_|_(?![^\W_])")


def is_number(value: object) -> TypeGuard[float]:
    """True for an int or float that is not a bool (NaN and infinities are numbers)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_number(value: float, digits: int = 4) -> str:
    """A number with `digits` significant digits; whole numbers get thousands separators.

    >>> format_number(0.0246123), format_number(423624), format_number(3.2e-7)
    ('0.02461', '423,624', '3.2e-7')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}"
    magnitude = abs(value)
    if 1e-3 <= magnitude < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(magnitude)))
        shown = f"{value:,.{decimals}f}"
        return shown.rstrip("0").rstrip(".") if decimals else shown
    mantissa, exponent = f"{value:.{max(0, digits - 2)}e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def format_column(cells: Sequence[object]) -> list[str]:
    """The cells of one column: its numbers get the same decimals where that can be read.

    >>> format_column([0.0213, 0.4839, None, 1.0])
    ['0.0213', '0.4839', '–', '1.0000']
    """
    numbers = [abs(c) for c in cells if is_number(c) and math.isfinite(c) and c != 0]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if all(isinstance(n, int) for n in numbers) or not (low >= 1e-3 and high < 1e4 * low):
        return [format_value(cell) for cell in cells]
    decimals = max(0, 2 - math.floor(math.log10(low)))
    return [
        f"{cell:,.{decimals}f}" if is_number(cell) and math.isfinite(cell) else format_value(cell)
        for cell in cells
    ]


def format_value(value: object) -> str:
    """Any JSON value as one line of text; None and empty things are a dash."""
    if value is None or value == "" or value == [] or value == {}:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format_number(value)
    if isinstance(value, dict):
        return "; ".join(f"{key} {format_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(format_value(item) for item in value)
    return str(value)


def format_duration(seconds: float) -> str:
    """Seconds in the unit that fits.

    >>> format_duration(0.0031), format_duration(7.25), format_duration(4000)
    ('3.1 ms', '7.25 s', '1 h 6 min')
    """
    if not math.isfinite(seconds):
        return MISSING
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def json_safe(value: Any) -> Any:
    """The value with non-finite floats as the strings "NaN", "Infinity" and "-Infinity"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


def markdown_escape(text: object) -> str:
    """Text that Markdown (and the HTML inside it) shows as it stands, on one line."""
    line = " ".join(str(text).split())
    return _MARKDOWN_SPECIAL.sub(r"\\\g<0>", line)  # a "_" inside a word means nothing


def markdown_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    bold: Collection[tuple[int, int]] = (),
) -> str:
    """A Markdown table; columns whose values are all numbers are right-aligned.

    `bold` holds (row, column) of the cells in bold.
    """
    right = _numeric_columns(len(columns), rows)
    rule = ["---:" if numeric else "---" for numeric in right]
    body = [[markdown_escape(cell) for cell in row] for row in table_texts(columns, rows)]
    for r, c in bold:
        body[r][c] = f"**{body[r][c]}**"
    lines = [[markdown_escape(column) for column in columns], rule, *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned with spaces, a rule under the heading."""
    right = _numeric_columns(len(columns), rows)
    cells = [list(columns), *table_texts(columns, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    text = [
        "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])


def _numeric_columns(count: int, rows: Sequence[Sequence[object]]) -> list[bool]:
    def numeric(cell: object) -> bool:
        return is_number(cell) or (isinstance(cell, str) and cell[:1].isdigit() and "±" in cell)

    columns = [[row[i] for row in rows if row[i] is not None] for i in range(count)]
    return [bool(column) and all(map(numeric, column)) for column in columns]


def table_texts(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[str]]:
    """The rows as text, formatted by column."""
    by_column = [format_column([row[i] for row in rows]) for i in range(len(columns))]
    return [[column[r] for column in by_column] for r in range(len(rows))]
