"""Predictions as JSON: one object for each row, with the columns of `graphwright predict`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphwright.training.task import Columns

__all__ = ["answer_json"]

_TOLD = 1000  # rejected rows that are listed; all are counted


def answer_json(
    names: Sequence[str],
    columns: Columns,
    rejected: Sequence[tuple[str, str]],
    model: Mapping[str, Any],
) -> bytes:
    """The body of an answer. Floats are exact; what is not finite is null, which JSON can say.

    Args:
        names: of the samples.
        columns: one array a quantity, one row a sample.
        rejected: (where, reason) of rows that could not be predicted.
        model: which model it was.
    """
    values = [_plain(column) for column in columns.values()]
    keys = ("id", *columns)
    rows = [dict(zip(keys, row, strict=True)) for row in zip(names, *values, strict=True)]
    told = [{"where": where, "reason": reason} for where, reason in rejected[:_TOLD]]
    content = {
        "model": model,
        "rows": rows,
        "rejected": told,
        "rejected_count": len(rejected),
    }
    return json.dumps(content, allow_nan=False).encode()


def _plain(column: np.ndarray) -> list[Any]:
    values: list[Any] = column.tolist()
    if column.dtype.kind != "f" or np.isfinite(column).all():
        return values
    return [
        value if finite else None for value, finite in zip(values, np.isfinite(column), strict=True)
    ]
