"""Results of a run as `metrics.json` tells them: tables, and the one number that matters."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.report.text import format_number

__all__ = ["Headline", "Table", "as_number", "find_headline", "parse_tables"]

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of results. `highlight` is the first cell of the model's own row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    highlight: str | None = None


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The primary metric of a run beside the other rows of its table, best of them first."""

    metric: str
    label: str
    unit: str
    value: float
    higher_is_better: bool
    split: str
    model: str
    table: str = ""
    rivals: tuple[tuple[str, float], ...] = ()

    @property
    def beats_baseline(self) -> bool | None:
        """Whether the model is better than the best other row; None where there is none."""
        if not self.rivals or not math.isfinite(self.value):
            return None
        best = self.rivals[0][1]
        return self.value > best if self.higher_is_better else self.value < best

    @property
    def verdict(self) -> str:
        """The comparison with the best other row as a sentence without a full stop."""
        if not math.isfinite(self.value):
            return "not a finite number: this model is of no use"
        if not self.rivals:
            return "no baseline in the tables of this run"
        name, best = self.rivals[0]
        if self.value == best:
            return f"equal to the best baseline, {name} ({format_number(best)})"
        words = _difference(self.value, best)
        return f"{words} than the best baseline, {name} ({format_number(best)})"


def as_number(value: object) -> float | None:
    """A float from a JSON value (also "NaN" and "Infinity" as text); None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return _NON_FINITE.get(value) if isinstance(value, str) else None


def parse_tables(entries: object) -> tuple[Table, ...]:
    """The tables of `metrics.json`; entries without columns are left out, short rows padded."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return ()
    return tuple(
        _table(entry) for entry in entries if isinstance(entry, Mapping) and entry.get("columns")
    )


def find_headline(metrics: Mapping[str, Any], tables: Sequence[Table]) -> Headline | None:
    """The primary metric and its rivals.

    The column of a table that holds it is the one with exactly its value in the model's row, or
    else one with its name.

    Args:
        metrics: contents of `metrics.json`.
        tables: its parsed tables.
    """
    name = str(metrics.get("primary") or "")
    values = metrics.get("metrics")
    value = as_number(values.get(name)) if isinstance(values, Mapping) else None
    if value is None:
        return None
    higher = bool(metrics.get("higher_is_better"))
    label, unit, model, title = name.replace("_", " "), "", "this model", ""
    rivals: list[tuple[str, float]] = []
    place = _find_column(tables, name, value)
    if place is not None:
        table, own, column = place
        label, unit = _label_and_unit(table.columns[column])
        model, title = str(own[0]), table.title
        rivals = list(_rivals(table, own, column))
        rivals.sort(key=lambda rival: rival[1], reverse=higher)
    return Headline(
        metric=name,
        label=label,
        unit=unit,
        value=value,
        higher_is_better=higher,
        split=str(metrics.get("split") or "test"),
        model=model,
        table=title,
        rivals=tuple(rivals),
    )


def _table(entry: Mapping[str, Any]) -> Table:
    columns = tuple(str(column) for column in entry["columns"])
    width = len(columns)
    rows = [row for row in entry.get("rows") or [] if isinstance(row, Sequence)]
    highlight = entry.get("highlight")
    return Table(
        title=str(entry.get("title") or "Results"),
        note=str(entry.get("note") or ""),
        columns=columns,
        rows=tuple((*row[:width], *[None] * (width - len(row))) for row in rows),
        highlight=None if highlight is None else str(highlight),
    )


def _own_row(table: Table) -> tuple[Any, ...] | None:
    return next((row for row in table.rows if str(row[0]) == table.highlight), None)


def _find_column(
    tables: Sequence[Table], metric: str, value: float
) -> tuple[Table, tuple[Any, ...], int] | None:
    places = [
        (table, row, column)
        for table in tables
        if (row := _own_row(table)) is not None
        for column in range(1, len(table.columns))
    ]
    for table, row, column in places:
        cell = as_number(row[column])
        if cell is not None and math.isclose(cell, value, rel_tol=1e-6):
            return table, row, column
    wanted = _words(metric)
    for table, row, column in places:
        # the same name with a very different value is another quantity (another split, say)
        cell = as_number(row[column])
        near = cell is not None and math.isclose(cell, value, rel_tol=0.01)
        if _words(table.columns[column]) >= wanted and (near or not math.isfinite(value)):
            return table, row, column
    return None


def _rivals(table: Table, own: tuple[Any, ...], column: int) -> Iterator[tuple[str, float]]:
    for row in table.rows:
        number = as_number(row[column])
        if row is not own and number is not None and math.isfinite(number):
            yield str(row[0]), number


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def _label_and_unit(column: str) -> tuple[str, str]:
    found = re.fullmatch(r"\s*(.+?)\s*[(\[]([^()\[\]]+)[)\]]\s*", column)
    return (found[1], found[2]) if found else (column, "")


def _difference(value: float, best: float) -> str:
    """ "22.7× lower", "12 % higher"; a plain difference where a ratio means nothing."""
    way = "higher" if value > best else "lower"
    large, small = max(value, best), min(value, best)
    if small <= 0:
        return f"{format_number(large - small, 3)} {way}"
    ratio = large / small
    if ratio >= 1.995:
        return f"{format_number(ratio, 3)}× {way}"
    percent = abs(value - best) / best * 100
    return f"{percent:.2g} % {way}" if percent < 99.5 else f"{ratio:.2f}× {way}"
