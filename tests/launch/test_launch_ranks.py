"""Several processes of one run: started, watched, stopped together; told apart when one fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from graphwright.errors import ConfigError, GraphwrightError, TrainingError
from graphwright.launch import ranks
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import mark, read_status

FAKE = str(Path(__file__).with_name("fake_rank.py"))
PATIENCE_S = 20.0

Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", ("toy",), "task: toy\n")


@pytest.fixture
def run(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two ranks that do what they are told."""
    monkeypatch.setattr(ranks, "_PROGRAM", (FAKE,))
    monkeypatch.setattr(ranks, "_GRACE_S", 0.8)

    def call(first: str, second: str, **settings: object) -> str:
        monkeypatch.setenv("FAKE_0", first)
        monkeypatch.setenv("FAKE_1", second)
        return ranks.run_ranks(folder, 2, data_root=Path("data"), **settings)  # type: ignore[arg-type]

    return call


def test_each_is_told_the_same(run: Run, folder: RunFolder) -> None:
    run("ends", "ends", command=["graphwright", "train"], links={"a": "b"}, resume=True)
    first, second = (_note(folder, rank) for rank in (0, 1))
    assert first.replace("rank_0.json", "rank_1.json") == second
    assert str(folder.path) in first
    assert "--resume" in first
    assert '"command": ["graphwright", "train"]' in first
    assert '"links": {"a": "b"}' in first


@pytest.mark.parametrize("other", ["hangs", "is left alone"])
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_ends_the_run(run: Run, folder: RunFolder, killed: int, other: str) -> None:
    mark(folder, "running")
    acts = ["killed", other] if killed == 0 else [other, "killed"]
    with pytest.raises(TrainingError, match=f"rank {killed} of 2 was killed by SIGKILL") as caught:
        run(*acts)
    assert caught.value.fix is not None
    assert "resume" in caught.value.fix
    status = read_status(folder)
    assert status.state == "failed"
    assert status.error is not None
    assert f"rank {killed} of 2 was killed" in status.error


def test_a_mistake_is_said_once(run: Run) -> None:
    with pytest.raises(ConfigError, match="no such thing") as caught:
        run("mistake", "mistake")
    assert (caught.value.where, caught.value.fix) == ("here", "take another")
    assert caught.value.exit_code == 2


def test_the_first_failure_is_the_cause(run: Run, folder: RunFolder) -> None:
    with pytest.raises(GraphwrightError, match="rank 1 of 2 failed: ValueError: a bad number"):
        run("is left alone", "breaks")
    assert "a bad number" in str(read_status(folder).error)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_are_passed_on(run: Run, folder: RunFolder, number: signal.Signals) -> None:
    """Also to a rank that is not ready for them yet."""
    watch = threading.Thread(target=_signal_soon, args=(folder, [number]))
    watch.start()
    run("asked", "asked")
    watch.join()
    assert [_note(folder, rank) for rank in (0, 1)] == [number.name] * 2


def test_a_second_interrupt_is_a_kill(run: Run, folder: RunFolder) -> None:
    before = set(psutil.Process().children())
    watch = threading.Thread(target=_signal_soon, args=(folder, [signal.SIGINT] * 2))
    watch.start()
    with pytest.raises(KeyboardInterrupt):
        run("hangs", "hangs")
    watch.join()
    assert set(psutil.Process().children()) <= before


def test_ranks_end_with_their_parent(folder: RunFolder) -> None:
    program = (
        "from pathlib import Path; from graphwright.launch import ranks;"
        "from graphwright.runs.folder import RunFolder;"
        f"ranks._PROGRAM = ({FAKE!r},);"
        f"ranks.run_ranks(RunFolder.open({str(folder.path)!r}), 2, data_root=Path('data'))"
    )
    told = {"FAKE_0": "hangs", "FAKE_1": "hangs"}
    parent = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, **told})
    _wait_for(lambda: len(list(folder.path.glob("rank_*.txt"))) == 2)
    children = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    assert len(children) == 2
    _wait_for(lambda: not any(child.is_running() for child in children))


def test_the_number_is_that_of_the_configuration(place, cli) -> None:
    from graphwright.config.presets import resolve_preset
    from graphwright.launch.local import create_run

    config = resolve_preset("geometry/tiny", ("tracking.mlflow=off", "training.devices=2"))
    folder = create_run(config, place.runs)
    others = {"RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}
    done = subprocess.run(
        [sys.executable, "-m", "graphwright.launch.rank", str(folder.path), "--resume"],
        env={**os.environ, **others, "MASTER_PORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "training.devices=2, but 3 processes" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_finished_run_is_left_alone(finished, tmp_path: Path) -> None:
    """A job that Slurm starts once more."""
    before = json.loads(finished.run.status_path.read_text())
    command = [sys.executable, "-m", "graphwright.launch.rank", str(finished.run.path), "--resume"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"{finished.run.path} is finished already\n")
    assert json.loads(finished.run.status_path.read_text()) == before


def _note(folder: RunFolder, rank: int) -> str:
    return (folder.path / f"rank_{rank}.txt").read_text()


def _signal_soon(folder: RunFolder, numbers: list[signal.Signals]) -> None:
    """To this process, as soon as both ranks are there."""
    _wait_for(lambda: len(list(folder.path.glob("rank_*.txt"))) == 2)
    for number in numbers:
        os.kill(os.getpid(), number)
        time.sleep(0.3)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
