"""Watching files, pipes and pieces with a detector that has no model."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from canbus_frames import random_frames, real_capture
from hypothesis import given, settings
from hypothesis import strategies as st
from watch_helpers import (
    FakeDetector,
    Given,
    Kept,
    candump_lines,
    quiet_frames,
    write_candump,
)

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.readers import read_frames
from graphwright.tasks.canbus.watch import JsonReport, Watch, open_pieces
from graphwright.tasks.canbus.watch.latency import Latencies
from graphwright.tasks.canbus.watch.loop import _windows_at
from graphwright.tasks.canbus.watch.pieces import FilePieces, StdinPieces
from graphwright.tasks.canbus.watch.pressure import Pressure
from graphwright.tasks.canbus.windows import window_graphs


def watched(detector, pieces, **options):
    report = Kept()
    summary = Watch(detector, report, Rejects(None), **options).run(pieces)
    assert report.summaries == [summary]
    return report, summary


def test_an_alarm_names_its_window(tmp_path):
    path = write_candump(tmp_path / "drive.log", quiet_frames(1050, bad=[350]))
    detector = FakeDetector()
    report, summary = watched(detector, FilePieces(path, detector.window, Rejects(None)))
    (alarm,) = report.alarms
    assert (alarm.window, alarm.first_frame, alarm.last_frame) == (3, 300, 399)
    assert alarm.start_time == pytest.approx(1e9 + 0.3)
    assert alarm.end_time == pytest.approx(1e9 + 0.399)
    assert (alarm.score, alarm.threshold) == (0.9, 0.5)
    assert 0 < alarm.latency_s < 60
    assert (summary.frames, summary.windows, summary.alarms, summary.unscored) == (1050, 10, 1, 50)
    assert summary.latency_p50_s <= summary.latency_p99_s
    assert "frames 300-399  score 0.9 > 0.5  ids 100" in alarm.to_text()
    assert "1 alarms in 10 windows, 1050 frames" in summary.to_text()


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 170), max_size=12),
    window=st.sampled_from([(50, 50), (50, 20), (100, 100)]),
)
def test_pieces_of_any_sizes_lose_no_window(sizes, window):
    frames = random_frames(1000, ids=40)
    total = min(sum(sizes), 1000)
    whole = window_graphs(frames.rows(0, total), WindowConfig(size=window[0], stride=window[1]))
    seen = []
    detector = FakeDetector(*window)
    detector.score = lambda graphs: seen.append(graphs) or graphs.node_counts / 1000
    given_ = Given(frames.rows(0, total), sizes)
    Watch(detector, Kept(), Rejects(None)).run(given_)
    assert sum(map(len, seen)) == len(whole)
    if seen:
        for name in ("start", "end", "node_id", "node_x", "edge_x", "start_time"):
            found = np.concatenate([getattr(graphs, name) for graphs in seen])
            assert np.array_equal(found, getattr(whole, name)), name


def test_a_file_is_scored_in_batches_of_64_windows(tmp_path):
    path = write_candump(tmp_path / "drive.log", quiet_frames(13_000))
    detector = FakeDetector()
    watched(detector, FilePieces(path, detector.window, Rejects(None)))
    assert detector.batches == [64, 64, 2]


def test_lines_from_a_pipe_are_scored_as_they_come():
    frames = quiet_frames(250, bad=[120])
    text = "".join(candump_lines(frames)).encode()
    cuts = [0, 10, 4000, 4001, 6000, 10_000, len(text)]
    detector, given_ = FakeDetector(), []

    def read():
        if len(given_) + 1 == len(cuts):
            return b""
        start, stop = cuts[len(given_)], cuts[len(given_) + 1]
        given_.append(list(detector.batches))
        return text[start:stop]

    report, summary = watched(detector, StdinPieces(Rejects(None), read))
    assert [alarm.window for alarm in report.alarms] == [1]
    assert (summary.frames, summary.windows) == (250, 2)
    assert given_[-1] == [1, 1]  # both windows were scored before the rest was read


def test_bad_lines_are_counted_with_their_reasons(tmp_path):
    lines = candump_lines(quiet_frames(200))
    lines[5:5] = ["(1.0) vcan0 100#R\n", "noise\n"]
    path = tmp_path / "drive.log"
    path.write_text("".join(lines))
    detector, rejects = FakeDetector(), Rejects(None)
    summary = Watch(detector, Kept(), rejects).run(FilePieces(path, detector.window, rejects))
    assert summary.rejected == {"remote frame": 1, "wrong number of columns": 1}
    assert "rejected: 1 x remote frame" in summary.to_text()
    assert summary.windows == 2


def test_a_benign_beginning_gives_the_threshold():
    """100 windows of 0.1 s; the first 5 s are 50 windows, a rate of 0.1 takes the 46th of them."""
    frames = quiet_frames(10_000, bad=[7_000])
    frames.id[:4_000:100] = np.arange(40) % 8 + 0x200  # a ninth id in some windows
    detector = FakeDetector()
    report, summary = watched(detector, Given(frames, [6_400, 3_600]), calibrate_s=5.0)
    assert summary.threshold == pytest.approx(0.009)
    assert report.thresholds == [(summary.threshold, 50)]
    assert [alarm.window for alarm in report.alarms] == [70]
    assert (summary.windows, summary.calibrated_on) == (100, 50)


def test_nothing_alarms_while_it_calibrates():
    report, summary = watched(
        FakeDetector(), Given(quiet_frames(4_000, bad=[500]), [4_000]), calibrate_s=3.0
    )
    assert report.alarms == []
    assert summary.threshold == pytest.approx(0.008)  # one window in thirty may be above


@pytest.mark.parametrize(
    ("count", "seconds", "what"),
    [
        (4_000, 0.5, "0.5 s hold 5 windows"),
        (150, 1.0, "1 s hold 1 windows"),
        (50, 1.0, "no window"),
    ],
)
def test_too_short_a_beginning_is_refused(count, seconds, what):
    report = Kept()
    watch = Watch(FakeDetector(), report, Rejects(None), calibrate_s=seconds)
    with pytest.raises(DataError, match=what):
        watch.run(Given(quiet_frames(count), [count]))
    assert report.summaries[0].threshold is None


def test_a_beginning_with_the_highest_score_is_refused():
    detector = FakeDetector()
    detector.score = lambda graphs: np.ones(len(graphs))
    watch = Watch(detector, Kept(), Rejects(None), calibrate_s=3.0)
    with pytest.raises(DataError, match="nothing could be an alarm"):
        watch.run(Given(quiet_frames(4_000), [4_000]))


def test_a_score_that_is_no_number_is_an_alarm(capsys):
    detector = FakeDetector()
    detector.score = lambda graphs: np.full(len(graphs), np.nan)
    Watch(detector, JsonReport(), Rejects(None)).run(Given(quiet_frames(100), [100]))
    alarm, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (alarm["event"], alarm["score"], summary["alarms"]) == ("alarm", None, 1)


def test_it_stops_after_as_many_alarms_as_asked_for():
    source = Given(quiet_frames(2_000, bad=range(0, 2_000, 50)), [500] * 4)
    report, summary = watched(FakeDetector(), source, max_alarms=3)
    assert [alarm.window for alarm in report.alarms] == [0, 1, 2]
    assert (summary.alarms, summary.frames) == (3, 500)
    assert source.is_closed


def test_an_interruption_ends_with_the_summary():
    detector = FakeDetector()
    score, calls = detector.score, itertools.count()

    def interrupted(graphs):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return score(graphs)

    detector.score = interrupted
    source = Given(quiet_frames(1_000, bad=[50]), [100] * 10)
    _, summary = watched(detector, source)
    assert summary.interrupted
    assert (summary.windows, summary.alarms, summary.frames) == (2, 1, 300)
    assert summary.to_text().endswith("stopped before the end")
    assert source.is_closed


def test_json_lines(capsys):
    source = Given(quiet_frames(300, bad=[150]), [300], waiting=[7_000])
    Watch(FakeDetector(), JsonReport(), Rejects(None)).run(source)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["warning", "alarm", "summary"]
    assert events[0]["count"] == 7_000
    assert events[1]["suspects"] == [{"id": "100", "known": True, "weight": 1.0}]
    assert events[2]["most_waiting"] == 7_000


def test_pressure_is_told_when_it_doubles_and_when_it_ends():
    told: list[tuple[str, int]] = []
    pressure = Pressure(100, 10, lambda what, count: told.append((what, count)))
    for waiting in (50, 120, 150, 230, 300, 500, 60, 5, 5, 130):
        pressure.seen(waiting, 0, 0)
    assert [count for _, count in told] == [120, 300, 5, 130]
    assert told[2][0].startswith("caught up")
    assert pressure.most == 500
    for lost in (0, 1, 2, 3, 4, 7, 8):
        pressure.seen(0, lost, 0)
    assert [count for what, count in told if "lost" in what] == [1, 3, 7]


def test_percentiles_are_within_one_per_cent():
    seconds = np.random.default_rng(0).lognormal(-6, 1.5, 20_000)
    counted = Latencies()
    for part in np.array_split(seconds, 7):
        counted.add(part)
    for q in (1, 50, 99):
        exact = float(np.percentile(seconds, q, method="inverted_cdf"))
        assert exact <= counted.percentile(q) * (1 + 1e-9) <= exact * 1.011
    assert Latencies().percentile(50) is None


def test_some_windows_are_those_windows():
    frames = random_frames(1_000)
    config = WindowConfig(size=100, stride=100)
    rows = np.array([1, 4, 9])
    found = _windows_at(window_graphs(frames, config), rows)
    for k, row in enumerate(rows):
        one = window_graphs(frames.rows(row * 100, row * 100 + 100), config)
        nodes = slice(found.node_counts[:k].sum(), found.node_counts[: k + 1].sum())
        edges = slice(found.edge_counts[:k].sum(), found.edge_counts[: k + 1].sum())
        assert np.array_equal(found.node_id[nodes], one.node_id)
        assert np.array_equal(found.edge_index[:, edges], one.edge_index)
        assert np.array_equal(found.edge_x[edges], one.edge_x)
        assert found.start[k] == row * 100


def test_a_missing_file_is_the_users_mistake(tmp_path):
    pieces = open_pieces(str(tmp_path / "no.log"), WindowConfig(), Rejects(None))
    report = Kept()
    with pytest.raises(DataError):
        Watch(FakeDetector(), report, Rejects(None)).run(pieces)
    assert report.summaries == []


@pytest.mark.real_data
def test_a_real_capture_is_watched_whole():
    path = real_capture("set_04/test_01_known_vehicle_known_attack/rpm-accessory-1.csv.gz")
    frames = read_frames(path, rejects=Rejects(None))
    detector = FakeDetector()
    _, summary = watched(detector, FilePieces(path, detector.window, Rejects(None)))
    assert summary.frames == len(frames)
    assert summary.windows == len(frames) // 100
