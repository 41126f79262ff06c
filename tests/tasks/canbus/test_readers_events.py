"""Event logs: columns by name, sources to codes, strict numbers."""

from __future__ import annotations

import csv
import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.data.rejects import Rejects
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.canbus.readers import EventColumns, SourceNames, read_frames, stream_frames

COLUMNS = EventColumns(time="when", source="host", fields=("bytes", "ttl"), label="kind")
LOG = b"""kind,when,host,ttl,bytes
normal,1.5,"a, b",64,1e3
Flood,1.25,c,-1.5,.5
BENIGN,2,c,,7\r
normal,x,d,1,1
normal,3,,1,1
,3,e,1,1
normal,3,e,one,1
normal,3,e,nan,1
normal,3,e,1e39,1
normal,3,e,1
normal,4,e,+2,1.
normal,5,"f,2,3
"""


def noted(folder: Path) -> list[tuple[int, str]]:
    with (folder / "rejected.csv").open(newline="") as file:
        return [(int(row["where"].split()[1]), row["reason"]) for row in csv.DictReader(file)]


def test_a_log_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(LOG)
    names = SourceNames()
    with Rejects(tmp_path / "out") as rejects:
        frames = read_frames(path, rejects=rejects, columns=COLUMNS, names=names)
    assert frames.time.tolist() == [1.5, 1.25, 2.0, 4.0, 5.0]
    assert names.names == ["a, b", "c", "e", '"f']
    assert frames.id.tolist() == [0, 1, 1, 2, 3]
    assert frames.payload.dtype == np.float32
    assert frames.payload.tolist() == [[1000, 64], [0.5, -1.5], [7, 0], [1, 2], [3, 2]]
    assert frames.length.tolist() == [2, 2, 1, 2, 2]
    assert frames.attack.tolist() == [0, 1, 0, 0, 0]
    assert noted(tmp_path / "out") == [
        (5, "time is not a number"),
        (6, "source is empty"),
        (7, "label is empty"),
        (8, "field is not a number"),
        (9, "field is not finite"),
        (10, "field is not finite"),
        (11, "wrong number of columns"),
    ]


def test_codes_are_shared_between_files_and_kept_in_chunks(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("time,source,v\n1,b,1\n2,a,2\n")
    (tmp_path / "two.csv").write_text("time,source,v\n1,a,1\n2,c,2\n3,b,3\n")
    columns, names = EventColumns(fields=("v",)), SourceNames()
    one = read_frames(tmp_path / "one.csv", rejects=Rejects(None), columns=columns, names=names)
    parts = list(
        stream_frames(
            tmp_path / "two.csv", chunk=2, rejects=Rejects(None), columns=columns, names=names
        )
    )
    assert one.id.tolist() == [0, 1]
    assert [part.id.tolist() for part in parts] == [[1, 2], [0]]
    assert names.names == ["b", "a", "c"]


def test_headers_and_columns_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("time,sauce,v\n")
    columns = EventColumns(fields=("v",))
    with pytest.raises(DataError, match="did you mean sauce"):
        read_frames(path, rejects=Rejects(None), columns=columns)
    path.write_text("time,source,v,v\n")
    with pytest.raises(DataError, match="several columns v"):
        read_frames(path, rejects=Rejects(None), columns=columns)
    path.write_text("time,source,v\n")
    assert read_frames(path, rejects=Rejects(None), columns=columns).payload.shape == (0, 1)
    path.write_text("")
    with pytest.raises(DataError, match="is empty"):
        read_frames(path, rejects=Rejects(None), columns=columns)
    with pytest.raises(ConfigError, match="1 to 255 fields"):
        EventColumns()


def times(tmp_path: Path, texts: list[str]) -> tuple[list[float], list[tuple[int, str]]]:
    path = tmp_path / "dates.csv"
    path.write_text("time,source,v\n" + "".join(f"{text},a,1\n" for text in texts))
    with Rejects(tmp_path / "out") as rejects:
        found = read_frames(path, rejects=rejects, columns=EventColumns(fields=("v",)))
    return found.time.tolist(), noted(tmp_path / "out")


def test_times_may_be_dates(tmp_path: Path) -> None:
    good = {
        "1970-01-02": 86400.0,
        "2026-11-22T10:05": 1795341900.0,
        "2026-11-22T10:05:32": 1795341932.0,
        "2026-11-22 10:05:32.25": 1795341932.25,
        "2026-11-22T10:05:32.123456789Z": 1795341932.123456789,
        "2026-11-22T11:05:32+01:00": 1795341932.0,
        "2026-11-22T09:05:32-0100": 1795341932.0,
        "2026-11-22 11:05:32+01": 1795341932.0,
        "1795341932.5": 1795341932.5,
        "1.25e-00007": 1.25e-7,
    }
    bad = {
        "1969-12-31T23:59:59": "time is negative",
        "2026-02-30": "time is no date of ISO 8601",
        "2026-11-22T25:00:00": "time is no date of ISO 8601",
        "2026-11-22T10:05:32 CET": "time is no date of ISO 8601",
        "2026-11-22T10:05:32+99:00": "time is no date of ISO 8601",
        "9999-01-01": "time is no date of ISO 8601",
        "2026-11-2": "time is not a number",
        "22.11.2026": "time is not a number",
        "2026-11-22T": "time is no date of ISO 8601",
    }
    texts = [text for pair in zip(good, bad, strict=False) for text in pair] + ["1.25e-00007"]
    found, told = times(tmp_path, texts)
    assert found == list(good.values())
    assert told == [(2 * k + 3, reason) for k, reason in enumerate(bad.values())]


@settings(max_examples=60, deadline=None)
@given(
    moments=st.lists(
        st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1)), min_size=1, max_size=9
    ),
    hours=st.integers(-12, 12) | st.none(),
    separator=st.sampled_from("T "),
)
def test_dates_are_those_of_python(
    moments: list[datetime], hours: int | None, separator: str
) -> None:
    zone = UTC if hours is None else timezone(timedelta(hours=hours))
    aware = [moment.replace(tzinfo=zone) for moment in moments]
    texts = [
        (m if hours is not None else m.replace(tzinfo=None)).isoformat(separator) for m in aware
    ]
    with tempfile.TemporaryDirectory() as folder:
        found, told = times(Path(folder), texts)
    assert not told
    np.testing.assert_allclose(found, [m.timestamp() for m in aware], atol=1e-6, rtol=0)


@settings(max_examples=100, deadline=None)
@given(noise=st.binary(max_size=200) | st.text('0123456789.,"-+eE\nab \r:TZ').map(str.encode))
def test_noise_behind_a_header_is_a_row_or_a_reject(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        path.write_bytes(b"time,source,v\n" + noise)
        rejects = Rejects(None)
        frames = read_frames(path, rejects=rejects, columns=EventColumns(fields=("v",)))
    lines = noise.count(b"\n") + (not noise.endswith(b"\n") and noise != b"")
    assert len(frames) + rejects.count == lines
    assert np.isfinite(frames.payload).all()
    assert (frames.time >= 0).all()
