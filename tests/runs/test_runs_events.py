"""Events: whole lines, strict JSON, repeated steps once."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.errors import RunError
from graphwright.runs import events as events_module
from graphwright.runs.events import Events, EventTail, EventWriter, Record, read_events

ENDLESS = """
import sys
from pathlib import Path
from graphwright.runs.events import EventWriter
writer = EventWriter(Path(sys.argv[1]))
for step in range(10**9):
    writer.log({"loss": step / 7, "metric with a long name": step}, step, 0)
    if step % 100 == 0:
        writer.flush()
    if step == 1000:
        print("ready", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_records_as_agreed(path: Path) -> None:
    with EventWriter(path) as writer:
        writer.log({"train_loss": 0.31, "größe": np.float32(0.5)}, 12, 1)
        writer.log({"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1e-300, "e": True}, 13, 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert list(lines[0]) == ["step", "epoch", "time", "name", "value"]
    assert lines[0]["step"] == 12
    assert lines[0]["epoch"] == 1
    assert lines[0]["time"] > 1.7e9
    assert [line["name"] for line in lines[:2]] == ["train_loss", "größe"]
    assert [line["value"] for line in lines] == [
        0.31, 0.5, "NaN", "Infinity", "-Infinity", 1e-300, 1.0,
    ]  # fmt: skip
    events = read_events(path)
    assert events.names() == ["train_loss", "größe", "a", "b", "c", "d", "e"]
    assert events.series("train_loss") == ([12], [1], [0.31])
    assert events.times("train_loss") == [lines[0]["time"]]
    assert math.isnan(events.last("a") or 0.0)
    assert (events.last("b"), events.last("c")) == (math.inf, -math.inf)


def test_what_is_not_there(path: Path) -> None:
    events = read_events(path)
    assert events.names() == []
    assert events.series("loss") == ([], [], [])
    assert events.times("loss") == []
    assert events.last("loss") is None


def test_repeated_steps_come_once(path: Path) -> None:
    with EventWriter(path) as writer:
        for step in range(1, 6):
            writer.log({"loss": step}, step, 0)
        writer.log({"val_loss": 5}, 5, 0)
    with EventWriter(path) as writer:
        writer.mark_resume(3)
        for step in range(4, 8):
            writer.log({"loss": -step}, step, 0)
    events = read_events(path)
    assert events.series("loss") == (
        [1, 2, 3, 4, 5, 6, 7],
        [0] * 7,
        [1.0, 2.0, 3.0, -4.0, -5.0, -6.0, -7.0],
    )
    assert events.names() == ["loss"]
    assert events.last("val_loss") is None


def test_records_are_buffered_until_flushed(path: Path) -> None:
    writer = EventWriter(path)
    writer.log({"loss": 1.0}, 0, 0)
    assert path.stat().st_size == 0
    writer.flush()
    assert read_events(path).last("loss") == 1.0
    writer.log({"loss": 2.0}, 1, 0)
    writer.close()
    writer.close()
    assert read_events(path).last("loss") == 2.0


def test_a_second_or_many_lines_flush(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventWriter(path) as writer:
        writer.log({f"m{i}": i for i in range(5000)}, 0, 0)
        assert len(read_events(path).names()) == 5000
        monkeypatch.setattr(events_module, "_FLUSH_S", -1.0)
        writer.log({"late": 1.0}, 0, 0)
        assert read_events(path).last("late") == 1.0


def test_kill_leaves_whole_lines_and_the_next_writer_goes_on(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    steps = read_events(path).series("loss")[0]
    assert len(steps) > 1000
    assert steps == list(range(len(steps)))
    with EventWriter(path) as writer:
        writer.mark_resume(500)
        writer.log({"loss": 1.0}, 501, 0)
    assert read_events(path).series("loss")[0] == list(range(502))


@pytest.mark.parametrize("length", [1, 30, 70_000, 200_000])
def test_an_unfinished_last_line_is_cut_off(path: Path, length: int) -> None:
    whole = b'{"step":1,"epoch":0,"time":1.0,"name":"a","value":1.0}\n'
    path.write_bytes(whole + b"{" * length)
    assert read_events(path).series("a")[0] == [1]
    EventWriter(path).close()
    assert path.read_bytes() == whole
    path.write_bytes(b"{" * length)
    EventWriter(path).close()
    assert path.read_bytes() == b""


def test_damaged_lines_are_counted_and_left_out(path: Path) -> None:
    good = '{"step":1,"epoch":0,"time":1.0,"name":"a","value":1.0}\n'
    bad = ["nonsense\n", "5\n", '"event"\n', '{"step":1}\n', "\n", "1,2\n", '{"event":"x"}\n']
    path.write_text(good + "".join(bad) + good)
    events = read_events(path)
    assert events.series("a")[0] == [1, 1]
    assert events.damaged == len(bad)
    path.write_text(good + "1,2\n")  # valid when joined by commas, and yet no record
    assert read_events(path).damaged == 1


def test_a_full_disk_keeps_the_records_for_the_next_try(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(path)
    writer.log({"loss": 1.0}, 1, 0)
    writer.flush()
    whole = path.read_bytes()
    write = os.write

    def write_some_then_fail(descriptor: int, data: bytes) -> int:
        if len(data) > 10:
            return write(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    writer.log({"loss": 2.0}, 2, 0)
    length = len(writer._lines[0])
    writer._lines[0] = writer._lines[0].ljust(length + 10 - length % 10)
    monkeypatch.setattr(os, "write", write_some_then_fail)
    with pytest.raises(RunError, match="disk is full"):
        writer.flush()
    assert path.read_bytes() == whole
    monkeypatch.undo()
    writer.close()
    assert read_events(path).series("loss")[0] == [1, 2]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="a file stands"):
        EventWriter(tmp_path / "file" / "events.jsonl")


def test_tail_reads_whole_lines_only_once(path: Path) -> None:
    tail = EventTail(path)
    assert tail.read() == []
    line = b'{"step":1,"epoch":0,"time":1.0,"name":"a","value":1.0}\n'
    path.write_bytes(line + line[:20])
    assert tail.read() == [Record(1, 0, 1.0, "a", 1.0)]
    assert tail.offset == len(line)
    assert tail.read() == []
    path.write_bytes(line + line + b'{"event":"resume","step":3,"time":2.0}\n')
    first, marker = EventTail(path, tail.offset).read()
    assert first == Record(1, 0, 1.0, "a", 1.0)
    assert (marker.name, marker.step) == (None, 3)
    assert len(EventTail(path).read(most_bytes=60)) == 1


values = st.floats(width=64) | st.integers(-(2**53), 2**53)
logs = st.lists(
    st.tuples(st.dictionaries(st.text(max_size=8), values, max_size=3), st.integers(0, 50)),
    max_size=20,
)


@given(logs)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, log: list[tuple[dict[str, float], int]]
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    expected: dict[str, list[tuple[int, float]]] = {}
    with EventWriter(path) as writer:
        for metrics, step in log:
            writer.log(metrics, step, 0)
            for name, value in metrics.items():
                expected.setdefault(name, []).append((step, float(value)))
    events = read_events(path)
    assert events.damaged == 0
    assert sorted(events.names()) == sorted(expected)
    for name, pairs in expected.items():
        steps, _, found = events.series(name)
        assert steps == [step for step, _ in pairs]
        np.testing.assert_array_equal(found, [value for _, value in pairs])


def test_several_resumes() -> None:
    def at(step: int, name: str | None = "a") -> Record:
        return Record(step, 0, 0.0, name, 0.0)

    events = Events([at(1), at(2), at(1, None), at(2), at(3), at(0, None), at(1), at(2)])
    assert events.series("a")[0] == [1, 2]
