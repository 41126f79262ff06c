"""Windows as graphs: equal to a plain reference, whole, never across pieces, always finite."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from canbus_frames import random_frames, real_capture
from canbus_reference import reference_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.windows import (
    EXTENDED,
    WindowGraphs,
    count_windows,
    stream_window_graphs,
    window_graphs,
)


def near(found: Any, expected: Any) -> None:
    """Equal to 1e-6 of the value, or of the largest of its column's kind where that cancels."""
    np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=1e-6, atol=2e-6)


def check_against_reference(frames: Frames, config: WindowConfig, only: slice = slice(None)) -> int:
    """Compare every window of `frames`; the number of windows."""
    graphs = window_graphs(frames, config)
    assert len(graphs) == count_windows(len(frames), config)
    node_ptr = np.concatenate(([0], np.cumsum(graphs.node_counts)))
    edge_ptr = np.concatenate(([0], np.cumsum(graphs.edge_counts)))
    numbers = range(len(graphs))[only]
    for g in numbers:
        start = g * config.stride
        expected = reference_graph(frames, start, config.size, config.features)
        nodes, edges = slice(node_ptr[g], node_ptr[g + 1]), slice(edge_ptr[g], edge_ptr[g + 1])
        assert (graphs.start[g], graphs.end[g]) == (start, start + config.size)
        assert graphs.node_id[nodes].tolist() == expected["node_id"]
        assert list(zip(*graphs.edge_index[:, edges].tolist(), strict=True)) == expected["edges"]
        near(graphs.node_x[nodes], expected["node_x"])
        near(graphs.edge_x[edges], expected["edge_x"])
        near(graphs.stats[g], expected["stats"])
        for name in ("attack_frames", "start_time", "end_time"):
            assert getattr(graphs, name)[g] == expected[name]
    return len(numbers)


def assert_equal(one: WindowGraphs, other: WindowGraphs) -> None:
    for field in fields(WindowGraphs):
        found, expected = getattr(one, field.name), getattr(other, field.name)
        assert found.dtype == expected.dtype, field.name
        np.testing.assert_array_equal(found, expected, err_msg=field.name)


@pytest.mark.parametrize("features", ["basic", "rich"])
@pytest.mark.parametrize(("size", "stride"), [(100, 100), (50, 50), (20, 7), (16, 30), (2, 1)])
def test_equal_to_the_reference(features: Any, size: int, stride: int) -> None:
    frames = random_frames(420, seed=size)
    config = WindowConfig(size=size, stride=stride, features=features)
    assert check_against_reference(frames, config, slice(0, 60)) > 3


@pytest.mark.parametrize("features", ["basic", "rich"])
def test_event_logs_use_the_same_code(features: Any) -> None:
    frames = random_frames(300, seed=5, fields=3)
    graphs = window_graphs(frames, WindowConfig(size=40, stride=20, features=features))
    assert graphs.node_x.shape[1] == (5 if features == "basic" else 19)
    assert graphs.edge_x.shape[1] == (11 if features == "basic" else 6)
    config = WindowConfig(size=40, stride=20, features=features)
    assert check_against_reference(frames, config) == 14


@pytest.mark.parametrize("features", ["basic", "rich"])
def test_many_ids_need_no_vocabulary(features: Any) -> None:
    frames = random_frames(300, seed=6, ids=2**29)
    assert check_against_reference(frames, WindowConfig(size=64, stride=64, features=features)) == 4


@pytest.mark.real_data
@pytest.mark.parametrize("features", ["basic", "rich"])
def test_a_real_capture_equals_the_reference(features: Any) -> None:
    from graphwright.tasks.canbus.readers import read_frames

    path = real_capture("set_04/train_01_attack_free/accessory-3.csv.gz")
    frames = read_frames(path, rejects=Rejects(None))
    only = slice(None) if features == "basic" else slice(0, None, 4)
    assert check_against_reference(frames, WindowConfig(features=features), only) > 70


def test_a_known_window() -> None:
    frames = replace(random_frames(4), id=np.array([5, 9, 9, 5], np.uint32))
    frames = replace(
        frames, extended=np.zeros(4, np.bool_), attack=np.array([0, 1, 0, 1], np.uint8)
    )
    graphs = window_graphs(frames, WindowConfig(size=4, stride=4))
    assert graphs.node_id.tolist() == [5, 9]
    # 9 → 5, then 5 → 9 and 9 → 9: by target, then by source
    assert graphs.edge_index.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert graphs.node_x[:, 8].tolist() == [2, 2]
    assert graphs.node_x[:, 9].tolist() == pytest.approx([1.0, 2 / 3])
    assert graphs.edge_x[:, 8].tolist() == [1, 1, 1]
    assert graphs.attack_frames.tolist() == [2]


def test_an_extended_id_is_another_node() -> None:
    frames = replace(
        random_frames(6),
        id=np.full(6, 0x123, np.uint32),
        extended=np.array([0, 1, 0, 1, 0, 1], np.bool_),
    )
    graphs = window_graphs(frames, WindowConfig(size=6, stride=6))
    assert graphs.node_id.tolist() == [0x123, 0x123 + EXTENDED]


def test_what_fills_no_window_is_in_no_graph() -> None:
    config = WindowConfig(size=50, stride=50)
    graphs = window_graphs(random_frames(149), config)
    assert len(graphs) == 2
    assert graphs.end[-1] == 100
    none = window_graphs(random_frames(49), config)
    assert len(none) == 0
    for field in fields(WindowGraphs):
        empty, full = getattr(none, field.name), getattr(graphs, field.name)
        assert (empty.dtype, empty.ndim) == (full.dtype, full.ndim), field.name
        assert empty.size == 0
    assert none.node_x.shape == (0, 10)


def test_pieces_of_the_pass_are_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, config = random_frames(2000, seed=3), WindowConfig(size=50, stride=30, features="rich")
    whole = window_graphs(frames, config)
    monkeypatch.setattr("graphwright.tasks.canbus.windows._FRAMES", 200)
    assert_equal(window_graphs(frames, config), whole)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 400), max_size=12),
    size=st.integers(2, 60),
    stride=st.integers(1, 90),
)
def test_a_stream_gives_the_same_windows(cuts: list[int], size: int, stride: int) -> None:
    frames, config = random_frames(400, seed=8), WindowConfig(size=size, stride=stride)
    edges = [0, *sorted(cuts), 400]
    pieces = [frames.rows(a, b) for a, b in itertools.pairwise(edges)]
    parts = list(stream_window_graphs(pieces, config))
    assert_equal(WindowGraphs.joined(parts), window_graphs(frames, config))


times = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=60, deadline=None)
@given(
    time=st.lists(times, min_size=8, max_size=24),
    constant=st.booleans(),
    features=st.sampled_from(["basic", "rich"]),
)
def test_nasty_times_and_constant_payloads_stay_finite(
    time: list[float], constant: bool, features: Any
) -> None:
    frames = random_frames(len(time), seed=len(time), ids=3)
    payload = np.full_like(frames.payload, 255) if constant else frames.payload
    frames = replace(frames, time=np.array(time), payload=payload)
    check_finite(window_graphs(frames, WindowConfig(size=8, stride=4, features=features)))


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=16, max_size=16
    ),
    features=st.sampled_from(["basic", "rich"]),
)
def test_nasty_fields_of_event_logs_stay_finite(values: list[float], features: Any) -> None:
    frames = random_frames(8, ids=2, fields=2)
    frames = replace(frames, payload=np.array(values, np.float32).reshape(8, 2))
    check_finite(window_graphs(frames, WindowConfig(size=8, stride=8, features=features)))


def check_finite(graphs: WindowGraphs) -> None:
    assert len(graphs)
    for name in ("node_x", "edge_x", "stats"):
        assert np.isfinite(getattr(graphs, name)).all(), name


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_place(value: float) -> None:
    frames = random_frames(10)
    frames.time[3] = value
    with pytest.raises(DataError, match="time of frame 3 is not finite"):
        window_graphs(frames, WindowConfig(size=5, stride=5))
    events = random_frames(10, fields=2)
    events.payload[4, 1] = value
    with pytest.raises(DataError, match="payload of frame 4 is not finite"):
        window_graphs(events, WindowConfig(size=5, stride=5))


def test_an_id_that_leaves_no_room_for_the_mark_is_refused() -> None:
    frames = replace(random_frames(5), id=np.full(5, 2**31, np.uint32))
    with pytest.raises(DataError, match="below 2\\^31"):
        window_graphs(frames, WindowConfig(size=5, stride=5))
