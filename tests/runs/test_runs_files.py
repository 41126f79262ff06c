"""Files are whole or absent, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import RunError
from graphwright.runs.files import (
    atomic_path,
    read_json,
    remove_stale_temporaries,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)

WRITER = """
import sys
from pathlib import Path
from graphwright.runs.files import write_json_atomic
path = Path(sys.argv[1])
for count in range(10**9):
    write_json_atomic(path, {"count": count, "filling": ["x" * 100] * 3000})
    if count == 0:
        print("ready", flush=True)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_temporary_lies_beside_and_becomes_the_file(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
        assert re.fullmatch(rf"\.a\.bin\.tmp-{os.getpid()}-[0-9a-f]{{8}}", temporary.name)
        assert temporary.parent == tmp_path
        assert not (tmp_path / "a.bin").exists()
    assert names(tmp_path) == ["a.bin"]
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


def test_a_failure_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "a", "old")

    def half() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        half()
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_one_missing_folder_is_made_but_not_two(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "figures" / "a", "x")
    with pytest.raises(RunError):
        write_text_atomic(tmp_path / "gone" / "figures" / "a", "x")
    assert names(tmp_path) == ["figures"]


def test_mode_and_a_very_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    write_bytes_atomic(path, b"x", mode=0o444)
    assert path.stat().st_mode & 0o777 == 0o444
    with pytest.raises(RunError, match="too long"):
        write_bytes_atomic(tmp_path / ("n" * 300), b"x")


def test_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    for delay in (0.0, 0.003, 0.011, 0.023, 0.041):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        with writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        assert len(read_json(path)["filling"]) == 3000
    remove_stale_temporaries(tmp_path)
    assert names(tmp_path) == ["metrics.json"]


def test_stale_temporaries_go_and_living_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    below = tmp_path / "mirrors"
    below.mkdir()
    stale = below / f".a.json.tmp-{dead.pid}-0123abcd"
    living = tmp_path / f".b.json.tmp-{os.getpid()}-0123abcd"
    inherited = tmp_path / f".c.json.tmp-{os.getpid()}-0123abcd"  # older than this process
    other = tmp_path / ".d.tmp-notes"
    for path in (stale, living, inherited, other):
        path.write_text("x")
    os.utime(inherited, (1.0, 1.0))
    assert sorted(remove_stale_temporaries(tmp_path)) == sorted([stale, inherited])
    assert living.exists()
    assert other.exists()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_storage_errors_say_what_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    write_text_atomic(tmp_path / "a.json", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=text) as caught:
        write_text_atomic(tmp_path / "a.json", "new")
    assert str(tmp_path / "a.json") in str(caught.value)
    assert names(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="a file stands where a folder is needed"):
        write_text_atomic(tmp_path / "file" / "a", "x")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_truly_full_disk(tiny_disk: Path) -> None:
    write_text_atomic(tiny_disk / "a", "old")
    with pytest.raises(RunError, match="disk is full"):
        write_bytes_atomic(tiny_disk / "a", b"x" * 200_000)
    assert names(tiny_disk) == ["a"]
    assert (tiny_disk / "a").read_text() == "old"


def test_a_truly_read_only_disk(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(RunError, match="file system is read-only"):
        write_text_atomic(tiny_disk / "a", "x")


def test_json_is_strict_and_plain(tmp_path: Path) -> None:
    tree = {
        "nan": math.nan,
        "inf": [math.inf, -math.inf],
        "numpy": np.float32(0.5),
        "array": np.arange(3),
        "path": Path("a/b"),
        1: (True, None, "ä"),
    }
    write_json_atomic(tmp_path / "a.json", tree)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=refuse) == {
        "nan": "NaN",
        "inf": ["Infinity", "-Infinity"],
        "numpy": 0.5,
        "array": [0, 1, 2],
        "path": "a/b",
        "1": [True, None, "ä"],
    }
    assert text.endswith("}\n")
    with pytest.raises(TypeError, match="object is not plain data"):
        write_json_atomic(tmp_path / "b.json", object())
    assert names(tmp_path) == ["a.json"]


def test_read_json_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no a\.json"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(RunError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")
    with pytest.raises(RunError, match="cannot read"):
        read_json(tmp_path)
