"""Text captures: the fast readers against the slow ones, line by line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from reference_reader import read_slowly

from graphwright.data.rejects import Rejects
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import (
    backward_steps,
    content,
    read_frames,
    stream_frames,
)
from graphwright.tasks.canbus.readers.parsed import no_frames

HEADER = b"timestamp,arbitration_id,data_field,attack\n"
GOOD = {
    "can_train_and_test": [
        b"1672531200.0,148,0B1BB68241001105,0",
        b"1672531200.0026531,140,04042803000411A0,1",
        b"1672531200.003554,1ED,614008F208E870DE\t,1",
        b"1672531243.346545,257,,1",
        b"0.5,1FFFFFFF,fa,0\r",
        b"1e-05,7ff,00,0",
        b"123456789012345678901234567890.25,7ff,00,0",
    ],
    "hcrl_csv": [
        b"1478198376.389427,0316,8,05,21,68,09,21,21,00,6f,R",
        b"1478198376.389636,05f0,2,01,00,T",
        b"1478198376.4,18feee00,0,R",
    ],
    "hcrl_text": [
        b"Timestamp: 1479121434.850202        ID: 0350    000    DLC: 8    05 28 84 66 6d 00 00 a2",
        b"Timestamp: 1479121434.9\tID: 05f0    000    DLC: 2    01 00   ",
        b"Timestamp: 1479121434.9 ID: 05f0 000 DLC: 0",
    ],
    "candump": [
        b"(1436509052.249713) vcan0 044#2A366C2BBA",
        b"(1436509052.449847) vcan0 0F6#7ADFE07BD2 R",
        b"(1436509052.650004) can1 12345678#",
    ],
}
BAD = {
    b"-1.0,148,00,0": "time is negative",
    b"nan,148,00,0": "time is not finite",
    b"-inf,148,00,0": "time is not finite",
    b"1e999,148,00,0": "time is not finite",
    b"1.2.3,148,00,0": "time is not a number",
    b",148,00,0": "time is not a number",
    b" 1.0,148,00,0": "time is not a number",
    b".5,148,00,0": "time is not a number",
    b"1.,148,00,0": "time is not a number",
    b"1.0,800,00,0": "id is above 0x7FF",
    b"1.0,20000000,00,0": "id is above 0x1FFFFFFF",
    b"1.0,14,00,0": "id is not hexadecimal of a length that is known",
    b"1.0,14G,00,0": "id is not hexadecimal of a length that is known",
    b"1.0,148,0G,0": "payload is not hexadecimal",
    b"1.0,148,000,0": "payload has an odd number of hex digits",
    b"1.0,148,001122334455667788,0": "payload is longer than 8 bytes",
    b"1.0,148," + b"00" * 64 + b",0": "payload is longer than 8 bytes",
    b"1.0,148,00112233445566778G,0": "payload is not hexadecimal",
    b"1.0,148,00,2": "attack flag is not one that is known",
    b"1.0,148,00,": "attack flag is not one that is known",
    b"1.0,148,00,01": "attack flag is not one that is known",
    b"1.0,148,00": "wrong number of columns",
    b"1.0,148,00,0,0": "wrong number of columns",
    b"": "line is empty",
    b" \t\r": "line is empty",
}


def same(left: Frames, right: Frames) -> None:
    for field in fields(Frames):
        a, b = getattr(left, field.name), getattr(right, field.name)
        assert a.dtype == b.dtype, field.name
        np.testing.assert_array_equal(a, b, err_msg=field.name)


def noted(folder: Path) -> list[tuple[int, str]]:
    with (folder / "rejected.csv").open(newline="") as file:
        return [(int(row["where"].split()[1]), row["reason"]) for row in csv.DictReader(file)]


def read_both(path: Path, format: str) -> Frames:
    """The frames, after checking them and the rejects against the reference."""
    with tempfile.TemporaryDirectory() as folder:
        with Rejects(folder) as rejects:
            frames = read_frames(path, format=format, rejects=rejects)
        expected, rejected = read_slowly(path, format)
        same(frames, expected)
        assert sorted(noted(Path(folder))) == rejected
    return frames


def written(folder: Path, format: str, lines: list[bytes]) -> Path:
    path = folder / f"{format}.txt"
    head = HEADER if format == "can_train_and_test" else b""
    path.write_bytes(head + b"".join(line + b"\n" for line in lines))
    return path


@pytest.mark.parametrize("format", sorted(GOOD))
def test_good_lines_are_all_frames_and_formats_are_told_apart(tmp_path: Path, format: str) -> None:
    path = written(tmp_path, format, GOOD[format])
    frames = read_both(path, format)
    rejects = Rejects(None)
    same(read_frames(path, rejects=rejects), frames)
    assert len(frames) == len(GOOD[format])
    assert rejects.count == 0


def test_values_of_a_few_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "can_train_and_test", GOOD["can_train_and_test"])
    frames = read_frames(path, rejects=Rejects(None))
    assert frames.time[:4].tolist() == [
        1672531200.0,
        1672531200.0026531,
        1672531200.003554,
        1672531243.346545,
    ]
    assert frames.id[:3].tolist() == [0x148, 0x140, 0x1ED]
    assert frames.extended.tolist() == [False] * 4 + [True] + [False] * 2
    assert frames.length.tolist() == [8, 8, 8, 0, 1, 1, 1]
    assert frames.payload[2].tolist() == list(bytes.fromhex("614008F208E870DE"))
    assert frames.payload[3:5, 0].tolist() == [0, 0xFA]
    assert frames.attack[:4].tolist() == [0, 1, 1, 1]
    assert backward_steps(frames) == 2


@pytest.mark.parametrize("line", sorted(BAD))
def test_a_bad_line_is_rejected_with_its_number_and_reason(tmp_path: Path, line: bytes) -> None:
    good = GOOD["can_train_and_test"]
    path = written(tmp_path, "can_train_and_test", [*good, line, *good])
    with Rejects(tmp_path / "out") as rejects:
        assert len(read_frames(path, rejects=rejects)) == 2 * len(good)
    assert noted(tmp_path / "out") == [(2 + len(good), BAD[line])]
    read_both(path, "can_train_and_test")


@pytest.mark.parametrize(
    ("format", "line", "reason"),
    [
        ("hcrl_csv", b"1.0,0316,9,05,21,68,09,21,21,00,6f,00,R", "payload length is not"),
        ("hcrl_csv", b"1.0,0316,3,05,21,R", "wrong number of columns"),
        ("hcrl_csv", b"1.0,0316,2,05,2,R", "payload is not hexadecimal"),
        ("hcrl_csv", b"1.0,0316,2,05,21,X", "attack flag"),
        ("hcrl_csv", b"1.0,0916,2,05,21,R", "id is above 0x7FF"),
        ("hcrl_text", b"Timestamp: 1.0 ID: 0350 100 DLC: 0", "remote frame"),
        ("hcrl_text", b"Timestamp: 1.0 IX: 0350 000 DLC: 0", "line is not of this format"),
        ("hcrl_text", b"Timestamp: 1.0 ID: 0350 000 DLC: 3 00 11", "wrong number of columns"),
        ("candump", b"(1.0) vcan0 123#R", "remote frame"),
        ("candump", b"(1.0) vcan0 123##1AABB", "CAN FD frame"),
        ("candump", b"(1.0) vcan0 20000004#0000000000000000", "error frame"),
        ("candump", b"(1.0) vcan0 1234#00", "line is not of this format"),
        ("candump", b"1.0 vcan0 123#00", "line is not of this format"),
        ("candump", b"(1.0) vcan0 123#00 X", "line is not of this format"),
    ],
)
def test_bad_lines_of_the_other_formats(
    tmp_path: Path, format: str, line: bytes, reason: str
) -> None:
    path = written(tmp_path, format, [*GOOD[format], line])
    read_both(path, format)
    rejects = Rejects(None)
    assert len(read_frames(path, rejects=rejects)) == len(GOOD[format])
    assert next(iter(rejects.by_reason())).startswith(reason)


LETTERS = st.sampled_from(b"0123456789aFxG.,-+ \t\r\n\0e#():RT\xff")


@st.composite
def mutated(draw: st.DrawFn, format: str) -> bytes:
    line = bytearray(draw(st.sampled_from(GOOD[format])))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(line)))
        letter = draw(LETTERS)
        how = draw(st.integers(0, 2))
        line[place : place + (how > 0)] = bytes([letter]) if how < 2 else b""
    return bytes(line)


@pytest.mark.parametrize("format", sorted(GOOD))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mutated_lines_give_what_the_reference_gives(format: str, data: st.DataObject) -> None:
    lines = data.draw(st.lists(mutated(format), max_size=8))
    with tempfile.TemporaryDirectory() as folder:
        read_both(written(Path(folder), format, lines), format)


@pytest.mark.parametrize("format", sorted(GOOD))
@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=300))
def test_random_bytes_give_what_the_reference_gives(format: str, noise: bytes) -> None:
    assume(not noise.startswith(b"\x1f\x8b"))  # that is damaged gzip: tested by itself
    with tempfile.TemporaryDirectory() as folder:
        read_both(written(Path(folder), format, [noise]), format)


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=300))
@example(noise=b"\x1f\x8b")
@example(noise=b"\x1f\x8b\x08 noise behind the beginning of a gzip header")
def test_noise_is_an_error_that_is_told_or_no_frames(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise"
        path.write_bytes(noise)
        frames = no_frames()
        with contextlib.suppress(DataError):  # and nothing else
            frames = read_frames(path, rejects=Rejects(None))
    assert len(frames) <= noise.count(b"\n") + 1


@pytest.mark.parametrize("block", [40, 64, 100, 1 << 20])
@pytest.mark.parametrize("chunk", [1, 2, 7, 50, 1000])
def test_no_frame_is_lost_or_doubled_at_a_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, chunk: int
) -> None:
    monkeypatch.setattr(content, "_BLOCK", block)
    lines = [b"%d.0,%03X,%02X,0" % (k, k, k) for k in range(120)]
    lines[60] = b"spoilt"
    path = written(tmp_path, "can_train_and_test", lines)
    rejects = Rejects(None)
    parts = list(stream_frames(path, chunk=chunk, rejects=rejects))
    assert [len(part) for part in parts[:-1]] == [chunk] * (len(parts) - 1)
    assert 1 <= len(parts[-1]) <= chunk
    same(Frames.joined(parts), read_slowly(path, "can_train_and_test")[0])
    assert rejects.count == 1


def test_chunks_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chunk"):
        stream_frames(tmp_path, chunk=0, rejects=Rejects(None))


def gzipped(tmp_path: Path, count: int) -> tuple[Path, bytes]:
    rng = np.random.default_rng(1)
    times, values = np.sort(rng.random(count)), rng.integers(0, 2**63, count)
    lines = [b"%.6f,123,%016X,0\n" % (t, v) for t, v in zip(times, values, strict=True)]
    plain = HEADER + b"".join(lines)
    path = tmp_path / "capture.csv.gz"
    path.write_bytes(gzip.compress(plain))
    return path, plain


def test_gzip_is_read_and_hashed_as_what_is_in_it(tmp_path: Path) -> None:
    path, plain = gzipped(tmp_path, 500)
    digest = hashlib.sha256()
    frames = read_frames(path, rejects=Rejects(None), digest=digest.update)
    same(frames, read_slowly(path, "can_train_and_test")[0])
    assert digest.hexdigest() == hashlib.sha256(plain).hexdigest()


def test_gzip_of_two_members_and_padding(tmp_path: Path) -> None:
    path, plain = gzipped(tmp_path, 500)
    half = len(plain) // 2
    path.write_bytes(gzip.compress(plain[:half]) + gzip.compress(plain[half:]) + b"\0" * 600)
    rejects = Rejects(None)
    assert len(read_frames(path, rejects=rejects)) == 500
    assert rejects.count == 0


@pytest.mark.parametrize("missing", [1, 8, 9, 300, 4000])
def test_truncated_gzip_gives_its_whole_lines_and_one_reject(tmp_path: Path, missing: int) -> None:
    path, _ = gzipped(tmp_path, 500)
    whole = read_frames(path, rejects=Rejects(None))
    path.write_bytes(path.read_bytes()[:-missing])
    with Rejects(tmp_path / "out") as rejects:
        frames = read_frames(path, rejects=rejects)
    same(frames, whole.rows(0, len(frames)))
    assert len(frames) < 500 or missing <= 9
    assert noted(tmp_path / "out") == [
        (len(frames) + 2, "truncated gzip data: the file ends early")
    ]


def test_damaged_gzip_is_told(tmp_path: Path) -> None:
    path, _ = gzipped(tmp_path, 30_000)
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(raw)
    rejects = Rejects(None)
    assert 0 < len(read_frames(path, rejects=rejects)) <= 30_000
    assert "damaged gzip" in next(iter(rejects.by_reason()))


@pytest.mark.parametrize("block", [64, 1 << 20])
def test_a_line_without_end_is_one_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(content, "_BLOCK", block)
    monkeypatch.setattr(content, "_LONGEST_LINE", 1000)
    path = tmp_path / "long.csv"
    path.write_bytes(HEADER + b"1.0,123,00,0\n" + b"x" * 5000 + b"\n2.0,123,00,0\n" + b"y" * 5000)
    with Rejects(tmp_path / "out") as rejects:
        assert read_frames(path, rejects=rejects).time.tolist() == [1.0, 2.0]
    assert [line for line, _ in noted(tmp_path / "out")] == [3, 5]


def test_what_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "noise.csv").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "other.csv").write_bytes(b"a,b\n1,2\n")
    for name, what in [
        ("", "is a directory"),
        ("missing.csv", "cannot read"),
        ("empty.csv", "is empty"),
        ("empty.csv.gz", "is empty"),
        ("noise.csv", "no format"),
        ("other.csv", "no format"),
    ]:
        with pytest.raises(DataError, match=what):
            read_frames(tmp_path / name, rejects=Rejects(None))
    with pytest.raises(DataError, match="does not begin with the header"):
        read_frames(tmp_path / "other.csv", format="can_train_and_test", rejects=Rejects(None))
    with pytest.raises(DataError, match="did you mean candump"):
        read_frames(tmp_path / "other.csv", format="candmp", rejects=Rejects(None))


def test_a_header_alone_has_no_frames(tmp_path: Path) -> None:
    path = written(tmp_path, "can_train_and_test", [])
    frames = read_frames(path, rejects=Rejects(None))
    assert len(frames) == 0
    assert frames.payload.shape == (0, 8)
    assert list(stream_frames(path, rejects=Rejects(None))) == []


def test_a_last_line_without_line_feed_counts(tmp_path: Path) -> None:
    path = tmp_path / "capture.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER + b"1.0,123,00,0\n2.0,123,00,1")
    assert read_frames(path, rejects=Rejects(None)).attack.tolist() == [0, 1]


REAL = Path(__file__).parents[4] / "shared/data/canbus/can-train-and-test"


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the captures are not on this machine")
def test_a_real_capture_is_read_as_the_reference_reads_it() -> None:
    path = REAL / "set_03/train_02_with_attacks/fuzzing-3.csv.gz"
    rejects = Rejects(None)
    frames = read_frames(path, rejects=rejects)
    expected, rejected = read_slowly(path, "can_train_and_test")
    same(frames, expected)
    assert rejects.count == len(rejected) == 0
    assert (len(frames), int(frames.attack.sum()), int((frames.length == 0).sum())) == (
        296365,
        3848,
        237,
    )
