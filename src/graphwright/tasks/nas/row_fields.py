"""The fields of a store that come from a table's columns and not from the graphs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.layout import Layout
from graphwright.tasks.nas.loaded import ARCH_FEATURES
from graphwright.tasks.nas.row_encoders import Encoded
from graphwright.tasks.nas.table import Rows
from graphwright.tasks.nas.table_columns import TableColumns

__all__ = ["graph_fields", "new_layout"]

Index = NDArray[np.int64]


def new_layout(space: str, columns: TableColumns, rows: Rows, encoded: Encoded) -> Layout:
    """What a store will carry, as the first graphs show it.

    A canonical id is a whole number of 32 bits where the first ones are, else 64 bits of its text;
    without a column for it, it is the space's own, where the space has one.
    """
    features = columns.features
    if encoded.features.shape[1]:
        features += tuple(name for name in ARCH_FEATURES if name not in features)
    group = "int64" if encoded.group is not None else ""
    if rows.group is not None:
        group = "int64" if len(_whole(rows.group)[1]) else "int32"
    return Layout(
        space=space,
        metrics=columns.metrics,
        features=features,
        repeats=columns.repeats,
        group=group,
        level="level" in encoded.arrays["nodes"],
        index_dtype=encoded.index_dtype,
    )


def graph_fields(
    layout: Layout, columns: TableColumns, rows: Rows, encoded: Encoded
) -> tuple[dict[str, Any], Index]:
    """The fields of the kept rows, and the rows among them whose canonical id does not fit."""
    kept, odd = encoded.kept, np.zeros(0, np.int64)
    fields: dict[str, Any] = {"row": rows.row[kept]}
    if encoded.names is not None:
        fields["name"] = encoded.names
    if layout.metrics:
        fields["target"], fields["valid"] = _targets(rows.metrics[kept])
    if layout.features:
        fields["features"] = _features(layout, columns, rows, encoded)
    if layout.repeats:
        fields["repeats"] = rows.repeats[kept]
    if layout.group and rows.group is None:
        fields["group"] = encoded.group
    elif layout.group and rows.group is not None:
        texts = [rows.group[place] for place in kept]
        fields["group"], odd = _whole(texts) if layout.group == "int32" else (_hashed(texts), odd)
    return fields, kept[odd]


def _targets(values_AT: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Labels with 0 where there is no number that float32 holds, and where there is one."""
    with np.errstate(over="ignore", invalid="ignore"):
        valid_AT = np.isfinite(values_AT.astype(np.float32))
    return np.where(valid_AT, values_AT, 0.0), valid_AT.astype(np.uint8)


def _features(
    layout: Layout, columns: TableColumns, rows: Rows, encoded: Encoded
) -> NDArray[np.float64]:
    """The table's, then those of the tracer that the table has not."""
    parts = [rows.features[encoded.kept]]
    if len(layout.features) > len(columns.features):
        own = [place for place, name in enumerate(ARCH_FEATURES) if name not in columns.features]
        parts.append(encoded.features[:, own])
    return np.concatenate(parts, axis=1)


def _whole(texts: Sequence[str]) -> tuple[Index, Index]:
    """Whole numbers of 32 bits, and the places of texts that are none (0 there)."""
    found, odd = np.zeros(len(texts), np.int64), []
    for place, text in enumerate(texts):
        try:
            found[place] = np.int32(int(text))
        except (ValueError, OverflowError):
            odd.append(place)
    return found, np.array(odd, np.int64)


def _hashed(texts: Sequence[str]) -> Index:
    """64 bits of each text: that any two of a million different ones meet has odds of 3e-8."""
    codes = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(codes, "<i8").astype(np.int64)
