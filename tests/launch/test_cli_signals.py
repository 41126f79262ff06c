"""A real process that is asked to stop, and one that is killed: both go on bit for bit."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_case import assert_same

from graphwright.runs.events import read_events
from graphwright.runs.status import read_status
from run_results import results_of

PATIENCE_S = 120.0
EPOCHS = 40
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def long(tiny) -> tuple[str, ...]:
    """Overrides for a training long enough to be met in its middle."""
    return (*(text for text in tiny if "epochs" not in text), f"training.epochs={EPOCHS}")


@pytest.fixture(scope="module")
def whole(long, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint and the weights of the same training, undisturbed."""
    from graphwright.config.presets import resolve_preset
    from graphwright.launch.local import train

    home = tmp_path_factory.mktemp("whole")
    config = resolve_preset("geometry/tiny", long)
    return results_of(train(config, runs_root=home / "runs", data_root=home / "data").path)


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def training(start, place, long) -> Iterator[subprocess.Popen[str]]:
    """A process that is held by SIGSTOP in the middle of its training.

    One that is near its end by then, on a busy machine, is no use: another is started.
    """
    process, epochs = _held(start, place, long)
    while epochs > EPOCHS // 2:
        process.kill()
        process.communicate()
        shutil.rmtree(place.runs)
        process, epochs = _held(start, place, long)
    yield process
    process.kill()
    process.communicate()


def _held(start, place, long) -> tuple[subprocess.Popen[str], int]:
    """A stopped training, and the epochs it has done."""
    process: subprocess.Popen[str] = start("train", "geometry/tiny", *long, *place.roots)
    _wait_for(lambda: any(place.runs.rglob("last.ckpt")), process)
    process.send_signal(signal.SIGSTOP)
    (run,) = place.run_folders()
    return process, len(read_events(run / "events.jsonl").series("train_loss")[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_to_stop(training, cli, place, whole, number: signal.Signals) -> None:
    training.send_signal(number)
    training.send_signal(signal.SIGCONT)
    out, err = training.communicate(timeout=PATIENCE_S)
    (run,) = place.run_folders()
    assert training.returncode == 0
    assert f"stopped by {number.name}" in err
    assert f"graphwright resume {run}" in err
    assert out.strip() == f"interrupted: {run}"
    assert "Traceback" not in err
    _assert_goes_on(cli, place, run, whole)


def test_killed(training, cli, place, whole) -> None:
    (run,) = place.run_folders()
    second = cli("resume", run, *place.roots)
    training.kill()
    training.communicate(timeout=PATIENCE_S)
    assert second.code == 2
    assert f"process {training.pid}" in second.err
    _assert_goes_on(cli, place, run, whole)


def _assert_goes_on(cli, place, run: Path, whole: dict[str, Any]) -> None:
    assert read_status(run).state == "interrupted"
    result = cli("resume", run, *place.roots)
    assert result.code == 0, result.err
    assert read_status(run).state == "finished"
    assert_same(results_of(run), whole)
    assert [path for path in place.files() if ".tmp" in path.name] == []


def _tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOLS / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_kill_and_resume(tiny) -> None:
    done = _tool("kill_and_resume.py", "--kills", "2", "--kills-per-run", "2", *tiny)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kills" in done.stdout
    assert "bit-equal" in done.stdout


def test_start_together(tiny) -> None:
    done = _tool("start_together.py", "--processes", "4", *tiny)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "each got its own folder" in done.stdout
