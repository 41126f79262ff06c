"""Status and lock: what a run says of itself, and what is true after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from graphwright.errors import RunError
from graphwright.runs import lock as lock_module
from graphwright.runs.folder import RunFolder
from graphwright.runs.lock import FileLock, is_locked
from graphwright.runs.status import (
    RunLock,
    Status,
    guard_unfinished,
    mark,
    read_status,
    session,
    write_status,
)

TRAINER = """
import os, subprocess, sys, time
from graphwright.runs.status import session
with session(sys.argv[1]):
    started = subprocess.Popen(["sleep", "600"], close_fds=False)
    forked = os.fork()
    if forked:
        print(started.pid, forked, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, ["geometry"], "task: geometry\n")


def test_a_session_ends_finished(run: RunFolder) -> None:
    with session(run) as running:
        assert running.state == "running"
        assert running.pid == os.getpid()
        assert running.host
        assert read_status(run) == running
    status = read_status(run)
    assert status.state == "finished"
    assert status.is_final
    assert status.started is not None
    assert status.ended is not None
    assert status.ended >= status.started
    assert status.duration_s() == pytest.approx(status.ended - status.started)


def test_an_exception_means_failed(run: RunFolder) -> None:
    with pytest.raises(ValueError, match="bad"), session(run):
        raise ValueError("bad loss\nwith details")
    assert read_status(run).state == "failed"
    assert read_status(run).error == "ValueError: bad loss"


def test_ctrl_c_means_interrupted(run: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt), session(run):
        raise KeyboardInterrupt
    assert read_status(run).state == "interrupted"
    assert read_status(run).error == "KeyboardInterrupt"


def test_a_marked_end_stays(run: RunFolder) -> None:
    with session(run):
        mark(run, "interrupted", error="SIGUSR1")
    assert (read_status(run).state, read_status(run).error) == ("interrupted", "SIGUSR1")
    with session(run):
        assert read_status(run).error is None
    assert read_status(run).state == "finished"


def test_the_reason_of_a_failure_survives_a_full_disk(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    def train() -> None:
        with session(run):
            monkeypatch.setattr(os, "fsync", full)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        train()
    monkeypatch.undo()
    assert read_status(run).state == "interrupted"


def test_a_finished_run_is_never_changed(run: RunFolder) -> None:
    with session(run):
        pass
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    for change in (
        lambda: RunLock(run).__enter__(),
        lambda: mark(run, "running"),
        lambda: write_status(run, Status(state="created")),
        lambda: guard_unfinished(run),
    ):
        with pytest.raises(RunError, match="this run is finished"):
            change()
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_killed_run_reads_as_interrupted_and_workers_keep_no_lock(run: RunFolder) -> None:
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(run.path)], stdout=subprocess.PIPE, text=True
    )
    with trainer:
        assert trainer.stdout is not None
        orphans = [int(pid) for pid in trainer.stdout.readline().split()]
        assert read_status(run).state == "running"
        with pytest.raises(RunError, match=f"written by process {trainer.pid} on "), RunLock(run):
            pass
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        trainer.stdout.close()
    try:
        assert all(psutil.pid_exists(pid) for pid in orphans)
        status = read_status(run)
        assert (status.state, status.pid) == ("interrupted", trainer.pid)
        assert json.loads(run.status_path.read_text())["state"] == "running"
        with session(run):  # resume
            assert read_status(run).state == "running"
    finally:
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
    assert read_status(run).state == "finished"


def test_a_process_number_that_lives_on_means_nothing(run: RunFolder) -> None:
    write_status(run, Status(state="running", pid=1, host="here", started=100.0))
    assert read_status(run).state == "interrupted"
    assert read_status(run).ended == 100.0
    run.events_path.write_text("")
    os.utime(run.events_path, (160.0, 160.0))
    assert read_status(run).duration_s() == 60.0
    assert mark(run, "running").earlier_s == 60.0


def test_ending_while_somebody_looks(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is read, then the run finishes and frees the lock, then the lock is probed."""
    write_status(run, Status(state="running", pid=1, host="here", started=100.0))

    def finish_then_free(path: Path) -> bool:
        write_status(run, Status(state="finished", started=100.0, ended=120.0))
        return is_locked(path)

    monkeypatch.setattr("graphwright.runs.status.is_locked", finish_then_free)
    assert read_status(run).state == "finished"


def test_a_killed_creation_reads_as_created(run: RunFolder) -> None:
    run.status_path.unlink()
    assert read_status(run) == Status(state="created")
    assert read_status(run).duration_s() is None
    guard_unfinished(run)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"state": "asleep"}', "3"])
def test_a_damaged_status(run: RunFolder, text: str) -> None:
    run.status_path.write_text(text)
    with pytest.raises(RunError, match=r"status\.json is damaged"):
        read_status(run)


def test_unknown_fields_of_a_newer_version_are_ignored(run: RunFolder) -> None:
    run.status_path.write_text('{"state": "failed", "error": "x", "mood": "sad"}')
    assert read_status(run) == Status(state="failed", error="x")


def test_a_lock_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run"), RunLock(tmp_path / "gone"):
        pass


def test_a_run_finished_while_waiting_for_the_lock(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = FileLock.acquire

    def finish_meanwhile(lock: FileLock) -> None:
        write_status(run, Status(state="finished"))
        taken(lock)

    monkeypatch.setattr(FileLock, "acquire", finish_meanwhile)
    with pytest.raises(RunError, match="finished"), RunLock(run):
        pass
    assert not is_locked(run.path / ".lock")


def test_readers_do_not_shut_out_a_writer(tmp_path: Path) -> None:
    import fcntl
    import threading

    path = tmp_path / ".lock"
    path.write_text("")
    with path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(reader, fcntl.LOCK_UN)).start()
        lock = FileLock(path, describes="run")
        lock.acquire()
    assert is_locked(path)
    lock.release()
    lock.release()
    assert not is_locked(path)


def test_a_holder_that_left_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_identity", lambda: b"")
    first, second = (FileLock(tmp_path / ".lock", describes="run") for _ in range(2))
    first.acquire()
    with pytest.raises(RunError, match="written by another process"):
        second.acquire(patience_s=0.0)
    first.release()


def test_a_forked_child_gives_up_its_copy(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".lock", describes="run")
    lock.acquire()
    child = os.fork()
    if child == 0:
        os._exit(0 if lock._descriptor is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert is_locked(tmp_path / ".lock")
    lock.release()
