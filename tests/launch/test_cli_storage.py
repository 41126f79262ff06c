"""Disks that are full, read-only or not there: nothing half-written, and a way to go on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphwright.runs.status import read_status

# Runs inside a mount namespace of its own: a small tmpfs is mounted, used and looked at.
_SCRIPT = r"""
import contextlib, hashlib, io, json, subprocess, sys
from pathlib import Path
from graphwright.cli import main

disk, steps, go_on = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])

def call(arguments):
    err, code = io.StringIO(), 0
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as stop:
            code = stop.code
    return {"code": code, "err": err.getvalue()}

def files():
    return {str(p.relative_to(disk)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(disk.rglob("*")) if p.is_file()}

for options, command in steps:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    first = {"options": options, **call(command), "files": files()}
    runs = [str(p.parent) for p in disk.rglob("config.yaml")]
    if first["code"] != 0 and runs:
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        first["resumed"] = {**call(["resume", runs[0], *go_on]), "files": files()}
    subprocess.run(["umount", disk], check=True)
    print(json.dumps(first), flush=True)
"""

Step = tuple[str, tuple[object, ...]]


@pytest.fixture
def on_small_disks(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs commands, each with a tmpfs of its own mounted on `<tmp_path>/disk`; see `_SCRIPT`.

    A step is the mount's options and the command. A run that is left unfinished is resumed once
    the disk has been made larger.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)]
    try:
        subprocess.run(probe, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting is not permitted here: {error}")

    def call(*steps: Step, resume: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        texts = [(options, list(map(str, command))) for options, command in steps]
        inside = [sys.executable, "-c", _SCRIPT, str(disk), json.dumps(texts), json.dumps(resume)]
        done = subprocess.run(
            ["unshare", "-m", *inside], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return call


def _assert_whole(result: dict[str, Any]) -> None:
    assert "Traceback" not in result["err"]
    assert [name for name in result["files"] if ".tmp" in name] == []


def test_full_disk(on_small_disks, finished, tiny, tmp_path: Path) -> None:
    """The disk fills at ever later moments; once there is room again, the run goes on."""
    place = ("--data-root", str(finished.data))
    command = ("train", "geometry/tiny", *tiny, "--runs-root", tmp_path / "disk" / "runs", *place)
    sizes = [4, 20, 40, 96, 160, 240, 1024]
    results = on_small_disks(*((f"size={size}k", command) for size in sizes), resume=place)
    resumed = 0
    for result in results:
        _assert_whole(result)
        names = {Path(name).name for name in result["files"]}
        if result["code"] == 0:
            continue
        assert result["code"] == 2, result
        assert "the disk is full" in result["err"]
        assert "metrics.json" not in names
        assert "model.json" not in names or "weights.safetensors" in names
        if "resumed" in result:
            resumed += 1
            _assert_whole(result["resumed"])
            assert result["resumed"]["code"] == 0, result["resumed"]
            _assert_same_weights(result["resumed"]["files"], finished.run.bundle)
        else:
            assert names == set()
    assert results[0]["code"] == 2
    assert results[-1]["code"] == 0
    assert resumed > 0


def _assert_same_weights(files: dict[str, str], bundle: Path) -> None:
    (found,) = (digest for name, digest in files.items() if name.endswith(".safetensors"))
    assert found == hashlib.sha256((bundle / "weights.safetensors").read_bytes()).hexdigest()


def test_read_only_and_full_disks(on_small_disks, place, tiny, tmp_path: Path) -> None:
    disk, train = tmp_path / "disk", ("train", "geometry/tiny", *tiny)
    as_runs = (*train, "--runs-root", disk / "runs", "--data-root", place.data)
    as_data = (*train, "--data-root", disk / "data", "--runs-root", place.runs)
    steps = [("ro", as_runs), ("ro", as_data)]
    steps += [(f"size={size}", as_data) for size in ("4k", "40k", "200k")]
    for result, (options, command) in zip(on_small_disks(*steps), steps, strict=True):
        _assert_whole(result)
        assert result["code"] == 2
        assert ("read-only" if options == "ro" else "the disk is full") in result["err"]
        assert str(command[-3]) in result["err"]
        assert not any("store/" in name for name in result["files"])
    assert place.run_folders() == []


@pytest.mark.parametrize("root", ["/proc/graphwright/runs", "a file/runs"])
def test_runs_root_that_cannot_be(cli, place, tiny, tmp_path: Path, root: str) -> None:
    (tmp_path / "a file").touch()
    path = tmp_path / root  # an absolute path stays what it is
    command = ("train", "geometry/tiny", *tiny, "--runs-root", path, "--data-root", place.data)
    result = cli(*command)
    assert result.code == 2
    assert str(path) in result.err
    assert place.files() == {tmp_path / "a file"}


@pytest.mark.parametrize("root", ["/proc/graphwright", "a file"])
def test_data_root_that_cannot_be(cli, place, tiny, tmp_path: Path, root: str) -> None:
    (tmp_path / "a file").touch()
    path = tmp_path / root
    command = ("train", "geometry/tiny", *tiny, "--data-root", path, "--runs-root", place.runs)
    result = cli(*command)
    assert result.code == 2
    assert str(path) in result.err
    assert place.run_folders() == []


@pytest.mark.parametrize("writes", [0, 2, 4, 7, 12, 17, 22, 26])
def test_no_space_left_after_some_writes(
    cli, place, finished, tiny, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """As above where mounting is not permitted: from some moment on nothing reaches the disk."""
    left, fsync = writes, os.fsync

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        command = ("train", "geometry/tiny", *tiny, "--runs-root", place.runs)
        result = cli(*command, *finished.roots[2:])
    assert result.code == 2, result
    assert "the disk is full" in result.err
    assert [path for path in place.files() if ".tmp" in path.name] == []
    for run in place.run_folders():
        assert read_status(run).state != "finished"
        assert cli("resume", run, *finished.roots[2:]).code == 0
        weights = (run / "bundle" / "weights.safetensors").read_bytes()
        assert weights == (finished.run.bundle / "weights.safetensors").read_bytes()


def test_predictions_cannot_be_written(cli, finished, structures, tmp_path: Path) -> None:
    source = structures(tmp_path / "mine.npz")
    for out in ("/proc/graphwright/out.csv", tmp_path / "mine.npz" / "out.parquet"):
        result = cli("predict", finished.run.path, source, "-o", out)
        assert result.code == 2
        assert str(out) in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]
