"""Reports of held-out gene sets: rows, intervals, noise ceiling, words."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.report.results import find_headline, parse_tables
from graphwright.runs.files import read_json
from graphwright.tasks.genes.bootstrap import intervals
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.evaluation import Asked, evaluate_sets
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.metrics import pearson
from graphwright.tasks.genes.replicates import replicate_ceiling

GENES = 40
ASKED = Asked(model="gin", num_genes=GENES, label="eps", mlp=False, resamples=60)


def make(seed: int, count: int = 400) -> LabelledSets:
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 4, size=count)
    genes = [np.sort(rng.choice(GENES, n, replace=False)) for n in size]
    return LabelledSets(
        gene_index=np.concatenate(genes).astype(np.int64),
        gene_ptr=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        label=rng.normal(size=count),
        pair=rng.integers(20, size=count).astype(np.int64),
    )


def evaluated(asked: Asked = ASKED, noise: float = 0.5, with_train: bool = True):
    test, train = make(1), make(2)
    predicted = test.label + noise * np.random.default_rng(0).normal(size=len(test))
    if asked.calls:
        test = replace(test, label=(test.label > 1) + 0.0)
        train = replace(train, label=(train.label > 1) + 0.0)
    names = [f"set {i}" for i in range(len(test))]
    return evaluate_sets(
        {"predicted": predicted}, test, train if with_train else None, names, asked
    )


def test_report_has_the_model_beside_every_null(tmp_path) -> None:
    found = evaluated()
    report = found.report
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(report))  # nothing but JSON in it
    tables = parse_tables(read_json(path)["tables"])
    assert [row[0] for row in tables[0].rows] == [
        "gin", "train mean", "query mean", "per-gene ridge", "ridge + query",
    ]  # fmt: skip
    headline = find_headline(report, tables)
    assert headline is not None
    assert headline.beats_baseline
    assert headline.value == report["metrics"]["pearson"] == pytest.approx(0.89, abs=0.03)
    assert len(headline.rivals) == 4
    metrics = report["metrics"]
    assert metrics["pearson_low"] < metrics["pearson"] < metrics["pearson_high"]
    assert metrics["pearson_above_nulls"] == pytest.approx(
        metrics["pearson"] - max(value for _, value in headline.rivals)
    )


def test_sizes_have_rows_of_their_own() -> None:
    tables = {table["title"]: table for table in evaluated().report["tables"]}
    rows = tables["By size of the set"]["rows"]
    assert sum(row[1] for row in rows if row[0].startswith("gin,")) == 400
    assert {row[0] for row in rows if row[0].startswith("gin,")} == {"gin, 2 genes", "gin, 3 genes"}


def test_predictions_are_kept_beside_labels() -> None:
    columns = evaluated().predictions
    assert columns["id"][0] == "set 0"
    assert pearson(columns["predicted"], columns["target"]) > 0.8
    assert set(columns["split"]) == {"test"}


def test_calls_are_said_to_be_assumed() -> None:
    report = evaluated(replace(ASKED, calls=True, rule=SplitConfig(by="pair_disjoint"))).report
    assert report["primary"] == "average_precision"
    assert "assumed to be negatives" in report["tables"][0]["note"]
    assert report["tables"][0]["rows"][-1][0] == "share of calls"
    assert 0.9 < report["metrics"]["auroc"] <= 1
    assert "whole query groups" in report["tables"][1]["note"]
    assert find_headline(report, parse_tables(report["tables"])).beats_baseline
    assert "scatter" not in report


def test_without_training_sets_there_are_no_nulls() -> None:
    report = evaluated(with_train=False).report
    assert len(report["tables"][0]["rows"]) == 1
    assert "No nulls" in report["tables"][0]["note"]
    assert "pearson_above_nulls" not in report["metrics"]


def test_predictions_must_be_one_a_set() -> None:
    test = make(1)
    with pytest.raises(DataError, match="399 predictions"):
        evaluate_sets({"predicted": test.label[1:]}, test, None, ["x"] * 400, ASKED)


def test_intervals_cover_the_true_correlation_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        label = rng.normal(size=150)
        predicted = {"own": 0.6 * label + 0.8 * rng.normal(size=150)}
        found = intervals(predicted, label, "own", pearson, resamples=100, seed=1)["own"]
        hits += found.low <= 0.6 <= found.high
        assert found.above_low == found.above_high == 0
    assert hits >= 50


def test_whole_groups_make_wider_intervals_where_groups_differ() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 40)
    shift = rng.normal(size=10)[group]
    label = shift + 0.2 * rng.normal(size=400)
    predicted = {"own": shift + rng.normal(size=10)[group] + 0.2 * rng.normal(size=400)}
    alone = intervals(predicted, label, "own", pearson)["own"]
    whole = intervals(predicted, label, "own", pearson, group_S=group)["own"]
    assert whole.high - whole.low > 2 * (alone.high - alone.low)


def test_replicate_ceiling_finds_the_noise_that_was_put_in() -> None:
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=4000), 0.75
    rows = truth[:, None] + noise * rng.normal(size=(4000, 2))
    found = replicate_ceiling(rows.mean(1), np.full(4000, 2), rows.std(1, ddof=1))
    assert found.noise == pytest.approx(noise, rel=0.03)
    assert found.agreement == pytest.approx(np.corrcoef(rows.T)[0, 1], abs=0.02)
    assert found.perfect == pytest.approx(np.corrcoef(truth, rows[:, 0])[0, 1], abs=0.02)
    asked = replace(ASKED, ceiling=found)
    titles = [table["title"] for table in evaluated(asked).report["tables"]]
    assert titles[-1] == "Replicate ceiling"


def test_too_few_repeats_tell_nothing() -> None:
    few = replicate_ceiling(np.zeros(20), np.array([2] * 5 + [1] * 15), np.full(20, 0.1))
    assert few.agreement is None
    assert "only 5" in few.how
    assert replicate_ceiling(np.zeros(3), None, None).perfect is None
    note = evaluated(replace(ASKED, ceiling=few)).report["tables"][0]["note"]
    assert "only 5 gene sets" in note
