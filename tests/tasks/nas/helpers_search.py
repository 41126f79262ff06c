"""A cheap predictor, a made-up table and a trainer for tests of the search.

Also a program: `python helpers_search.py FOLDER` runs the search in a folder with that predictor.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.search.config import PoolConfig, SearchConfig, TableTrainer
from graphwright.tasks.nas.search.pools import FixedSource, Pool, pool_of_texts
from graphwright.tasks.nas.search.predictor import Prediction
from graphwright.tasks.nas.spaces import get_space

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = np.array([0.0, 0.6, 1.0, 1.4, 0.5])
PLACES = np.array([1.0, 0.7, 1.1, 1.3, 0.9, 1.2])


def codes_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """Six operations of each cell `[A, 6]`."""
    cells, bad = get_space("nasbench201").encode(texts)
    assert not bad
    return cells.ops.reshape(-1, 8)[:, 1:7].astype(np.int64) - 2


def accuracy(text: str) -> float:
    """A smooth function of the operations, with one best cell."""
    codes_6 = codes_of([text])[0]
    return float(50 + 5 * (WEIGHTS[codes_6] * PLACES).sum() + 0.01 * codes_6[0])


class NearestNeighbours:
    """Mean of the three nearest in one-hot operations; members see parts of the data."""

    def __init__(self) -> None:
        self.fits: list[tuple[int, int]] = []

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], seed: int) -> None:
        known = np.isfinite(values_N)
        self._codes_N6 = codes_of(list(texts))[known]
        self._values_N = values_N[known]
        self._parts = np.random.default_rng(seed).random((3, known.sum())) < 0.8
        self._parts[:, :3] = True
        self.fits.append((len(texts), int(known.sum())))

    def predict(self, pool: Pool) -> Prediction:
        codes_P6 = codes_of(pool.texts)
        members = []
        for part in self._parts:
            distance_PN = (codes_P6[:, None] != self._codes_N6[part][None]).sum(axis=2)
            nearest_PK = np.argsort(distance_PN, axis=1, kind="stable")[:, :3]
            members.append(self._values_N[part][nearest_PK].mean(axis=1))
        return Prediction(np.stack(members))


def small_pool(count: int = 300) -> Pool:
    """Some cells of NAS-Bench-201."""
    texts = get_space("nasbench201").sample(count, np.random.default_rng(5))  # type: ignore[attr-defined]
    return pool_of_texts("nasbench201", texts)


def small_source(count: int = 300) -> FixedSource:
    """A pool that is the same in every round."""
    return FixedSource(small_pool(count))


def write_table(path: Path, count: int = 300) -> Path:
    """A CSV of cells with an accuracy and a test accuracy; every 50th has no value."""
    lines = ["arch,val,test"]
    for row, text in enumerate(small_pool(count).texts):
        value = "" if row % 50 == 7 else f"{accuracy(text):.4f}"
        lines.append(f"{text},{value},{accuracy(text) - 1:.4f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def table_config(path: Path, **changes: object) -> SearchConfig:
    """A quick search on such a table."""
    trainer = TableTrainer(path=str(path), metric="val", test_metric="test", arch=("arch",))
    quick: dict[str, object] = {"initial": 10, "batch": 5, "budget": 30, "population": 10}
    return SearchConfig(
        trainer=trainer,
        pool=PoolConfig(kind="table"),
        **{**quick, "sample": 3, **changes},  # type: ignore[arg-type]
    )


def slow_train(text: str, seed: int) -> float:
    """A trainer that takes a moment, notes each call, and sometimes fails."""
    with Path(os.environ["CALLS"]).open("a") as file:
        file.write(f"{text}\n")
    time.sleep(0.02)
    codes_6 = codes_of([text])[0]
    if codes_6.sum() % 11 == 3:
        raise ValueError("this one diverges")
    return accuracy(text)


def generate() -> list[str]:
    """The texts of a user's own generator."""
    return list(small_pool(120).texts)


def generate_modules() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Networks of the user's own, with their names."""
    from torch import nn

    def build(width: int, depth: int) -> nn.Module:
        layers = [nn.Linear(8, width), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 2))

    for width in (4, 8, 16, 32, 64):
        for depth in range(6):
            yield f"{width}x{depth}", partial(build, width, depth)


if __name__ == "__main__":
    from graphwright.tasks.nas.search.run import run_search

    run_search(Path(sys.argv[1]), Path(sys.argv[1]) / "data", NearestNeighbours())
