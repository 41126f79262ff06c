"""Evaluate, predict and export from the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from graphwright.launch.use import predict
from graphwright.tasks.geometry.scans import generate_scans


def test_evaluate_repeats_the_metrics_of_training(cli, finished) -> None:
    result = cli("evaluate", finished.run.path, "--json", *finished.roots)
    assert result.code == 0, result.err
    report, saved = json.loads(result.out), finished.run.read_json("metrics.json")
    assert report["metrics"] == saved["metrics"]
    assert report["tables"] == saved["tables"]
    assert report["equivariance"] == saved["equivariance"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_evaluate_another_split(cli, finished, split: str) -> None:
    result = cli("evaluate", finished.run.path, "--split", split, *finished.roots)
    assert result.code == 0, result.err
    assert f"{split} split" in result.out
    assert "centroid of the points" in result.out


def test_evaluate_other_data(cli, finished, tmp_path: Path) -> None:
    table, path = generate_scans(5, seed=9), tmp_path / "other.npz"
    np.savez(path, pos=table.pos, offsets=table.offsets, center_of_mass=table.target)
    command = ("evaluate", finished.run.bundle, "--data", path, "--json", *finished.roots)
    result = cli(*command)
    assert result.code == 0, result.err
    report = json.loads(result.out)
    assert report["data"]["structures"] == 5
    mean = table.pos[: table.offsets[1]].mean(0)
    zero = next(r for r in report["tables"][0]["rows"] if r[0] == "centroid of the points")
    assert zero[3] > 0
    assert np.isfinite(mean).all()


def test_predict_to_stdout(cli, finished, structures, tmp_path: Path) -> None:
    path = structures(tmp_path / "mine.npz")
    result = cli("predict", finished.run.path, path, *finished.roots)
    assert result.code == 0, result.err
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [row["id"] for row in rows] == ["mine:0", "mine:1", "mine:2"]
    expected = predict(finished.run.path, path)
    assert [float(row["predicted_y"]) for row in rows] == expected.columns["predicted_y"].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predict_to_a_file_with_rejected_rows_aside(
    cli, finished, structures, tmp_path: Path, suffix: str
) -> None:
    pos = np.random.default_rng(0).normal(size=(60, 3))
    pos[20, 1] = np.nan
    names = np.array(["first", 'a "b", c', "third"])
    path = structures(tmp_path / "mine.npz", pos=pos, id=names)
    out = tmp_path / f"out{suffix}"
    result = cli("predict", finished.run.path, path, "-o", out, *finished.roots)
    assert result.code == 0, result.err
    assert "2 predictions" in result.err
    assert 'a "b", c' in result.err
    assert "non-finite position" in result.err
    if suffix == ".csv":
        with out.open(newline="") as file:
            written = [row["id"] for row in csv.DictReader(file)]
    else:
        written = parquet.read_table(out).column("id").to_pylist()
    assert written == ["first", "third"]
    with (tmp_path / f"out{suffix}.rejected.csv").open(newline="") as file:
        (rejected,) = csv.DictReader(file)
    assert rejected["where"] == 'structure 1 (a "b", c)'
    assert rejected["reason"] == "non-finite position"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["mine.npz", out.name, f"{out.name}.rejected.csv"]
    )


def test_predictions_follow_a_moved_structure(cli, finished, structures, tmp_path: Path) -> None:
    pos = np.random.default_rng(3).normal(size=(60, 3))
    answers = [
        predict(finished.run.path, structures(tmp_path / "s.npz", pos=pos + shift)).columns
        for shift in (0.0, 7.5)
    ]
    for axis in "xyz":
        name = f"predicted_{axis}"
        np.testing.assert_allclose(answers[1][name], answers[0][name] + 7.5, atol=1e-5)


def test_export(cli, finished, structures, tmp_path: Path) -> None:
    out = tmp_path / "shipped"
    result = cli("export", finished.run.path, "-o", out, *finished.roots[:2])
    assert result.code == 0, result.err
    assert sorted(p.name for p in out.iterdir()) == ["model.json", "weights.safetensors"]
    path = structures(tmp_path / "mine.npz")
    ours, theirs = predict(out, path).columns, predict(finished.run.path, path).columns
    np.testing.assert_array_equal(ours["predicted_x"], theirs["predicted_x"])
    again = cli("export", finished.run.path, "-o", out, *finished.roots[:2])
    assert again.code == 2
    assert "exists" in again.err
    from_bundle = cli("export", out, "-o", tmp_path / "copy")
    assert from_bundle.code == 0, from_bundle.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "mine.npz", "shipped"]


def test_export_of_an_unfinished_run(cli, place, tiny, tmp_path: Path) -> None:
    assert cli("train", "geometry/tiny", *tiny, "--fast-dev-run", "1", *place.roots).code == 0
    (run,) = place.run_folders()
    result = cli("export", run, "-o", tmp_path / "shipped")
    assert result.code == 2
    assert "no bundle" in result.err
    assert not (tmp_path / "shipped").exists()


def test_data_prepare_list_inspect(cli, place, tiny) -> None:
    root = ("--data-root", place.data)
    prepared = cli("data", "prepare", "geometry/tiny", *tiny, *root)
    assert prepared.code == 0, prepared.err
    assert "structures                         40" in prepared.out
    listed = cli("data", "list", *root)
    (store,) = listed.out.split()
    inspected = cli("data", "inspect", store)
    assert inspected.code == 0
    assert "graphs                             40" in inspected.out
    assert "node pos: float64[3]" in inspected.out
    assert cli("data", "prepare", "geometry/tiny", *tiny, *root).out == prepared.out


def test_data_inspect_shows_what_was_rejected(cli, place, structures, tmp_path: Path) -> None:
    pos = np.random.default_rng(0).normal(size=(200, 3))
    pos[3] = np.inf
    arrays = {"pos": pos, "offsets": np.arange(0, 201, 10), "center": pos[::10] * 0 + 1.0}
    path = structures(tmp_path / "mine.npz", **arrays)
    overrides = (f"data.source.path={path}", "data.source.target=center")
    result = cli("data", "prepare", "geometry/mesh_scans", *overrides, "--data-root", place.data)
    assert result.code == 0, result.err
    (store,) = cli("data", "list", "--data-root", place.data).out.split()
    inspected = cli("data", "inspect", Path(store).parent)
    assert "non-finite position" in inspected.out
    assert "graphs                             19" in inspected.out


def test_an_unknown_split_is_told_with_the_known_ones(cli, finished) -> None:
    result = cli("evaluate", finished.run.path, "--split", "tset", *finished.roots)
    assert result.code == 2
    assert "did you mean test" in result.err
    assert "train, val, test" in result.err
