"""Train, resume and look at runs from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from graphwright.config.presets import load_config
from graphwright.runs.events import read_events
from graphwright.runs.status import read_status


def test_train_leaves_a_complete_run(cli, place, tiny) -> None:
    result = cli("train", "geometry/tiny", *tiny, "--debug", *place.roots)
    assert result.code == 0, result.err
    (run,) = place.run_folders()
    assert run == place.runs / "geometry" / "scans" / "center_of_mass" / "painn" / "run_000"
    assert result.out.splitlines()[-1] == f"finished: {run}"
    assert "centroid of the points" in result.out
    expected = {"config.yaml", "provenance.json", "status.json", "events.jsonl", "startup.json"}
    expected |= {"metrics.json", "predictions.parquet", "log.txt", "checkpoints", "bundle"}
    assert expected <= {path.name for path in run.iterdir()}
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["seed"] == 0
    assert len(provenance["data_digest"]) == 64
    assert provenance["split_digest"]
    assert provenance["versions"]["torch"]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["metrics"]["rotated_displacement_mean"] > 0
    assert read_events(run / "events.jsonl").last("test_mae") == metrics["metrics"]["mae"]


def test_fast_dev_run(cli, place, tiny) -> None:
    result = cli("train", "geometry/tiny", *tiny, "--fast-dev-run", "1", *place.roots)
    assert result.code == 0, result.err
    (run,) = place.run_folders()
    assert read_status(run).state == "finished"
    assert load_config(run / "config.yaml").training.fast_dev_run == 1
    assert read_events(run / "events.jsonl").series("train_loss")[0] == [1]
    assert not (run / "bundle").exists()


def test_reference_stands_in_the_table(cli, place, tiny) -> None:
    overrides = [text for text in tiny if not text.startswith("model.")]
    result = cli("train", "geometry/tiny", *overrides, "--reference", "gcn", *place.roots)
    assert result.code == 0, result.err
    gcn, painn = place.run_folders()
    assert (gcn.parent.name, painn.parent.name) == ("gcn", "painn")
    rows = json.loads((painn / "metrics.json").read_text())["tables"][0]["rows"]
    ours = json.loads((gcn / "metrics.json").read_text())["tables"][0]["rows"]
    assert rows[0][0] == "painn"
    assert ours[0] in rows
    assert ours[0][0] == "gcn"


def test_config_file_starts_the_same_training(cli, place, finished) -> None:
    saved = finished.run.config_path
    result = cli("train", "--config", saved, "training.epochs=1", *place.roots)
    assert result.code == 0, result.err
    (run,) = place.run_folders()
    assert load_config(run / "config.yaml").training.epochs == 1
    assert load_config(run / "config.yaml").model == load_config(saved).model


def test_resume_of_a_finished_run_changes_nothing(cli, finished) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.files()}
    result = cli("resume", finished.run.path, *finished.roots)
    assert result.code == 2
    assert "finished" in result.err
    assert {path: path.stat().st_mtime_ns for path in finished.files()} == before


def test_runs(cli, finished) -> None:
    result = cli("runs", "--runs-root", finished.runs)
    assert result.code == 0
    assert "run_000" in result.out
    assert "finished" in result.out
    assert "run_000" not in cli("runs", "--task", "canbus", "--runs-root", finished.runs).out


def test_compare(cli, finished, tmp_path: Path, tiny) -> None:
    for seed in (1, 2):
        other = ("train", "geometry/tiny", *tiny, f"seed={seed}", "model.hidden_dim=4")
        assert cli(*other, "--runs-root", tmp_path, "--data-root", finished.data).code == 0
    runs = [finished.run.path, *sorted(tmp_path.rglob("run_*"))]
    text = cli("compare", *runs)
    assert text.code == 0, text.err
    assert "hidden_dim" in text.out
    assert cli("compare", *runs, "--format", "markdown").out.count("|") > 4
    assert json.loads(cli("compare", *runs, "--format", "json").out)


def test_report_and_card(cli, finished, tmp_path: Path) -> None:
    page, card = tmp_path / "page.html", tmp_path / "card.md"
    result = cli("report", finished.run.path, "-o", page, "--card", card)
    assert result.code == 0, result.err
    html = page.read_text()
    assert "centroid of the points" in html
    assert 'src="http' not in html
    assert card.read_text().startswith("#") or card.read_text().startswith("---")


def test_runs_are_named_by_short_names(cli, finished) -> None:
    for name in ("latest", "geometry/scans", finished.run.path):
        assert cli("compare", name, "--runs-root", finished.runs).code == 0
    near = "geometry/scans/center_of_mass/pain/run_000"
    wrong = cli("compare", near, "--runs-root", finished.runs)
    assert wrong.code == 2
    assert "geometry/scans/center_of_mass/painn/run_000" in wrong.err
