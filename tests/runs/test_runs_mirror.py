"""Mirrors in their own processes, with the real trackers."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from graphwright.errors import MissingExtraError
from graphwright.runs import mirror as mirror_module
from graphwright.runs.events import EventWriter
from graphwright.runs.folder import RunFolder
from graphwright.runs.lock import is_locked
from graphwright.runs.mirror import Mirrors, main, mirror_targets, start_mirrors
from graphwright.runs.status import read_status, session

CONFIG = "task: geometry\nseed: 3\nmodel:\n  name: painn\n  frozen: true\n  note: null\n"
PATIENCE_S = 120.0

TRAINER = """
import sys, time
from graphwright.runs.events import EventWriter
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirror import start_mirrors
from graphwright.runs.status import session
run = RunFolder.open(sys.argv[1])
with session(run), EventWriter(run.events_path) as writer:
    mirrors = start_mirrors(run, {"mlflow": {}})
    for step in range(1, 121):
        writer.log({"loss": 1 / step}, step, 0)
    writer.flush()
    print(mirrors.pids["mlflow"], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", ["geometry", "painn"], CONFIG)


def log(run: RunFolder, steps: range, *, resume: int | None = None) -> None:
    with EventWriter(run.events_path) as writer:
        if resume is not None:
            writer.mark_resume(resume)
        for step in steps:
            writer.log({"loss": 1 / step, "odd @name": float("nan")}, step, 0)


def query(run: RunFolder, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(run.root / "mlflow.db")
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def wait_for(mirror: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while is_locked(mirror):
        assert time.monotonic() < deadline, "the mirror follows for ever"
        time.sleep(0.05)


def test_three_trackers_at_once(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    config = run.config_path.read_bytes()
    with session(run):
        targets = mirror_targets(
            {"mlflow": "on", "wandb": "offline", "wandb_tags": ["a"], "tensorboard": True}
        )
        mirrors = start_mirrors(run, targets)
        assert set(mirrors.pids) == {"mlflow", "wandb", "tensorboard"}
        log(run, range(1, 51))
        run.write_json("metrics.json", {"split": "test", "metrics": {"mae": 0.25}})
    assert mirrors.wait(PATIENCE_S) == []

    ((run_id, name, status),) = query(run, "select run_uuid, name, status from runs")
    assert (name, status) == ("painn/run_000", "FINISHED")
    assert run.read_json("mirrors/mlflow.json")["tracker_id"] == run_id
    assert query(run, "select name from experiments where experiment_id != 0") == [("geometry",)]
    params = dict(query(run, "select key, value from params"))
    assert params == {
        "task": "geometry", "seed": "3",
        "model.name": "painn", "model.frozen": "True", "model.note": "None",
    }  # fmt: skip
    losses = query(run, "select step, value from metrics where key = 'loss' order by step")
    assert losses == [(step, pytest.approx(1 / step)) for step in range(1, 51)]
    assert query(run, "select count(*) from metrics where key = 'odd _name'") == [(50,)]
    assert query(run, "select step, value from metrics where key = 'test/mae'") == [(0, 0.25)]
    artifacts = run.root / ".mlflow-artifacts" / "geometry" / run_id / "artifacts"
    assert (artifacts / "config.yaml").read_bytes() == config
    assert json.loads((artifacts / "metrics.json").read_text())["metrics"] == {"mae": 0.25}

    (offline,) = (run.mirrors / "wandb").glob("offline-run-*")
    identity = run.read_json("mirrors/wandb.json")["tracker_id"]
    assert offline.name.endswith(identity)
    (stored,) = offline.glob("*.wandb")
    assert b"odd _name" in stored.read_bytes()
    assert (offline / "files" / "run_000" / "config.yaml").read_bytes() == config

    assert list((run.mirrors / "tensorboard").glob("events.out.tfevents.*"))
    assert run.config_path.read_bytes() == config
    assert list(Path.cwd().iterdir()) == []  # MLflow and W&B like to leave folders there


def test_killed_trainer_then_resume_in_the_same_tracker_run(run: RunFolder) -> None:
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    with trainer:
        assert trainer.stdout is not None
        mirror_pid = int(trainer.stdout.readline())
        assert psutil.Process(mirror_pid).nice() in (0, 10)  # 10 once it is up
        deadline = time.monotonic() + PATIENCE_S
        while not (run.mirrors / "mlflow.json").exists():
            assert time.monotonic() < deadline, (run.mirrors / "mlflow.log").read_text()
            time.sleep(0.05)
        assert psutil.Process(mirror_pid).nice() == 10
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        trainer.stdout.close()
    assert read_status(run).state == "interrupted"  # the mirror does not hold the run's lock
    wait_for(run.mirrors / ".mlflow.lock")
    assert query(run, "select status from runs") == [("KILLED",)]
    assert query(run, "select count(*) from metrics where key = 'loss'") == [(120,)]

    with session(run):
        mirrors = start_mirrors(run, {"mlflow": {}})
        log(run, range(101, 151), resume=100)
    assert mirrors.wait(PATIENCE_S) == []
    assert query(run, "select status from runs") == [("FINISHED",)]
    steps = query(run, "select step from metrics where key = 'loss' order by step")
    assert steps == [(step,) for step in range(1, 151)]


def test_many_first_runs_share_one_new_store(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, ["geometry"], CONFIG) for _ in range(2)]
    mirrors = [start_mirrors(run, {"mlflow": {}}) for run in runs]
    assert [each.wait(PATIENCE_S) for each in mirrors] == [[], []]
    assert query(runs[0], "select status from runs") == [("KILLED",)] * 2
    assert query(runs[0], "select count(*) from experiments") == [(2,)]


def test_a_mirror_that_fails_is_a_message(run: RunFolder) -> None:
    with session(run):
        mirrors = start_mirrors(run, {"wandb": {"tags": 5}, "mlfow": {}})
        log(run, range(1, 4))
    broken, unknown = mirrors.wait(PATIENCE_S)
    assert broken.startswith("wandb: ")
    assert "TypeError" in broken
    assert str(run.mirrors / "wandb.log") in broken
    assert "Traceback" in (run.mirrors / "wandb.log").read_text()
    assert "no tracker 'mlfow', did you mean mlflow?" in unknown
    assert "Traceback" not in (run.mirrors / "mlfow.log").read_text()
    assert read_status(run).state == "finished"


def test_a_mirror_that_is_killed_without_a_word(run: RunFolder) -> None:
    with session(run):
        mirrors = start_mirrors(run, {"tensorboard": {}})
        os.kill(mirrors.pids["tensorboard"], signal.SIGKILL)
        (message,) = mirrors.wait(PATIENCE_S)
    assert message.startswith("tensorboard: the mirror failed without a word")


def test_a_mirror_that_cannot_start(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.mirrors.write_text("a file stands here")
    mirrors = start_mirrors(run, {"tensorboard": {}})
    (message,) = mirrors.wait(0.0)
    assert message.startswith("tensorboard: the mirror could not be started")
    assert mirror_module._last_line(run.mirrors / "x.log") == "the mirror failed without a word"


def test_patience_ends_before_the_mirror_does(run: RunFolder) -> None:
    with session(run):
        mirrors = start_mirrors(run, {"tensorboard": {}})
        (message,) = mirrors.wait(0.0)
        assert message.startswith("tensorboard: still sending")
        mirrors.stop()
        assert not psutil.pid_exists(mirrors.pids["tensorboard"])


def test_a_file_named_like_the_package_does_not_stand_in(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorboard.py").write_text("raise SystemExit('wrong file')")
    monkeypatch.chdir(tmp_path)
    with session(run):
        mirrors = start_mirrors(run, {"tensorboard": {}})
    assert mirrors.wait(PATIENCE_S) == []


def test_targets_from_the_configuration() -> None:
    assert mirror_targets({}) == {}
    assert mirror_targets({"mlflow": "off", "wandb": "off", "tensorboard": False}) == {}
    assert mirror_targets({"mlflow": "auto"}) == {"mlflow": {}}
    tracking = {"wandb": "online", "wandb_project": "p", "wandb_name": None, "wandb_tags": ("t",)}
    assert mirror_targets(tracking) == {
        "wandb": {"mode": "online", "project": "p", "name": None, "tags": ["t"]}
    }


@pytest.mark.parametrize("found", [None, ModuleSpec("x", None)])
def test_missing_packages(
    run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: ModuleSpec | None,
) -> None:
    def without_mlflow(name: str) -> ModuleSpec | None:
        return found if name in ("mlflow", "wandb", "tensorboard") else find_spec(name)

    monkeypatch.setattr(mirror_module, "find_spec", without_mlflow)
    assert mirror_targets({"mlflow": "auto"}) == {}
    for tracking in ({"mlflow": "on"}, {"wandb": "offline"}, {"tensorboard": True}):
        with pytest.raises(MissingExtraError, match="is not installed"):
            mirror_targets(tracking)
    assert main([str(run.path), "--to", "mlflow"]) == 1
    assert "pip install 'graphwright[mlflow]'" in capsys.readouterr().err


def test_the_command_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--to", "mlflow"]) == 1
    assert "is not a run" in capsys.readouterr().err


def test_no_mirrors(run: RunFolder) -> None:
    mirrors = start_mirrors(run, {})
    assert isinstance(mirrors, Mirrors)
    assert mirrors.wait(0.0) == []
    mirrors.stop()
    assert not run.mirrors.exists()
