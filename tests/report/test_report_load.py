"""Reading run folders: complete, unfinished and damaged ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphwright.errors import RunError
from graphwright.report.load import load_report
from graphwright.report.results import Headline, find_headline, parse_tables


def test_a_finished_run_is_read_in_full(make_run: Callable[..., Any]) -> None:
    report = load_report(make_run().path)
    assert report.name == "geometry/painn/qm7/run_000"
    assert (report.state, report.task, report.seed) == ("finished", "geometry", 0)
    assert report.duration_s == pytest.approx(1834.2)
    assert len(report.series["val_loss"].values) == 60
    assert [phase.name for phase in report.phases][:2] == ["imports", "directories"]
    assert report.startup_marks["steady_batch_s"] == 0.0494
    assert [scatter.name for scatter in report.scatter] == ["x", "y", "z"]
    assert len(report.scatter[0].target) == 714  # the validation rows are left out
    assert report.scatter[0].r2 > 0.99
    assert report.scatter[0].mae == pytest.approx(0.024, abs=0.003)
    assert dict(report.bundle_files)["weights.safetensors"] == 2_325_004
    assert report.notes == ()


def test_a_run_with_a_configuration_only_says_what_it_lacks(make_run: Callable[..., Any]) -> None:
    report = load_report(make_run("bare").path)
    assert report.state == "created"
    assert report.headline is None
    assert report.duration_s is None
    names = ("metrics.json", "startup.json", "provenance.json", "events.jsonl")
    assert all(any(note.startswith(name) for note in report.notes) for name in names)


def test_no_run_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        load_report(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["status.json", "metrics.json", "provenance.json", "startup.json", "predictions.parquet"],
)
def test_damaged_files_become_notes(make_run: Callable[..., Any], name: str) -> None:
    run = make_run()
    (run.path / name).write_bytes(b'{"phases": [tru')
    report = load_report(run.path)
    assert any(note.startswith(name) for note in report.notes)
    if name == "status.json":
        assert report.state == "unknown"


def test_damaged_configuration_and_events_become_notes(make_run: Callable[..., Any]) -> None:
    run = make_run("failed")
    (run.path / "config.yaml").write_text("a: [1\n b: }")
    events = run.path / "events.jsonl"
    events.write_text(events.read_text() + "no record\n")
    report = load_report(run.path)
    assert report.config == {}
    assert report.task == "unknown task"
    assert report.name == "painn/qm7/run_000"  # the task is not known: the last three levels
    assert any("config.yaml" in note for note in report.notes)
    assert any("1 damaged" in note for note in report.notes)


def test_a_failed_run_has_its_error_and_log(make_run: Callable[..., Any]) -> None:
    report = load_report(make_run("failed").path)
    assert report.state == "failed"
    assert "step 6,086" in str(report.error)
    assert report.log_tail.endswith("boom")


def test_missing_columns_and_non_finite_rows_of_predictions(make_run: Callable[..., Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    run = make_run()
    scatter = {"target": "target", "predicted": "predicted", "label": "tau"}
    run.metrics(scatter=scatter)
    assert any("no column target" in note for note in load_report(run.path).notes)
    values = {"target": [1.0, 2.0, None], "predicted": [1.0, math.inf, 3.0]}
    pq.write_table(pa.table(values), run.path / "predictions.parquet")
    (only,) = load_report(run.path).scatter
    assert (only.target.tolist(), only.dropped) == ([1.0], 2)
    assert math.isnan(only.r2)


def test_strange_json_does_no_harm(make_run: Callable[..., Any]) -> None:
    run = make_run()
    run.json("metrics.json", ["not", "a", "mapping"])
    run.json("startup.json", {"phases": "none", "total_s": True})
    report = load_report(run.path)
    assert (report.metrics, report.scalars, report.phases, report.data) == ({}, {}, (), {})
    run.json("metrics.json", {"tables": "x", "metrics": [], "data": 3, "scatter": 1, "primary": 1})
    assert load_report(run.path).tables == ()
    run.json("startup.json", {"phases": ["x", {"name": "a", "seconds": "Infinity"}]})
    assert load_report(run.path).phases == ()


def _headline(value: object, rows: list[list[Any]], *, higher: bool = False) -> Headline:
    table = {"columns": ["model", "MAE (a.u.)"], "rows": rows, "highlight": "ours"}
    metrics = {"primary": "mae", "metrics": {"mae": value}, "higher_is_better": higher}
    found = find_headline(metrics, parse_tables([table, {"title": "no columns"}]))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "baseline", "higher", "beats", "words"),
    [
        (0.02, 0.4, False, True, "20× lower"),
        (0.3, 0.4, False, True, "25 % lower"),
        (0.5, 0.4, False, False, "25 % higher"),
        (0.9, 0.8, True, True, "12 % higher"),
        (0.4, 0.4, False, False, "equal to"),
        (-0.1, 0.3, True, False, "0.4 lower"),
    ],
)
def test_the_headline_is_judged_against_the_best_baseline(
    value: float, baseline: float, higher: bool, beats: bool, words: str
) -> None:
    worse = baseline - 0.5 if higher else baseline + 0.5
    rows = [["ours", value], ["weak", worse], ["strong", baseline], ["absent", None]]
    head = _headline(value, rows, higher=higher)
    assert head.rivals[0] == ("strong", baseline)
    assert len(head.rivals) == 2
    assert head.beats_baseline is beats
    assert words in head.verdict
    assert (head.label, head.unit) == ("MAE", "a.u.")


def test_a_headline_that_is_not_finite_says_so() -> None:
    head = _headline("NaN", [["ours", "NaN"], ["zero", 0.4]])
    assert math.isnan(head.value)
    assert head.rivals == (("zero", 0.4),)
    assert head.beats_baseline is None
    assert "not a finite number" in head.verdict


def test_a_column_with_another_value_is_not_the_primary_metric() -> None:
    head = _headline(0.02, [["ours", 0.5], ["zero", 0.6]])
    assert head.rivals == ()
    assert head.verdict.startswith("no baseline")


def test_short_and_long_rows_fit_their_columns() -> None:
    (table,) = parse_tables([{"columns": ["a", "b"], "rows": [["x"], ["y", 1, 2], 3]}])
    assert table.rows == (("x", None), ("y", 1))
    assert json.dumps(table.rows)
