"""The report of a predictor: what is measured, what is left out, what stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphwright.errors import DataError
from graphwright.report.predictions import read_scatter
from graphwright.report.results import find_headline, parse_tables
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.baselines import Labelled
from graphwright.tasks.nas.evaluation import Asked, column_name, evaluate_predictor
from graphwright.tasks.nas.metrics import ranking_metrics
from graphwright.tasks.nas.noise_ceiling import Ceiling

OPS = ("input", "output", "conv", "pool")


def split(count: int, seed: int, failed: int = 0, metrics: int = 1) -> Labelled:
    """Chains of three operations; the label grows with the number of convolutions."""
    rng = np.random.default_rng(seed)
    middles = rng.integers(2, 4, size=(count, 3))
    target = (middles == 2).sum(axis=1) + rng.random(count)
    targets = np.stack([target, *[-target] * (metrics - 1)], axis=1)
    valid = np.ones((count, metrics), bool)
    valid[:failed] = False
    ops = np.concatenate([np.zeros((count, 1)), middles, np.ones((count, 1))], axis=1)
    edges = np.tile([[0, 1, 2, 3], [1, 2, 3, 4]], (1, count))
    cells = Cells(
        ops.astype(np.uint8).ravel(), np.full(count, 5), np.full(count, 4), edges.astype(np.uint8)
    )
    return Labelled(
        names=[f"cell{i}" for i in range(count)],
        target_AT=np.where(valid, targets, 1e12),
        valid_AT=valid,
        cells=cells,
        features_AF=target[:, None],
    )


def asked(**changes: Any) -> Asked:
    settings = {"model": "gin", "metrics": ("acc",), "higher_is_better": True, "ops": OPS}
    return Asked(**(settings | {"features": ("params",)} | changes))


def predicted(test: Labelled, seed: int = 0) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 0.3, len(test.names))
    good = np.where(test.valid_AT[:, 0], test.target_AT[:, 0], 0.0) + noise
    return {"predicted": good, "sd": np.full(len(good), 0.3)}


def test_failed_trainings_change_no_metric_and_are_counted() -> None:
    test = split(80, 1, failed=10)
    columns = predicted(test)
    evaluation = evaluate_predictor(columns, test, split(40, 2), asked())
    report = evaluation.report
    good = ranking_metrics(columns["predicted"][10:], test.target_AT[10:, 0], higher_is_better=True)
    assert {key: report["metrics"][key] for key in good} == pytest.approx(good)
    assert report["failed"] == {"acc": 10}
    assert "10 without a valid label" in report["tables"][0]["note"]
    assert np.isnan(evaluation.predictions["target"][:10]).all()
    assert not evaluation.predictions["valid"][:10].any()
    assert set(report["metrics"]) >= {"rmse", "mae", "r2", "nll", "coverage_1sd", "coverage_2sd"}
    json.dumps(report, allow_nan=False)


def test_the_report_is_what_pages_and_comparisons_read(tmp_path: Path) -> None:
    test = split(80, 1, failed=3)
    ceiling = Ceiling(agreement=0.9, agreement_sd=0.01, perfect=0.95, count=80, how="Twins.")
    evaluation = evaluate_predictor(
        predicted(test), test, split(40, 2), asked(ceilings=(ceiling,), sentinel=("acc: none",))
    )
    report = evaluation.report
    tables = parse_tables(report["tables"])
    head = find_headline(report, tables)
    assert head is not None
    assert (head.label, head.higher_is_better) == ("Kendall τ", True)
    assert head.value == report["metrics"]["kendall_tau"]
    # the ceiling is no rival
    assert {name for name, _ in head.rivals} == {
        "random forest, adjacency",
        "random forest, paths",
        "params alone",
        "mean of the training labels",
    }
    assert dict(head.rivals)["mean of the training labels"] == 0.0
    assert [row[0] for row in tables[1].rows] == ["two trainings", "perfect predictor (simulated)"]
    for words in ("Label: acc (higher is better), 77", "same 40 training labels", "acc: none."):
        assert words in tables[0].note
    pq.write_table(pa.table(evaluation.predictions), tmp_path / "p.parquet")
    (scatter,) = read_scatter(tmp_path / "p.parquet", report)
    assert (len(scatter.target), scatter.dropped) == (77, 3)


def test_an_order_has_no_errors() -> None:
    test = split(80, 1)
    columns = {"predicted": 1000 * predicted(test)["predicted"]}
    report = evaluate_predictor(columns, test, split(40, 2), asked(in_units=False)).report
    assert "rmse" not in report["metrics"]
    assert report["tables"][0]["rows"][0][-1] is None  # the forests have one
    assert report["tables"][0]["rows"][1][-1] is not None
    assert report["scatter"]["predicted"] == ["rank"]
    assert "an order, not labels" in report["tables"][0]["note"]


def test_lower_is_better_and_its_ranks() -> None:
    test = split(80, 1)
    columns = predicted(test)
    lower = evaluate_predictor(columns, test, split(40, 2), asked(higher_is_better=False))
    assert lower.report["metrics"]["kendall_tau"] > 0.5  # the labels' own direction
    assert lower.report["higher_is_better"] is True  # of τ
    assert lower.predictions["rank"].argmin() == columns["predicted"].argmin()
    regret = lower.report["metrics"]["regret_at_5"]
    first = np.argsort(columns["predicted"])[:5]
    assert regret == pytest.approx(test.target_AT[first, 0].min() - test.target_AT[:, 0].min())


def test_several_metrics_have_a_table_each() -> None:
    test, names = split(80, 1, metrics=2), ("acc", "loss")
    columns = predicted(test)
    columns[column_name("predicted", names, 1)] = -columns["predicted"]
    evaluation = evaluate_predictor(columns, test, split(40, 2, metrics=2), asked(metrics=names))
    metrics = evaluation.report["metrics"]
    assert metrics["loss_kendall_tau"] == pytest.approx(metrics["kendall_tau"])
    titles = [table["title"] for table in evaluation.report["tables"]]
    assert titles == [f"Ranking of the test architectures: {name}" for name in names]
    assert {"target_loss", "predicted_loss"} <= set(evaluation.predictions)


def test_a_second_metric_without_labels_is_passed_over() -> None:
    test = split(30, 1, metrics=2)
    test.valid_AT[:, 1] = False
    columns = predicted(test) | {"predicted_loss": np.zeros(30)}
    train = split(40, 2, metrics=2)
    report = evaluate_predictor(columns, test, train, asked(metrics=("acc", "loss"))).report
    assert len(report["tables"]) == 1
    assert report["failed"] == {"acc": 0, "loss": 30}


def test_feasibility_is_measured_over_all_rows() -> None:
    test = split(80, 1, failed=20)
    columns = predicted(test) | {"p_feasible": test.valid_AT[:, 0] * 0.8 + 0.1}
    report = evaluate_predictor(columns, test, split(40, 2), asked()).report
    assert report["metrics"]["feasibility_auroc"] == 1.0
    whole = split(20, 1)
    columns = predicted(whole) | {"p_feasible": np.ones(20)}
    report = evaluate_predictor(columns, whole, split(40, 2), asked()).report
    assert "feasibility_auroc" not in report["metrics"]


def test_without_training_data_there_are_no_baselines() -> None:
    test = split(30, 1)
    unknown = (Ceiling(how="None known: one training each."),)
    report = evaluate_predictor(predicted(test), test, None, asked(ceilings=unknown)).report
    (table,) = report["tables"]
    assert [row[0] for row in table["rows"]] == ["gin"]
    assert "No baselines" in table["note"]
    assert "None known" in table["note"]
    assert "precision@50" not in table["columns"]  # of thirty


def test_a_single_member_claims_no_spread() -> None:
    test = split(30, 1)
    columns = predicted(test) | {"sd": np.zeros(30)}
    report = evaluate_predictor(columns, test, None, asked()).report
    assert "nll" not in report["metrics"]


def test_too_few_labels_is_an_error() -> None:
    test = split(10, 1, failed=9)
    with pytest.raises(DataError, match="1 of 10 architectures of the test split"):
        evaluate_predictor(predicted(test), test, None, asked())
