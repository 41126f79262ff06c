"""Predicted against true, read from a run's `predictions.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scatter", "read_scatter"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scatter:
    """One predicted quantity; rows with a non-finite number on either side are left out.

    `target` and `predicted` are float64 of equal length, N >= 1; `dropped` counts the rows
    left out.
    """

    name: str
    label: str
    unit: str
    target: NDArray[np.float64]
    predicted: NDArray[np.float64]
    dropped: int = 0

    @property
    def mae(self) -> float:
        """Mean absolute error over the rows shown, in the unit of the target."""
        return float(np.abs(self.predicted - self.target).mean())

    @property
    def r2(self) -> float:
        """Coefficient of determination, 1 - SS_res / SS_tot; NaN for a constant target."""
        total = float(((self.target - self.target.mean()) ** 2).sum())
        residual = float(((self.predicted - self.target) ** 2).sum())
        return 1.0 - residual / total if total > 0 else float("nan")


def read_scatter(path: Path, metrics: Mapping[str, Any]) -> tuple[Scatter, ...]:
    """The pairs that the `scatter` entry of `metrics.json` names, of the split evaluated.

    Args:
        path: `predictions.parquet`.
        metrics: contents of `metrics.json`.

    Raises:
        OSError, ValueError: the file is missing or damaged, or lacks a column.
    """
    entry = metrics.get("scatter")
    if not isinstance(entry, Mapping):
        return ()
    targets, predictions = _names(entry.get("target")), _names(entry.get("predicted"))
    columns = _read_columns(path, [*targets, *predictions], metrics.get("split"))
    label, unit = str(entry.get("label") or ""), str(entry.get("unit") or "")
    pairs = zip(targets, predictions, strict=False)
    found = [_scatter(t, columns[t], columns[p], label, unit) for t, p in pairs]
    return tuple(scatter for scatter in found if scatter.target.size)


def _names(entry: object) -> list[str]:
    return [entry] if isinstance(entry, str) else [str(name) for name in entry or ()]  # type: ignore[attr-defined]


def _read_columns(path: Path, names: list[str], split: object) -> dict[str, NDArray[np.float64]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        missing = [name for name in names if name not in present]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        table = file.read(columns=[*names, *(["split"] if "split" in present else [])])
    columns = {name: table[name].to_numpy().astype(np.float64) for name in names}
    if split is None or "split" not in table.column_names:
        return columns
    chosen = np.asarray(table["split"].to_pylist(), dtype=object) == split
    # evaluated on data of the user's own: the file then has no row of the named split
    return {name: values[chosen] for name, values in columns.items()} if chosen.any() else columns


def _scatter(
    name: str,
    target: NDArray[np.float64],
    predicted: NDArray[np.float64],
    label: str,
    unit: str,
) -> Scatter:
    finite = np.isfinite(target) & np.isfinite(predicted)
    return Scatter(
        name=name.removeprefix("target_"),
        label=label,
        unit=unit,
        target=target[finite],
        predicted=predicted[finite],
        dropped=int((~finite).sum()),
    )
