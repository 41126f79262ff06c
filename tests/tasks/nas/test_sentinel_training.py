"""A table in which an eighth of the trainings diverged: 1e6 … 1e12 in the place of a loss."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from graphwright.config.compose import compose
from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.recipes import make_preset
from graphwright.tasks.nas.task import NasTask
from graphwright.tasks.nas.tiny import table_path
from graphwright.training.fit import fit_in_memory

SHARE = 0.13


def write_tables(folder: Path) -> dict[str, Path]:
    """The embedded table as losses: with sentinels, and with nothing in their place."""
    with gzip.open(table_path(), "rt") as file:
        rows = [(row["arch"], 1 - float(row["val_acc"])) for row in csv.DictReader(file)][:600]
    rng = np.random.default_rng(5)
    failed = rng.random(len(rows)) < SHARE
    sentinels = 10.0 ** rng.integers(6, 13, len(rows))
    paths = {}
    for name, mark in (("sentinels", lambda row: f"{sentinels[row]:g}"), ("empty", lambda row: "")):
        paths[name] = folder / f"{name}.csv"
        with paths[name].open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("arch", "loss"))
            for row, (arch, loss) in enumerate(rows):
                writer.writerow((arch, mark(row) if failed[row] else loss))
    return paths


def tau(path: Path, data_root: Path, *more: str) -> tuple[float, list[str]]:
    """τ on the held-out rows with a label, and what the sentinel rule said."""
    settings = [
        "data.source=table",
        f"data.source.path={path}",
        "data.source.format=tiny_cells",
        "data.source.metrics=[loss]",
        "data.source.higher_is_better=false",
        "data.labels.transform=standardise",
        "data.split.train=200",
        "data.split.val=50",
        "data.split.test=300",
        "training.epochs=40",
    ]
    task = NasTask(compose(make_preset("tiny_fr_nas"), [*settings, *more]), data_root)
    data = task.split(task.load())
    torch.manual_seed(0)
    model = fit_in_memory(task, task.build_model(data.state), data.sources["train"], seed=0)
    test = data.sources["test"]
    with torch.inference_mode():
        predicted = task.predict(model, test.batch(np.arange(len(test))))["predicted"].numpy()
    assert np.isfinite(predicted).all()
    truth = test.loaded.targets(test.rows)[:, 0]
    valid = np.isfinite(truth) & (truth < 1e3)
    return kendall_tau(predicted[valid], truth[valid]), data.summary["labels"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tables(tmp_path_factory.mktemp("tables"))


def test_sentinels_change_nothing(tables: dict[str, Path], tmp_path: Path) -> None:
    with_sentinels, told = tau(tables["sentinels"], tmp_path)
    without, _ = tau(tables["empty"], tmp_path)
    assert with_sentinels == without
    assert without > 0.5
    assert "labels are failures" in told[0]
    assert "above" in told[0]


def test_without_the_rule_they_would(tables: dict[str, Path], tmp_path: Path) -> None:
    kept, _ = tau(tables["sentinels"], tmp_path)
    spoilt, _ = tau(tables["sentinels"], tmp_path, "data.labels.sentinel.factor=0")
    assert spoilt < kept - 0.2
