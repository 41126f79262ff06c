"""The report of a detector: per folder, attack and capture, with what stands beside it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from canbus_windows import traffic, windows

from graphwright.errors import DataError
from graphwright.report.results import find_headline, parse_tables
from graphwright.tasks.canbus.baselines import ALL_BENIGN, FOREST, Scored
from graphwright.tasks.canbus.evaluation import CALIBRATED, Asked, evaluate_windows
from graphwright.tasks.canbus.metrics import window_metrics
from graphwright.tasks.canbus.thresholds import Threshold
from graphwright.tasks.canbus.window_table import Place, Windows
from graphwright.training.task import Evaluation

TRAIN = traffic(0, 120, ["train_02"], ["dos", "fuzzing"])
TEST = traffic(2, 150, ["test_01", "test_02"], ["dos", "rpm"])
HALF = Threshold(value=0.5)


def score_of(table: Windows, seed: int = 5, noise: float = 0.3) -> np.ndarray:
    return table.label + np.random.default_rng(seed).normal(0, noise, len(table))


def evaluate(test: Windows = TEST, **changes: Any) -> Evaluation:
    score = changes.pop("score", score_of(test))
    extra, train = changes.pop("extra", None), changes.pop("train", TRAIN)
    asked = Asked(**({"model": "gat", "threshold": HALF, "rate": 0.05, "prefix_s": 30.0} | changes))
    return evaluate_windows({"score": score}, test, asked, train=train, val=None, extra=extra)


def row_of(table: dict[str, Any], *start: str) -> dict[str, Any]:
    rows = [row for row in table["rows"] if row[: len(start)] == list(start)]
    assert len(rows) == 1
    return dict(zip(table["columns"], rows[0], strict=True))


def test_the_primary_metric_is_the_mean_over_folders_and_has_rivals() -> None:
    report = evaluate().report
    metrics = report["metrics"]
    assert (report["task"], report["primary"], report["higher_is_better"]) == ("canbus", "f1", True)
    folders = [metrics["test_01/f1"], metrics["test_02/f1"]]
    assert metrics["f1"] == pytest.approx(np.mean(folders))
    head = find_headline(report, parse_tables(report["tables"]))
    assert head is not None
    assert (head.model, head.label, head.value) == ("gat", "F1", metrics["f1"])
    assert {FOREST, ALL_BENIGN, f"gat{CALIBRATED}"} <= {name for name, _ in head.rivals}
    assert all(math.isfinite(value) for value in metrics.values())
    json.dumps(report, allow_nan=False)


def test_numbers_are_those_of_the_windows_of_each_folder_and_attack() -> None:
    score = score_of(TEST)
    report = evaluate().report
    for folder, attack in (("test_01", "dos"), ("test_02", "rpm")):
        rows = (TEST.named("folder") == folder) & (TEST.named("attack") == attack)
        wanted = window_metrics(score[rows], score[rows] > 0.5, TEST.label[rows])
        table = next(table for table in report["tables"] if table["title"] == folder)
        row = row_of(table, "gat", attack)
        assert row["F1"] == wanted["f1"] == report["metrics"][f"{folder}/{attack}/f1"]
        assert (row["AUROC"], row["AP"], row["FPR"]) == tuple(
            wanted[k] for k in ("auroc", "ap", "fpr")
        )
        assert row["events caught"] == "1 of 1"
    # one capture of each attack: a table of captures would say the same again
    assert not any("each capture" in table["title"] for table in report["tables"])
    assert row_of(report["tables"][0], ALL_BENIGN)["events caught"] == "0 of 4"


def test_captures_of_one_attack_are_told_apart() -> None:
    test = windows([0] * 20 + [1] * 5, [0] * 20 + [1] * 5)
    score = test.label * np.repeat([1.0, 0.0], 25)
    report = evaluate(test, score=score, prefix_s=0.0).report
    table = next(table for table in report["tables"] if "each capture" in table["title"])
    assert row_of(table, "gat", "dos-0")["F1"] == 1.0
    assert row_of(table, "gat", "dos-1")["F1"] == 0.0
    assert not any(str(row[0]).endswith(CALIBRATED) for row in table["rows"])
    results = [r for r in report["results"] if r["model"] == "gat" and r["capture"] == "dos-1"]
    assert len(results) == 1
    assert (results[0]["recall"], results[0]["precision"]) == (0.0, None)


def test_calibration_saves_a_vehicle_whose_every_score_is_high() -> None:
    table = traffic(4, 200, ["test_02"], ["dos"])
    score = 3.0 + score_of(table, noise=0.05)
    evaluation = evaluate(table, score=score, prefix_s=60.0)
    summary = evaluation.report["tables"][0]
    assert row_of(summary, "gat")["FPR"] == 1.0
    calibrated = row_of(summary, f"gat{CALIBRATED}")
    assert calibrated["FPR"] < 0.15
    assert calibrated["recall"] == 1.0
    assert evaluation.report["metrics"]["prefix_fpr"] == calibrated["FPR"]
    prefix = table.end_time - table.start_time[0] <= 60
    assert not evaluation.predictions["alarm_calibrated"][prefix].any()
    assert evaluation.predictions["alarm"][prefix].all()


def test_attacks_in_the_prefix_are_missed_and_named() -> None:
    test = windows([0] * 10 + [1] * 10 + [0] * 40)
    report = evaluate(test, score=test.label.astype(float), rate=0.1, prefix_s=20.0).report
    summary = report["tables"][0]
    assert "against the assumption: test_01/dos-0" in summary["note"]
    # attack windows make half of the prefix, so they set the threshold
    assert row_of(summary, f"gat{CALIBRATED}")["recall"] == 0.0
    assert row_of(summary, "gat")["recall"] == 1.0


def test_a_prefix_that_is_too_short_is_told() -> None:
    summary = evaluate(rate=0.001).report["tables"][0]
    assert "test_01/dos-1 keeps the plain threshold: the first 30 s hold" in summary["note"]
    own, calibrated = row_of(summary, "gat"), row_of(summary, f"gat{CALIBRATED}")
    assert [own[k] for k in ("F1", "FPR")] == [calibrated[k] for k in ("F1", "FPR")]


def test_the_note_says_what_was_done() -> None:
    threshold = Threshold(value=0.4, rule="benign_quantile", rate=0.01, windows=700)
    note = evaluate(
        threshold=threshold, dropped=["b/x has the content of a/x"], split_rule="by time"
    ).report["tables"][0]["note"]
    assert f"{len(TEST):,} windows of 4 captures, {int(TEST.attack.sum())} with an attack" in note
    assert "Threshold of gat: 0.4 (1 % of 700 benign validation windows above)." in note
    assert "Duplicates: b/x has the content of a/x." in note
    assert "240 training windows, parted from validation by time" in note


def test_extra_rows_and_where_a_part_alone_is_better() -> None:
    good = Scored(TEST.label.astype(float), HALF)
    bad = Scored(np.zeros(len(TEST)), HALF)
    report = evaluate(extra={"vgae": bad, "gat alone": good}, parts=("vgae", "gat alone")).report
    assert [row[0] for row in report["tables"][0]["rows"]][:6:2] == ["gat", "vgae", "gat alone"]
    table = report["tables"][1]
    assert table["title"] == "Where a part alone is better"
    assert {row[0] for row in table["rows"]} >= {"test_01", "test_02"}
    assert all(row[2] == "gat alone" and row[3] == 1.0 for row in table["rows"])
    nowhere = evaluate(extra={"vgae": bad}, parts=("vgae",)).report["tables"][1]
    assert not nowhere["rows"]
    assert "in 0 of 6 folders and captures" in nowhere["note"]


def test_predictions_tell_every_window() -> None:
    found = evaluate().predictions
    assert {len(column) for column in found.values()} == {len(TEST)}
    assert len(set(found["id"])) == len(TEST)
    assert found["id"][1] == "test_01/dos-1:100"
    np.testing.assert_array_equal(found["alarm"], score_of(TEST) > 0.5)
    np.testing.assert_array_equal(found["label"], TEST.label)


def test_without_attacks_false_alarms_are_what_counts() -> None:
    test = windows([0] * 50, places=[Place("test_05", "benign-1", "benign")])
    report = evaluate(test, score=np.arange(50) / 50).report
    assert (report["primary"], report["higher_is_better"]) == ("fpr", False)
    assert report["metrics"]["fpr"] == pytest.approx(24 / 50)
    assert "f1" not in report["metrics"]
    own = row_of(report["tables"][0], "gat")
    assert own["F1"] is own["AUROC"] is own["events caught"] is None


def test_scores_that_are_no_numbers_hide_nothing() -> None:
    score = score_of(TEST)
    score[0] = np.nan
    report = evaluate(score=score).report
    assert math.isnan(report["metrics"]["f1"])
    own = row_of(report["tables"][0], "gat")
    assert {value for name, value in own.items() if name != "model"} == {None}
    assert report["metrics"]["test_02/f1"] > 0
    assert not any(row[0] == f"gat{CALIBRATED}" for row in report["tables"][0]["rows"])


def test_without_training_windows_only_silence_stands_beside() -> None:
    summary = evaluate(train=None).report["tables"][0]
    assert [row[0] for row in summary["rows"]] == ["gat", f"gat{CALIBRATED}", ALL_BENIGN]
    assert "No forests" in summary["note"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"gat: scores \(3,\) of 600 windows"):
        evaluate(score=np.zeros(3))
    with pytest.raises(DataError, match="names of rows"):
        evaluate(extra={ALL_BENIGN: Scored(np.zeros(len(TEST)), HALF)})
    with pytest.raises(DataError, match="names of rows"):
        evaluate(parts=("vgae",))
