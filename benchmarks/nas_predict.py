"""Ranking every cell of NAS-Bench-101, 423,624 of them, end to end.

Timed: the cells from the cached enumeration, the encoding, the predictions, and the order from best
to worst. The enumeration itself is timed apart, and only where --cache does not hold it yet. The
predictors are trained on 400 cells first (few epochs: that changes no time), which is not timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _harness import Case, interleaved, report
from graphwright.tasks.nas.recipes import make_preset
from graphwright.tasks.nas.search.config import GuideConfig
from graphwright.tasks.nas.search.gnn_predictor import GnnPredictor
from graphwright.tasks.nas.search.pools import Pool
from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.spaces.nasbench101_all import COUNT, all_cells
from graphwright.tasks.nas.store import open_or_build
from graphwright.training.allocator import set_allocator

TABLE = Path(__file__).resolve().parents[2] / "shared/data/nas/nasbench101_20k.csv.gz"
SPACE = "nasbench101"
TRAIN = 400


def labelled(table: Path, folder: Path) -> tuple[list[str], np.ndarray, str]:
    """400 cells with their accuracy; without the table, random cells with random labels."""
    rng = np.random.default_rng(0)
    if not table.is_file():
        texts = get_space(SPACE).sample(TRAIN, rng)
        return texts, rng.normal(size=TRAIN), "random cells and labels: the table is not there"
    data = make_preset(SPACE).data
    loaded = open_or_build(replace(data, source=replace(data.source, path=str(table))), folder)
    rows = rng.choice(len(loaded), TRAIN, replace=False)
    return loaded.names(rows), loaded.targets(rows)[:, 0], table.name


def ranking(predictor: GnnPredictor, cache: Path) -> Callable[[], np.ndarray]:
    """Everything that is timed: from the cache to the order of all cells."""

    def run() -> np.ndarray:
        cells = all_cells(cache)
        # nothing here reads the texts or the keys of a pool
        pool = Pool(SPACE, range(len(cells)), np.empty(0, np.str_), cells)  # type: ignore[arg-type]
        mean = predictor.predict(pool).mean
        return np.argsort(-mean, kind="stable")

    return run


def run(options: Any, folder: Path) -> list[Case]:
    """Both predictors, in turns."""
    cases = []
    start = time.perf_counter()
    fresh = not any(options.cache.glob("nasbench101_keys*"))
    all_cells(options.cache)
    if fresh:
        cases.append(Case("enumeration", "s", time.perf_counter() - start, note="once, then kept"))
    texts, values, where = labelled(options.table, folder)
    runs = {}
    for recipe in ("fr_nas", "dag_ensemble"):
        predictor = GnnPredictor(GuideConfig(recipe=recipe, epochs=options.epochs), SPACE)
        predictor.fit(texts, values, seed=0)
        runs[recipe] = ranking(predictor, options.cache)
    seconds = interleaved(list(runs.values()), repeats=options.repeats, warmup=1)
    for (recipe, rank), taken in zip(runs.items(), seconds, strict=True):
        whole = bool((np.sort(rank()) == np.arange(COUNT)).all())
        note = f"{COUNT / taken:,.0f} cells a second; trained on {where}"
        cases.append(Case(f"{recipe}/all_cells", "s", taken, equal=whole, note=note))
    return cases


def main() -> None:
    """Train, rank, report."""
    set_allocator("keep")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--cache", type=Path, default=None, help="folder of the enumeration")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        options.cache = options.cache or Path(folder)
        report("nas_predict", run(options, Path(folder)), options)


if __name__ == "__main__":
    main()
