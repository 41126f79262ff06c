"""Models by the size of the training set: which runs share a table, a row and a cell."""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphwright.report.compare import compare
from graphwright.report.page import write_report

CONFIG: dict[str, Any] = {
    "task": "nas",
    "seed": 0,
    "data": {
        "source": {"kind": "table", "path": "cells.csv", "metrics": ["acc"]},
        "graph": {"prune": False},
        "split": {"train": 50, "test": 5000, "by": "random", "seed": None},
    },
    "model": {"name": "gin", "width": 32},
    "training": {"epochs": 300},
    "loss": {"name": "mse"},
}
RECIPES: dict[str, dict[str, Any]] = {
    "gin": {},
    "gcn": {"training.epochs": 100, "loss.name": "hinge", "data.graph.prune": True},
}


@pytest.fixture
def nas_run(tmp_path: Path) -> Callable[..., Path]:
    """`nas_run("gin", 50, seed, tau)`: a finished run; further settings by dotted name."""
    count = iter(range(1000))

    def make(
        model: str, train: int, seed: int, tau: float | None, forest: float = 0.4, **more: Any
    ) -> Path:
        config = copy.deepcopy(CONFIG)
        config["seed"] = seed
        changes = {"data.split.train": train, "model.name": model, **RECIPES[model], **more}
        for key, value in changes.items():
            *parents, last = key.split(".")
            part = config
            for parent in parents:
                part = part[parent]
            part[last] = value
        folder = tmp_path / "runs" / "nas" / model / f"run_{next(count):03d}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        if tau is not None:
            rows = [[model, tau], ["forest", forest]]
            table = {"title": "T", "columns": ["model", "Kendall τ"], "rows": rows}
            metrics = {
                "task": "nas",
                "primary": "kendall_tau",
                "higher_is_better": True,
                "metrics": {"kendall_tau": tau},
                "tables": [{**table, "highlight": model}],
            }
            (folder / "metrics.json").write_text(json.dumps(metrics))
        return folder

    return make


@pytest.fixture
def grid(nas_run: Callable[..., Path]) -> list[Path]:
    """Two models, two sizes, three seeds."""
    return [
        nas_run(model, train, seed, base + train / 1000 + seed / 100, forest=0.3 + seed / 100)
        for model, base in (("gcn", 0.4), ("gin", 0.5))
        for train in (400, 50)
        for seed in range(3)
    ]


def labels(rows: Sequence[Any]) -> list[str]:
    return [row.label for row in rows]


def test_rows_are_models_columns_are_sizes_cells_are_over_seeds(grid: list[Path]) -> None:
    (pivot,) = compare(grid).pivots
    assert (pivot.key, pivot.values, pivot.metric) == ("data.split.train", (50, 400), "kendall_tau")
    assert labels(pivot.rows) == ["gin", "gcn", "forest"]  # recipes of their own, but one row each
    gin = pivot.rows[0].cells[0]
    assert gin is not None
    assert gin.mean == pytest.approx(0.56)
    assert gin.sd == pytest.approx(statistics.stdev([0.55, 0.56, 0.57]))
    assert gin.count == 3
    assert pivot.best == pytest.approx((0.56, 0.91))
    assert pivot.title == "kendall tau by data.split.train"


def test_baselines_of_a_seed_count_once(grid: list[Path]) -> None:
    forest = compare(grid).pivots[0].rows[-1]
    assert forest.baseline
    assert [cell.count for cell in forest.cells if cell] == [3, 3]  # not six: two models a seed
    assert forest.cells[0] is not None
    assert forest.cells[0].mean == pytest.approx(0.31)


def test_text_markdown_json_and_page_have_the_table(grid: list[Path], tmp_path: Path) -> None:
    comparison = compare(grid)
    for shown in (comparison.to_text(), comparison.to_markdown()):
        assert "train=50" in shown
        assert "0.560 ± 0.010" in shown
        assert "over 3 seeds" in shown
    assert "| gin | **0.560 ± 0.010** | **0.910 ± 0.010** |" in comparison.to_markdown()
    tree = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert tree["pivots"][0]["values"] == [50, 400]
    assert tree["pivots"][0]["rows"][1]["cells"][1]["count"] == 3
    page = write_report(grid, tmp_path / "page.html").read_text()
    assert '<section id="pivots"' in page
    assert '<a href="#pivots">' in page
    assert "<b>0.910 ± 0.010</b>" in page


def test_other_data_make_another_table(grid: list[Path], nas_run: Callable[..., Path]) -> None:
    other = [
        nas_run(model, train, 0, 0.7, **{"data.source.path": "other.csv", "data.split.test": 250})
        for model in ("gin", "gcn")
        for train in (50, 100)
    ]
    apart = [
        nas_run(model, train, 0, 0.6, **{"data.split.by": "group"})
        for model in ("gin", "gcn")
        for train in (50, 400)
    ]
    pivots = compare([*grid, *other, *apart]).pivots
    assert {pivot.values for pivot in pivots} == {(50, 400), (50, 100)}
    assert sorted(pivot.title.split("train ")[1] for pivot in pivots) == [
        "(path=cells.csv, by=group)",
        "(path=cells.csv, by=random)",
        "(path=other.csv, by=random)",
    ]


def test_what_varies_within_a_model_makes_rows(nas_run: Callable[..., Path]) -> None:
    runs = [
        nas_run("gin", train, 0, 0.1 * width / 16 + train / 1000, **{"model.width": width})
        for width in (16, 32)
        for train in (50, 100)
    ]
    runs += [nas_run("gcn", 50, 0, 0.9)]
    (pivot,) = compare(runs).pivots
    assert labels(pivot.rows) == ["gin, width=32", "gin, width=16", "gcn, width=32", "forest"]
    assert pivot.rows[2].cells[1] is None
    assert pivot.text_rows()[2][1:] == ["0.9000", "–"]
    assert pivot.note == "one seed"


def test_unequal_seeds_are_told_in_every_cell(
    grid: list[Path], nas_run: Callable[..., Path]
) -> None:
    pivot = compare([*grid, nas_run("gcn", 100, 0, 0.5)]).pivots[0]
    assert pivot.text_rows()[1][1:] == ["0.460 ± 0.010 (n=3)", "0.500 (n=1)", "0.810 ± 0.010 (n=3)"]
    assert "1 to 3 seeds" in pivot.note


def test_a_run_without_results_leaves_a_hole(nas_run: Callable[..., Path]) -> None:
    runs = [nas_run("gin", n, 0, 0.5) for n in (50, 100)]
    runs += [nas_run("gcn", 50, 0, 0.4), nas_run("gcn", 100, 0, None)]
    (pivot,) = compare(runs).pivots
    assert labels(pivot.rows) == ["gin", "gcn", "forest"]
    assert pivot.rows[1].cells[1] is None


def test_one_model_beside_its_baselines_is_a_table(nas_run: Callable[..., Path]) -> None:
    (pivot,) = compare([nas_run("gin", n, 0, 0.5) for n in (50, 100)]).pivots
    assert labels(pivot.rows) == ["gin", "forest"]


def test_no_table_without_two_values(nas_run: Callable[..., Path]) -> None:
    models = [nas_run(model, 50, 0, 0.5) for model in RECIPES]
    seeds = [
        nas_run(model, 50, seed, 0.5, **{"data.split.seed": seed})
        for model in RECIPES
        for seed in (0, 1)
    ]
    for runs in (models, seeds):
        assert compare(runs).pivots == ()
