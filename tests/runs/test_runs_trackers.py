"""The trackers' own clients, in this process."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from graphwright.runs.events import EventWriter
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirror import main
from graphwright.runs.status import session

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages that are not ours

CONFIG = "task: geometry\nseed: 3\nmodel:\n  name: painn\n  frozen: true\n  note: null\n"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "runs", ["geometry"], CONFIG)
    with EventWriter(run.events_path) as writer:
        for step in range(1, 11):
            writer.log({"loss": 1 / step, "accuracy": 0.5}, step, 0)
    return run


@pytest.fixture(autouse=True)
def environment_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def finish(run: RunFolder) -> None:
    with session(run):
        run.write_json("metrics.json", {"split": "test", "metrics": {"mae": 0.25}})


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if not value.tag.startswith("_hparams_"):
                    scalar = value.tensor.float_val[0]
                    found.setdefault(value.tag, []).append((event.step, scalar))
    return found


def test_tensorboard(run: RunFolder) -> None:
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    with session(run):
        assert main([str(run.path), "--to", "tensorboard"]) == 0
        with EventWriter(run.events_path) as writer:
            writer.mark_resume(8)
            for step in range(9, 13):
                writer.log({"loss": 1 / step}, step, 0)
        run.write_json("metrics.json", {"split": "test", "metrics": {"mae": 0.25}})
    assert main([str(run.path), "--to", "tensorboard", "--follow"]) == 0
    folder = run.mirrors / "tensorboard"
    assert len(list(folder.iterdir())) == 2
    scalars = tensorboard_scalars(folder)
    assert scalars["loss"] == [(step, pytest.approx(1 / step)) for step in range(1, 13)]
    assert scalars["test/mae"] == [(12, 0.25)]
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    content = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["model.name"].string_value == "painn"
    assert start.hparams["model.frozen"].bool_value is True
    assert start.hparams["seed"].number_value == 3.0
    assert start.hparams["model.note"].WhichOneof("kind") is None


def rows(run: RunFolder, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(run.root / "mlflow.db")
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def test_mlflow(run: RunFolder) -> None:
    with session(run):
        assert main([str(run.path), "--to", "mlflow"]) == 0
        assert rows(run, "select status from runs") == [("RUNNING",)]
    finish_again = RunFolder.open(run.path, root=run.root)
    assert main([str(finish_again.path), "--to", "mlflow"]) == 0
    assert rows(run, "select status from runs") == [("FINISHED",)]
    assert rows(run, "select count(*) from metrics") == [(20,)]


def test_mlflow_store_that_was_removed_or_emptied(run: RunFolder) -> None:
    finish(run)
    command = [str(run.path), "--to", "mlflow", "--settings"]
    settings = '{"uri": "sqlite:///%s", "experiment": "%s", "run_name": "mine"}'
    first = settings % (run.root / "mlflow.db", "first")
    assert main([*command, first]) == 0
    assert rows(run, "select name from runs") == [("mine",)]
    (old,) = rows(run, "select run_uuid from runs")

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.root / 'mlflow.db'}")
    client.delete_run(old[0])
    assert main([*command, first]) == 0
    assert rows(run, "select count(*) from runs where lifecycle_stage = 'active'") == [(1,)]
    assert rows(run, "select count(*) from metrics where key = 'loss'") == [(20,)]
    client.delete_experiment(client.get_experiment_by_name("first").experiment_id)
    assert main([*command, first]) == 0
    stage = "select lifecycle_stage from experiments where name = 'first'"
    assert rows(run, stage) == [("active",)]

    other = f'{{"uri": "sqlite:///{run.root / "other.db"}"}}'
    assert main([*command, other]) == 0
    assert list(Path.cwd().iterdir()) == []  # MLflow likes to leave a folder mlruns
    connection = sqlite3.connect(run.root / "other.db")
    assert connection.execute("select count(*) from metrics where key = 'loss'").fetchone() == (10,)
    connection.close()


def test_wandb(run: RunFolder) -> None:
    assert main([str(run.path), "--to", "wandb"]) == 0
    finish(run)
    assert main([str(run.path), "--to", "wandb", "--settings", '{"tags": ["x"]}']) == 0
    pieces = list((run.mirrors / "wandb").glob("offline-run-*"))
    identity = run.read_json("mirrors/wandb.json")["tracker_id"]
    assert len(pieces) in (1, 2)  # the name has a time in it: in the same second they are one
    assert all(piece.name.endswith(identity) for piece in pieces)
    assert run.config_path.read_text() == CONFIG
