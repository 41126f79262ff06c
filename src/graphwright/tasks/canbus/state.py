"""What is fitted on the benign training windows before any training: ids and scales, as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray
from graphwright.errors import DataError
from graphwright.tasks.canbus.models.relative import relative_statistics

__all__ = ["fit_state"]

_CHUNK = 4096


def fit_state(store: PackedGraphs, benign: IndexArray, *, id_free: bool) -> dict[str, Any]:
    """Known ids; mean and standard deviation of node and edge features and window statistics.

    Args:
        store: windows.
        benign: places of the benign training windows.
        id_free: ids are withheld from models.

    Raises:
        DataError: there is no benign training window.
    """
    if not len(benign):
        raise DataError(
            "there is no benign training window to learn what is normal from",
            fix="put an attack-free capture into a folder train_*",
        )
    ids: set[int] = set()
    moments = {name: _Moments() for name in ("node", "edge", "stats", "relative")}
    for start in range(0, len(benign), _CHUNK):
        batch = store.batch(benign[start : start + _CHUNK])
        ids |= set(np.unique(batch.nodes["id"].numpy()).tolist())
        moments["node"].add(batch.nodes["x"].numpy())
        moments["edge"].add(batch.edges["edge_x"].numpy())
        stats_BS: torch.Tensor = batch.graphs["stats"]
        moments["stats"].add(stats_BS.numpy())
        moments["relative"].add(relative_statistics(stats_BS.double()).numpy())
    scales = {
        f"{name}_{kind}": values
        for name, found in moments.items()
        for kind, values in zip(("mean", "sd"), found.result(), strict=True)
    }
    return {"ids": sorted(ids), "id_free": id_free, **scales}


class _Moments:
    """Mean and standard deviation in one pass over chunks (Chan, Golub & LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0, np.zeros(0), np.zeros(0)

    def add(self, rows: np.ndarray) -> None:
        values = rows.astype(np.float64)
        if not len(values):
            return
        mean = values.mean(0)
        square = ((values - mean) ** 2).sum(0)
        if self.count == 0:
            self.count, self.mean, self.square = len(values), mean, square
            return
        total, shift = self.count + len(values), mean - self.mean
        self.square += square + shift**2 * self.count * len(values) / total
        self.mean, self.count = self.mean + shift * len(values) / total, total

    def result(self) -> tuple[list[float], list[float]]:
        return self.mean.tolist(), np.sqrt(self.square / max(self.count, 1)).tolist()
