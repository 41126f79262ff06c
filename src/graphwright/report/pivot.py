"""Models against one number of the configuration, such as the size of the training set.

A table is of runs on the same data (`data.source`, `data.split`, but for the number itself). Its
rows are models, `model.name`; what else differs between two models is how each is trained, and
needs no name. What differs within a model makes rows of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.report.blocks import Block
from graphwright.report.boards import baseline_spreads
from graphwright.report.grouping import (
    Group,
    canonical,
    data_settings,
    differing_keys,
    short_key,
    telling_settings,
)
from graphwright.report.spread import Spread, spread_texts
from graphwright.report.text import format_value, is_number

__all__ = ["Pivot", "PivotRow", "pivot_tables"]

MODEL = "model.name"


@dataclass(frozen=True, kw_only=True)
class PivotRow:
    """One model over the columns; None where there is no result. A `baseline` is no run's model."""

    label: str
    cells: tuple[Spread | None, ...]
    baseline: bool = False


@dataclass(frozen=True, kw_only=True)
class Pivot:
    """One metric of models (rows) by the values of one setting (columns).

    Attributes:
        key: dotted name of the setting.
        values: its values, ascending.
        rows: best first (by the last column that has results), baselines after the models.
    """

    title: str
    key: str
    values: tuple[float, ...]
    metric: str
    higher_is_better: bool
    rows: tuple[PivotRow, ...]

    @property
    def note(self) -> str:
        """How many seeds a cell is over."""
        seeds = {cell.count for row in self.rows for cell in row.cells if cell is not None}
        low, high = min(seeds), max(seeds)
        if high == 1:
            return "one seed"
        count = f"{high}" if low == high else f"{low} to {high}"
        return f"mean ± sample standard deviation over {count} seeds"

    @property
    def best(self) -> tuple[float, ...]:
        """The best mean of each column, NaN where there is none."""
        choose = max if self.higher_is_better else min
        columns = zip(*(row.cells for row in self.rows), strict=True)
        means = ([c.mean for c in col if c and math.isfinite(c.mean)] for col in columns)
        return tuple(choose(column, default=math.nan) for column in means)

    def columns(self) -> list[str]:
        """Headings of `text_rows`."""
        last = self.key.rsplit(".", 1)[-1]
        return ["", *(f"{last}={format_value(value)}" for value in self.values)]

    def text_rows(self) -> list[list[str]]:
        """One row of text a model; where cells differ in seeds, how many each is over."""
        cells = [cell for row in self.rows for cell in row.cells]
        counted = len({cell.count for cell in cells if cell is not None}) > 1
        texts = [
            f"{shown} (n={cell.count})" if counted and cell is not None else shown
            for cell, shown in zip(cells, spread_texts(cells), strict=True)
        ]
        width = len(self.values)
        return [[row.label, *texts[i * width : (i + 1) * width]] for i, row in enumerate(self.rows)]

    def block(self, key: str) -> Block:
        """As a table with its remarks."""
        rows = self.text_rows()
        bold = {
            (r, c + 1)
            for r, row in enumerate(self.rows)
            for c, cell in enumerate(row.cells)
            if cell is not None and cell.mean == self.best[c]
        }
        return Block(
            key=key,
            title=self.title,
            columns=self.columns(),
            rows=rows,
            notes=[self.note],
            bold=frozenset(bold),
            bold_note="Bold: the best of each column.",
        )

    def to_json(self) -> dict[str, Any]:
        """JSON values, but for numbers that are not finite."""
        rows = [
            {
                "label": row.label,
                "baseline": row.baseline,
                "cells": [
                    None if c is None else {"mean": c.mean, "sd": c.sd, "count": c.count}
                    for c in row.cells
                ],
            }
            for row in self.rows
        ]
        about = {"title": self.title, "key": self.key, "values": list(self.values)}
        ways = {"metric": self.metric, "higher_is_better": self.higher_is_better}
        return {**about, **ways, "rows": rows}


def pivot_tables(groups: Sequence[Group], primary: Mapping[str, bool]) -> tuple[Pivot, ...]:
    """A table for each data set on which models were compared at several values of a number.

    The number is the setting of which most groups, and half of all at least, have a twin that
    differs in nothing else; settings of the data come before others. A seed is none.

    Args:
        groups: of runs that differ in nothing but their seed.
        primary: name of each primary metric to whether higher is better.
    """
    key = _find_key(groups)
    if key is None:
        return ()
    with_key = [group for group in groups if is_number(group.settings.get(key))]
    data_sets = _split(with_key, lambda group: _data_set(group, key))
    titles = _titles(data_sets, key)
    tables = []
    for members, title in zip(data_sets, titles, strict=True):
        for metric, higher in primary.items():
            having = [group for group in members if metric in group.metrics]
            values = sorted({group.settings[key] for group in having})
            rows = _rows(having, key, values, metric, higher=higher)
            if len(values) > 1 and len(rows) > 1:
                tables.append(
                    Pivot(
                        title=f"{metric.replace('_', ' ')} by {key}{title}",
                        key=key,
                        values=tuple(values),
                        metric=metric,
                        higher_is_better=higher,
                        rows=tuple(rows),
                    )
                )
    return tuple(tables)


def _find_key(groups: Sequence[Group]) -> str | None:
    settings = [group.settings for group in groups]
    found = []
    for key in differing_keys(settings):
        values = [one[key] for one in settings if key in one]
        if key.endswith(("seed", "schema_version")) or not all(map(is_number, values)):
            continue
        others = [canonical({k: v for k, v in one.items() if k != key}) for one in settings]
        twins = sum(count for count in Counter(others).values() if count > 1)
        if 2 * twins >= len(groups) and twins:
            found.append((key.startswith("data."), twins, key))
    # the first of equals, in the order of the configuration
    return max(found, key=lambda entry: entry[:2])[2] if found else None


def _data_set(group: Group, key: str) -> dict[str, Any]:
    """What two runs must share to be compared with each other."""
    return {k: v for k, v in data_settings(group.settings).items() if k != key}


def _split(groups: Sequence[Group], identity: Any) -> list[list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(canonical(identity(group)), []).append(group)
    return list(found.values())


def _titles(data_sets: Sequence[Sequence[Group]], key: str) -> list[str]:
    """As many of the settings that differ as tell the data sets apart: ", path=…, metrics=…"."""
    identities = [_data_set(members[0], key) for members in data_sets]
    words = telling_settings(identities, differing_keys(identities))
    return [f" ({', '.join(told)})" if told else "" for told in words]


def _rows(
    groups: Sequence[Group], key: str, values: Sequence[float], metric: str, *, higher: bool
) -> list[PivotRow]:
    """Models best first, then the baselines that their runs tell of."""
    within = _within_models(groups, key)
    rows = []
    for members in _split(groups, lambda group: [group.settings.get(k) for k in (MODEL, *within)]):
        own = members[0].settings
        told = [f"{short_key(k, within)}={format_value(own.get(k))}" for k in within]
        by_value = {group.settings[key]: group.metrics[metric] for group in members}
        rows.append(
            PivotRow(
                label=", ".join([format_value(own.get(MODEL)), *told]),
                cells=tuple(by_value.get(value) for value in values),
            )
        )
    rows.sort(key=lambda row: _rank(row, higher))
    baselines = [
        PivotRow(label=name, cells=cells, baseline=True)
        for name, cells in _baselines(groups, key, values, metric).items()
    ]
    return rows + sorted(baselines, key=lambda row: _rank(row, higher))


def _within_models(groups: Sequence[Group], key: str) -> list[str]:
    """Settings that differ between runs of one model: the rest is that model's recipe."""
    found: dict[str, None] = {}
    for members in _split(groups, lambda group: group.settings.get(MODEL)):
        found |= dict.fromkeys(differing_keys([group.settings for group in members]))
    # in the order of the configuration, whatever model they differ in
    return [k for k in differing_keys([g.settings for g in groups]) if k in found and k != key]


def _baselines(
    groups: Sequence[Group], key: str, values: Sequence[float], metric: str
) -> dict[str, tuple[Spread | None, ...]]:
    by_value = {
        value: baseline_spreads([g for g in groups if g.settings[key] == value], metric)
        for value in values
    }
    names = dict.fromkeys(name for spreads in by_value.values() for name in spreads)
    return {name: tuple(by_value[value].get(name) for value in values) for name in names}


def _rank(row: PivotRow, higher: bool) -> tuple[int, float]:
    """Best first at the largest value that it has; those without results go last."""
    for place, cell in enumerate(reversed(row.cells)):
        if cell is not None and math.isfinite(cell.mean):
            return place, -cell.mean if higher else cell.mean
    return len(row.cells), 0.0
