"""The calls that stand behind the commands, from Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import graphwright
from graphwright.config.presets import resolve_preset
from graphwright.errors import ConfigError, DataError, RunError
from graphwright.launch import use
from graphwright.launch.datasets import describe_store, list_stores, prepare_data
from graphwright.launch.execute import run_config
from graphwright.launch.local import create_run, resume, train, with_reference
from graphwright.launch.use import Predictions, evaluate, export_bundle, load_run
from graphwright.runs.status import read_status


def test_the_package_offers_the_calls() -> None:
    for name in graphwright.__all__:
        assert getattr(graphwright, name)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = graphwright.trian


def test_runs_are_numbered(place, tiny) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    folders = [create_run(config, place.runs) for _ in range(3)]
    assert [folder.path.name for folder in folders] == ["run_000", "run_001", "run_002"]
    assert all(run_config(folder) == config for folder in folders)
    assert {read_status(folder.path).state for folder in folders} == {"created"}


def test_a_created_run_can_be_executed_later(place, tiny, finished) -> None:
    """As a job of a cluster does: the folder is all that it is given."""
    folder = create_run(resolve_preset("geometry/tiny", tiny), place.runs)
    assert resume(folder, data_root=finished.data) == "finished"
    assert folder.read_json("metrics.json") == finished.run.read_json("metrics.json")
    with pytest.raises(RunError, match="finished"):
        resume(folder, data_root=finished.data)


def test_reference_models(tiny) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    gcn = with_reference(config, "gcn")
    assert gcn.model.name == "gcn"
    assert gcn.training == config.training
    with pytest.raises(ConfigError, match="did you mean egnn"):
        with_reference(config, "egn")


def test_data_are_packed_once(place, tiny, finished) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    first = prepare_data(config, place.data)
    (store,) = list_stores(place.data)
    written = (store / "schema.json").stat().st_mtime_ns
    assert prepare_data(config, place.data) == first
    assert (store / "schema.json").stat().st_mtime_ns == written
    # another split or model needs no other store; another source does
    prepare_data(resolve_preset("geometry/tiny", [*tiny, "data.split.seed=1"]), place.data)
    assert list_stores(place.data) == [store]
    prepare_data(resolve_preset("geometry/tiny", [*tiny, "data.source.seed=1"]), place.data)
    assert len(list_stores(place.data)) == 2
    assert first["digest"] == describe_store(store)["digest"]
    assert first["digest"] == finished.run.read_json("metrics.json")["data"]["digest"]


def test_no_store_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such store"):
        describe_store(tmp_path / "nowhere")
    with pytest.raises(DataError):
        describe_store(tmp_path)
    assert list_stores(tmp_path) == []


def test_evaluate_and_load(finished) -> None:
    report = evaluate(finished.run.path, data_root=finished.data)
    assert report["metrics"] == finished.run.read_json("metrics.json")["metrics"]
    bundle = load_run(finished.run.path)
    by_name = load_run("latest", runs_root=finished.runs)
    assert by_name.about == bundle.about
    assert bundle.about["run"] == "run_000"
    assert not bundle.model.training


def test_predictions_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    columns = {"predicted": np.array([0.1, 1e-30])}
    good = Predictions(["a,b", 'c"d'], columns, [])
    good.write(tmp_path / "good.csv")
    expected = 'id,predicted\n"a,b",0.1\n"c""d",1e-30\n'
    assert (tmp_path / "good.csv").read_text().replace("\r", "") == expected
    bad = Predictions(["only one"], columns, [])
    with pytest.raises(ValueError, match="longer"):
        bad.write(tmp_path / "bad.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["good.csv"]


def test_export_that_fails_leaves_nothing(
    finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.json").touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", half)
    monkeypatch.setattr(use.shutil, "copytree", half)
    with pytest.raises(RunError, match="disk is full"):
        export_bundle(finished.run.path, tmp_path / "shipped")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_no_user_error(place, tiny, finished, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug leaves the run, its status and its traceback, for whoever looks for it."""
    from graphwright.tasks.geometry.task import GeometryTask

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(GeometryTask, "evaluate", broken)
    config = resolve_preset("geometry/tiny", tiny)
    with pytest.raises(ZeroDivisionError):
        train(config, runs_root=place.runs, data_root=finished.data)
    (run,) = place.run_folders()
    status = read_status(run)
    assert (status.state, status.error) == ("failed", "ZeroDivisionError: a bug")
    assert "Traceback" in (run / "log.txt").read_text()
    monkeypatch.undo()
    folder = create_run(config, place.runs)
    assert folder.path.name == "run_001"
    assert resume(type(folder).open(run), data_root=finished.data) == "finished"
