"""SIGKILL at chosen writes: the moments when a file lies there under its temporary name only."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from graphwright.config.presets import resolve_preset
from graphwright.launch.local import create_run, resume, train
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import find_runs
from graphwright.runs.status import read_status

# A training of two epochs hands 28 files or folders to the disk with fsync.
_WRITES = (2, 4, 7, 10, 13, 16, 19, 21, 23, 25, 26)


def _train_and_die(tiny: tuple[str, ...], runs: Path, data: Path, write: int) -> None:
    """In a forked child: SIGKILL instead of the given fsync."""
    left, fsync = write, os.fsync

    def deadly(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = deadly
    train(resolve_preset("geometry/tiny", tiny), runs_root=runs, data_root=data)


def _killed(*arguments: object) -> None:
    process = multiprocessing.get_context("fork").Process(target=_train_and_die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_killed_before_it_was_a_run(place, finished, tiny) -> None:
    """Its remains are swept away once nobody can still be making it."""
    _killed(tiny, place.runs, finished.data, 0)
    assert find_runs(place.runs) == []
    (left,) = place.runs.rglob("run_000")
    config = resolve_preset("geometry/tiny", tiny)
    assert create_run(config, place.runs).path == left.with_name("run_001")
    assert left.exists()
    os.utime(left, (0, 0))
    assert create_run(config, place.runs).path == left.with_name("run_002")
    assert not left.exists()


@pytest.mark.parametrize("write", _WRITES)
def test_killed_at_a_write(place, finished, tiny, write: int) -> None:
    _killed(tiny, place.runs, finished.data, write)
    (found,) = find_runs(place.runs)
    assert found.state in ("created", "interrupted")
    for name in ("metrics.json", "status.json", "provenance.json", "startup.json"):
        if (found.path / name).exists():
            RunFolder.open(found.path).read_json(name)  # whole, if it is there
    assert resume(RunFolder.open(found.path), data_root=finished.data) == "finished"
    assert read_status(found.path).state == "finished"
    for name in ("bundle/weights.safetensors", "predictions.parquet", "metrics.json"):
        ours, theirs = (folder / name for folder in (found.path, finished.run.path))
        assert ours.read_bytes() == theirs.read_bytes(), name
    events = RunFolder.open(found.path).events_path.read_text()
    assert events.count('"test_mae"') == 1
    assert [path for path in place.files() if ".tmp" in path.name] == []
