"""Logs of Vector and PEAK: what python-can writes is read back; what is damaged is told."""

from __future__ import annotations

import gzip
import struct
import sys
import tempfile
from codecs import BOM_UTF8
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphwright.data.rejects import KeptRejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import read_frames, stream_frames
from graphwright.tasks.canbus.readers.parsed import no_frames
from graphwright.tasks.canbus.traffic import generate_traffic
from graphwright.tasks.canbus.watch.bus import open_bus
from graphwright.tasks.canbus.watch.pieces import is_bus

can = pytest.importorskip("can", reason="python-can is not installed")


def messages(frames: Frames) -> list[Any]:
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


@pytest.fixture(scope="module")
def logs(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What python-can writes, by suffix."""
    folder = tmp_path_factory.mktemp("logs")
    suffixes = (".asc", ".blf", ".trc", ".log")
    return {s: written(folder / f"drive{s}", frames.rows(0, 60)).read_bytes() for s in suffixes}


def read(path: Path, **more: Any) -> tuple[Frames, list[tuple[str, str]]]:
    rejects = KeptRejects()
    return read_frames(path, rejects=rejects, **more), rejects.rows


def same(found: Frames, expected: Frames) -> None:
    for field in fields(Frames):
        if field.name != "time":
            a, b = getattr(found, field.name), getattr(expected, field.name)
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf", ".trc"])
def test_logs_are_read_back(tmp_path: Path, frames: Frames, suffix: str) -> None:
    path = written(tmp_path / f"drive{suffix}", frames)
    found, rejected = read(path)
    assert not rejected
    same(found, frames)
    # .trc has tenths of a millisecond
    assert np.allclose(np.diff(found.time), np.diff(frames.time), atol=2.1e-4)
    parts = list(stream_frames(path, chunk=70, rejects=KeptRejects()))
    assert [len(part) for part in parts] == [70, 70, 70, 70, 20]


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc"])
def test_times_are_those_of_python_can(logs: dict[str, bytes], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"drive{suffix}"
    path.write_bytes(logs[suffix])
    with can.LogReader(path) as reader:
        expected = [message.timestamp for message in reader]
    time = read(path)[0].time
    # its reader takes the line behind the header of an .asc for a part of the header
    np.testing.assert_allclose(time[len(time) - len(expected) :], expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc"])
def test_logs_may_be_packed_and_are_hashed_unpacked(
    logs: dict[str, bytes], suffix: str, tmp_path: Path
) -> None:
    packed = tmp_path / f"packed{suffix}.gz"
    packed.write_bytes(gzip.compress(logs[suffix]))
    pieces: list[bytes] = []
    found, rejected = read(packed, digest=pieces.append)
    assert (len(found), rejected) == (60, [])
    assert b"".join(pieces) == logs[suffix]


def test_frames_that_are_not_classic_data_are_rejected(tmp_path: Path) -> None:
    for suffix in (".blf", ".asc"):
        path = tmp_path / f"mixed{suffix}"
        with can.Logger(path) as log:
            log(can.Message(timestamp=1.0, arbitration_id=1, data=[1], channel=0))
            log(can.Message(timestamp=2.0, arbitration_id=1, is_remote_frame=True, channel=0))
            log(can.Message(timestamp=3.0, arbitration_id=1, is_fd=True, data=bytes(12), channel=0))
            log(can.Message(timestamp=4.0, is_error_frame=True, channel=0))
        found, rejected = read(path)
        assert len(found) == 1
        reasons = [reason for _, reason in rejected]
        assert reasons == ["remote frame", "CAN FD frame", "error frame"]


ASC = b"date Mon Nov 22 07:00:00 2026\nbase hex  timestamps absolute\nno internal events logged\n"
ASC_LINES = {
    b"0.5 1 316 Rx d 2 05 ff Length = 20 BitCount = 64 ID = 790": "",
    b"0.5 1 18DB33F1x Tx d 0": "",
    b"0.5 1 7ff rx D 1 00": "",
    b"0.5 1 316 Rx d 3 05 21": "wrong number of columns",
    b"0.5 1 316 Rx d 8 00 11 22 33 44 55 66 77 88": "wrong number of columns",
    b"0.5 1 316 Rx d 1 00 rest": "wrong number of columns",
    b"0.5 1 316 Rx d 9 00 11 22 33 44 55 66 77 88": "payload length",
    b"0.5 1 316 Rx d -1": "payload length",
    b"0.5 1 316 Rx d": "payload length",
    b"0.5 1 316 Rx d 2 05 2": "payload is not hexadecimal",
    b"0.5 1 316 Rx d 2 05 2G": "payload is not hexadecimal",
    b"0.5 1 800 Rx d 0": "id is above 0x7FF",
    b"0.5 1 20000000x Rx d 0": "id is above 0x1FFFFFFF",
    b"0.5 1 Engine Rx d 0": "id is not hexadecimal",
    b"0.5 1 316 Rx r": "remote frame",
    b"0.5 1 ErrorFrame": "error frame",
    b"0.5 CANFD 1 Rx 316 0 0 d 12 0": "CAN FD frame",
    b"-0.5 1 316 Rx d 0": "time is negative",
    b"nan 1 316 Rx d 0": "time is not finite",
    b"1e999 1 316 Rx d 0": "time is not finite",
    b"0,5 1 316 Rx d 0": "time is not a number",
    b"0.5 1 316 TxRq d 0": "line is not of this format",
    b"0.5 1 316": "line is not of this format",
    b"0.5": "line is not of this format",
    b"base oct": "line is not of this format",
}
TRC = b";$FILEVERSION=1.1\n;$STARTTIME=43474.5\n;  a comment\n"
TRC_LINES = {
    b"1) 1841.5 Rx 0316 2 05 FF": "",
    b"2) 1841.5 Tx 18DB33F1 0": "",
    b"3) 1841 Warng FFFFFFFF 4 00 00 00 08": None,
    b"4) 1841 Rx 0316 3 05 FF": "wrong number of columns",
    b"5) 1841 Rx 0316 8 00 11 22 33 44 55 66 77 88": "wrong number of columns",
    b"6) 1841 Rx 0316 9 00 11 22 33 44 55 66 77 88": "payload length",
    b"7) 1841 Rx 0316": "wrong number of columns",
    b"8) 1841 Rx 0316 1 0G": "payload is not hexadecimal",
    b"9) 1841 Rx 0916 0": "id is above 0x7FF",
    b"10) 1841 Rx 316 0": "id is not hexadecimal",
    b"11) 1841 Rx 0316 2 RTR": "remote frame",
    b"12) 1841 Error 0316 0": "error frame",
    b"13) -1 Rx 0316 0": "time is negative",
    b"14) inf Rx 0316 0": "time is not finite",
    b"15) soon Rx 0316 0": "time is not a number",
    b"x 1841 Rx 0316 0": "line is not of this format",
    b"16) 1841 What 0316 0": "line is not of this format",
}


@pytest.mark.parametrize(
    ("suffix", "head", "lines"), [("asc", ASC, ASC_LINES), ("trc", TRC, TRC_LINES)]
)
def test_every_line_is_a_frame_or_told(
    tmp_path: Path, suffix: str, head: bytes, lines: dict[bytes, str | None]
) -> None:
    path = tmp_path / f"lines.{suffix}"
    path.write_bytes(head + b"".join(line + b"\r\n" for line in lines))
    found, rejected = read(path)
    first = head.count(b"\n") + 1
    told = [(f"line {first + k}", why) for k, why in enumerate(lines.values()) if why]
    assert [where for where, _ in rejected] == [where for where, _ in told]
    for (_, reason), (_, why) in zip(rejected, told, strict=True):
        assert reason.startswith(why)
    assert len(found) == sum(why == "" for why in lines.values())
    assert found.payload[0, :3].tolist() == [5, 255, 0]
    assert found.extended[:2].tolist() == [False, True]


def test_decimal_and_relative_asc(tmp_path: Path) -> None:
    path = tmp_path / "drive.asc"
    path.write_bytes(
        b"base dec timestamps relative\nBegin Triggerblock\n 0.5 Start of measurement\n"
        b" 0.25 1 790 Rx d 2 5 255\n 0.25 1 Statistic: D 0 R 0\n 0.25 1 300x Rx d 0\n"
        b" 0.25 1 790 Rx d 1 256\nEnd TriggerBlock\n"
    )
    found, rejected = read(path)
    assert found.time.tolist() == [0.75, 1.25]
    assert found.id.tolist() == [790, 300]
    assert found.payload[0, :2].tolist() == [5, 255]
    assert rejected == [("line 7", "payload is not hexadecimal")]


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b";$STARTTIME=0\n", b"1) 1841 0316 2 05 FF"),
        (b";$FILEVERSION=1.2\n", b"1) 1841 1 Rx 0316 2 05 FF"),
        (b";$FILEVERSION=1.3\n", b"1) 1841 1 Rx 0316 - 2 05 FF"),
        (b";$FILEVERSION=2.0\n;$COLUMNS=N,O,T,I,d,L,D\n", b"1 1841 DT 0316 Rx 2 05 FF"),
        (b";$FILEVERSION=2.1\n;$COLUMNS=O,T,B,I,d,R,l,D\n", b"1841 DT 1 0316 Rx - 2 05 FF"),
    ],
)
def test_versions_of_trc(tmp_path: Path, head: bytes, line: bytes) -> None:
    path = tmp_path / "drive.trc"
    path.write_bytes(head.replace(b"=0\n", b"=25569\n") + line + b"\n")
    found, rejected = read(path, format="trc")
    assert not rejected
    assert (found.time[0], found.id[0], found.length[0]) == (1.841, 0x316, 2)
    assert found.payload[0, :2].tolist() == [5, 255]


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (b";$FILEVERSION=3.0\n", "version 3.0"),
        (b";$FILEVERSION=2.1\n", "no line ;"),
        (b";$FILEVERSION=2.1\n;$COLUMNS=N,O,X\n", "columns of .trc"),
    ],
)
def test_a_trc_that_cannot_be_read_says_why(tmp_path: Path, head: bytes, match: str) -> None:
    path = tmp_path / "drive.trc"
    path.write_bytes(head + b"1 1841 DT 1 0316 Rx - 2 05 FF\n")
    with pytest.raises(DataError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value.where)


# -- damage --------------------------------------------------------------------------------------


def valid(found: Frames) -> None:
    """Nothing that is no frame of classic CAN."""
    assert (np.isfinite(found.time) & (found.time >= 0)).all()
    assert (found.id <= np.where(found.extended, 0x1FFFFFFF, 0x7FF)).all()
    assert (found.length <= 8).all()
    assert not found.payload[np.arange(8) >= found.length[:, None]].any()
    assert not found.attack.any()


def read_bytes(data: bytes, suffix: str) -> tuple[Frames, list[tuple[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"drive{suffix}"
        path.write_bytes(data)
        try:
            found, rejected = read(path, format=suffix[1:] if suffix != ".log" else "candump")
        except DataError as error:  # told, and nothing else is raised
            return no_frames(), [(str(error.where), error.what)]
    valid(found)
    return found, rejected


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc", ".log"])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_log_that_is_cut_off_gives_its_beginning(
    logs: dict[str, bytes], suffix: str, data: st.DataObject
) -> None:
    whole = logs[suffix]
    is_packed = data.draw(st.booleans())
    given_bytes = gzip.compress(whole, mtime=0) if is_packed else whole
    keep = data.draw(st.integers(0, len(given_bytes) - 1))
    complete, _ = read_bytes(whole, suffix)
    found, rejected = read_bytes(given_bytes[:keep], suffix)
    if len(found) and len(rejected) == 0:
        # a cut between two lines, or inside of the last line's bytes, is no damage anybody can see
        assert suffix != ".blf"
        assert not is_packed
    count = len(found) - (not rejected)
    same(found.rows(0, max(count, 0)), complete.rows(0, max(count, 0)))


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc", ".log"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damage_makes_no_frames_and_is_told(
    logs: dict[str, bytes], suffix: str, data: st.DataObject
) -> None:
    whole = bytearray(logs[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    found, rejected = read_bytes(bytes(whole), suffix)
    if suffix == ".blf":
        assert len(found) + len(rejected) <= 61
        # a container whose type is another one now is an object that nobody knows
        assert len(found) == 60 or rejected or whole[156:160] != b"\x0a\0\0\0"
    else:
        assert len(found) + len(rejected) <= whole.count(b"\n") + 1


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc"])
@settings(max_examples=80, deadline=None)
@given(
    noise=st.binary(max_size=300)
    | st.text("0123456789ABxdRTr .;)-\n", max_size=300).map(str.encode)
)
@example(noise=b"")
@example(noise=b"\x1f\x8b\x08 noise behind the beginning of a gzip header")
@example(noise=BOM_UTF8)
@example(noise=BOM_UTF8 + b";\n1")
@example(noise=b"LOGG" + b"\xff" * 200)
@example(noise=b"LOGG" + struct.pack("<I", 144) + bytes(136) + b"LOBJ" + b"\xff" * 60)
def test_noise_is_told_and_every_line_counts(suffix: str, noise: bytes) -> None:
    found, rejected = read_bytes(noise, suffix)
    # the mark of UTF-8 is no part of the first line
    lines = [line for line in noise.removeprefix(BOM_UTF8).split(b"\n") if line.strip()]
    assert len(found) + len(rejected) <= len(lines) + 1
    if suffix == ".trc" and not noise.startswith(b"\x1f\x8b") and len(rejected) != 1:
        passed_over = sum(line.strip().startswith(b";") for line in lines)
        assert len(found) + len(rejected) + passed_over >= len(lines)


def blf_of(*objects: bytes, how: int = 0) -> bytes:
    """A .blf with one container."""
    inside = b"".join(objects)
    container = struct.pack("<4sHHIIH6xI4x", b"LOBJ", 16, 1, 32 + len(inside), 10, how, len(inside))
    return b"LOGG" + struct.pack("<I", 144) + bytes(136) + container + inside


def can_object(
    kind: int = 1,
    flags: int = 0,
    length: int = 2,
    ident: int = 0x316,
    size: int = 48,
    unit: int = 2,
) -> bytes:
    head = struct.pack("<4sHHIIIHHQ", b"LOBJ", 32, 1, size, kind, unit, 0, 0, 1_500_000_000)
    return head + struct.pack("<HBBI8s", 1, flags, length, ident, b"\x05\xff")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"length": 9}, "payload length is not a number from 0 to 8"),
        ({"ident": 0x800}, "id is above 0x7FF"),
        ({"ident": 0xFFFFFFFF}, "id is above 0x1FFFFFFF"),
        ({"flags": 0x80}, "remote frame"),
        ({"kind": 73}, "error frame"),
        ({"unit": 7}, "time has no unit"),
        ({"size": 0}, "damaged: the rest cannot be read"),
        ({"size": 1 << 30}, "damaged: the rest cannot be read"),
        ({"size": 400}, "truncated: the file ends early"),
    ],
)
def test_objects_of_a_blf(bad: dict[str, int], reason: str) -> None:
    found, rejected = read_bytes(blf_of(can_object(), can_object(), can_object(**bad)), ".blf")
    assert found.time.tolist() == [1.5, 1.5]
    assert found.id.tolist() == [0x316, 0x316]
    assert found.length.tolist() == [2, 2]
    assert rejected == [("object 3", reason)]


def test_containers_and_other_objects_of_a_blf() -> None:
    # an object of another kind is passed over, one outside of a container is read
    plain = blf_of(can_object(), can_object(kind=65), can_object()) + can_object()
    assert [len(part) for part in read_bytes(plain, ".blf")] == [3, 0]
    found, rejected = read_bytes(blf_of(can_object(), how=9), ".blf")
    assert (len(found), len(rejected)) == (0, 1)
    found, rejected = read_bytes(plain + b"rest of a disc", ".blf")
    assert (len(found), [reason for _, reason in rejected]) == (
        3,
        ["truncated: the file ends early"],
    )
    assert [len(part) for part in read_bytes(plain + bytes(40), ".blf")] == [3, 0]


@pytest.mark.parametrize("suffix", [".asc", ".blf", ".trc", ".log"])
def test_what_is_no_log(tmp_path: Path, suffix: str) -> None:
    folder, empty = tmp_path / f"folder{suffix}", tmp_path / f"empty{suffix}"
    folder.mkdir()
    empty.write_bytes(b"")
    with pytest.raises(DataError, match="is a directory"):
        read(folder)
    with pytest.raises(DataError, match="is empty"):
        read(empty)
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path / f"missing{suffix}", format="blf")


# -- buses ---------------------------------------------------------------------------------------


def test_names_of_buses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_bus("socketcan:vcan0")
    assert not is_bus("C:\\drives\\one.csv")
    assert not is_bus("drives/one.csv")
    with pytest.raises(DataError, match="cannot open the bus"):
        open_bus("nonsense:0")
    monkeypatch.setitem(sys.modules, "can", None)
    with pytest.raises(MissingExtraError, match="python-can"):
        open_bus("virtual:test")
