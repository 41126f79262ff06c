"""Logs of python-can, and a bus."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import bus_frames, is_bus, read_frames, stream_frames
from graphwright.tasks.canbus.traffic import generate_traffic

can = pytest.importorskip("can", reason="python-can is not installed")


def messages(frames: Frames) -> list[object]:
    return [
        can.Message(
            timestamp=float(frames.time[k]),
            arbitration_id=int(frames.id[k]),
            is_extended_id=bool(frames.extended[k]),
            data=frames.payload[k, : frames.length[k]].tobytes(),
            channel=0,
        )
        for k in range(len(frames))
    ]


@pytest.fixture(scope="module")
def frames() -> Frames:
    found = generate_traffic(1.0, 2).rows(0, 300)
    found.extended[::5] = True
    return found


def written(path: Path, frames: Frames) -> Path:
    with can.Logger(path) as log:
        for message in messages(frames):
            log(message)
    return path


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf", ".trc"])
def test_logs_are_read_back(tmp_path: Path, frames: Frames, suffix: str) -> None:
    path = written(tmp_path / f"drive{suffix}", frames)
    rejects = Rejects(None)
    found = read_frames(path, rejects=rejects)
    assert rejects.count == 0
    for name in ("id", "extended", "length", "payload", "attack"):
        np.testing.assert_array_equal(getattr(found, name), getattr(frames, name))
    # .trc has tenths of a millisecond
    assert np.allclose(np.diff(found.time), np.diff(frames.time), atol=2.1e-4)
    parts = list(stream_frames(path, chunk=70, rejects=rejects))
    assert [len(part) for part in parts] == [70, 70, 70, 70, 20]


@pytest.mark.parametrize("suffix", [".asc", ".blf"])
def test_logs_may_be_packed(tmp_path: Path, frames: Frames, suffix: str) -> None:
    path = written(tmp_path / f"drive{suffix}", frames)
    packed = tmp_path / f"packed{suffix}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_frames(packed, rejects=Rejects(None))) == 300


@pytest.mark.parametrize("keep", [100, 200, 1500])
def test_a_truncated_blf_is_told(tmp_path: Path, frames: Frames, keep: int) -> None:
    path = written(tmp_path / "drive.blf", frames)
    path.write_bytes(path.read_bytes()[:keep])
    rejects = Rejects(None)
    found = read_frames(path, rejects=rejects)
    assert len(found) < 300
    assert rejects.count == 1
    np.testing.assert_array_equal(found.id, frames.id[: len(found)])


def test_frames_that_are_not_classic_data_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mixed.blf"
    with can.Logger(path) as log:
        log(can.Message(timestamp=1.0, arbitration_id=1, data=[1], channel=0))
        log(can.Message(timestamp=2.0, arbitration_id=1, is_remote_frame=True, channel=0))
        log(can.Message(timestamp=3.0, arbitration_id=1, is_fd=True, data=bytes(12), channel=0))
        log(can.Message(timestamp=4.0, is_error_frame=True, channel=0))
    rejects = Rejects(None)
    assert len(read_frames(path, rejects=rejects)) == 1
    assert rejects.by_reason() == {"remote frame": 1, "CAN FD frame": 1, "error frame": 1}


def test_without_python_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "drive.asc"
    path.write_text("date Mon Nov 22 07:00:00 2026\nbase hex  timestamps absolute\n")
    monkeypatch.setitem(sys.modules, "can", None)
    with pytest.raises(MissingExtraError, match="python-can"):
        read_frames(path, rejects=Rejects(None))
    with pytest.raises(MissingExtraError, match="python-can"):
        bus_frames("virtual:test", rejects=Rejects(None))


def test_a_bus_gives_what_is_sent_and_nothing_when_it_is_silent(frames: Frames) -> None:
    received = bus_frames("virtual:readers", chunk=100, wait=0.2, rejects=Rejects(None))
    sent = frames.rows(0, 150)
    with can.Bus(interface="virtual", channel="readers") as sender:
        for message in messages(sent):
            sender.send(message)
        found = Frames.joined([next(received), next(received)])
        assert len(next(received)) == 0
    received.close()
    np.testing.assert_array_equal(found.id, sent.id)
    np.testing.assert_array_equal(found.payload, sent.payload)


def test_names_of_buses() -> None:
    assert is_bus("socketcan:vcan0")
    assert not is_bus("C:\\drives\\one.csv")
    assert not is_bus("drives/one.csv")
    with pytest.raises(DataError, match="cannot open the bus"):
        bus_frames("nonsense:0", rejects=Rejects(None))
