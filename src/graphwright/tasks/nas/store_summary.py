"""What is in a store, for its attributes: `graphwright data inspect` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.packed import PackedGraphs
from graphwright.tasks.nas.interning import Interner
from graphwright.tasks.nas.layout import Layout

__all__ = ["summarise"]

_ROWS = 1 << 20


def summarise(store: PackedGraphs, layout: Layout, interner: Interner) -> dict[str, Any]:
    """Operations with their counts, metrics with range and gaps, features, hyperparameters.

    Args:
        store: with the fields of `layout`.
        layout: names of its columns.
        interner: types and hyperparameters.
    """
    ops = interner.ops
    found: dict[str, Any] = {
        "space": layout.space,
        "ops": ops,
        "operations": dict(zip(ops, _counts(store, len(ops)), strict=True)),
    }
    if layout.metrics:
        found["metrics"] = {
            name: _range(target, "failures") for name, target in _metrics(store, layout)
        }
    for field, names in (("features", layout.features), ("repeats", layout.repeats)):
        if names:
            values = store.column(field).numpy()
            ranges = [_range(values[:, place], "missing") for place in range(len(names))]
            found[field] = dict(zip(names, ranges, strict=True))
    if layout.group:
        found["groups"] = len(np.unique(store.column("group").numpy()))
    if layout.traced:
        found["hyperparameters"] = interner.names
        found["hyperparameter_rows"] = len(interner.table())
    return found


def _counts(store: PackedGraphs, types: int) -> list[int]:
    """How often each operation occurs."""
    op, total = store.column("op").numpy(), np.zeros(types, np.int64)
    for start in range(0, len(op), _ROWS):
        total += np.bincount(op[start : start + _ROWS], minlength=types)
    counts: list[int] = total.tolist()
    return counts


def _metrics(store: PackedGraphs, layout: Layout) -> Iterator[tuple[str, NDArray[np.float32]]]:
    target, valid = store.column("target").numpy(), store.column("valid").numpy()
    for place, name in enumerate(layout.metrics):
        yield name, np.where(valid[:, place] > 0, target[:, place], np.float32(np.nan))


def _range(values: NDArray[np.float32], gaps: str) -> dict[str, Any]:
    """Smallest, median and largest number, and how many rows have none."""
    known = values[np.isfinite(values)]
    shown = np.quantile(known, [0, 0.5, 1]).tolist() if len(known) else [None] * 3
    names = ("min", "median", "max")
    return dict(zip(names, shown, strict=True)) | {gaps: len(values) - len(known)}
