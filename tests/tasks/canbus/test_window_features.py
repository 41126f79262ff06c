"""Features of nodes and edges: names, shapes, and values that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from canbus_frames import random_frames

from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.edge_features import edge_feature_names
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.node_features import node_feature_names
from graphwright.tasks.canbus.windows import WindowGraphs, window_graphs


def frames_of(ids: list[int], times: list[float], first_byte: list[int]) -> Frames:
    """Standard frames of one byte."""
    count = len(ids)
    payload = np.zeros((count, 8), np.uint8)
    payload[:, 0] = first_byte
    return Frames(
        time=np.array(times),
        id=np.array(ids, np.uint32),
        extended=np.zeros(count, np.bool_),
        length=np.ones(count, np.uint8),
        payload=payload,
        attack=np.zeros(count, np.uint8),
    )


def graph(frames: Frames, features: Any) -> WindowGraphs:
    return window_graphs(
        frames, WindowConfig(size=len(frames), stride=len(frames), features=features)
    )


def node(graphs: WindowGraphs, number: int, features: Any) -> dict[str, float]:
    return dict(zip(node_feature_names(features), graphs.node_x[number].tolist(), strict=True))


def edge(graphs: WindowGraphs, number: int, features: Any) -> dict[str, float]:
    return dict(zip(edge_feature_names(features), graphs.edge_x[number].tolist(), strict=True))


@pytest.mark.parametrize(
    ("features", "fields", "nodes", "edges"),
    [("basic", 8, 10, 11), ("rich", 8, 34, 11), ("basic", 3, 5, 11), ("rich", 3, 19, 6)],
)
def test_every_column_has_a_name(features: Any, fields: int, nodes: int, edges: int) -> None:
    frames = random_frames(20, fields=0 if fields == 8 else fields)
    graphs = graph(frames, features)
    names = node_feature_names(features, fields), edge_feature_names(features, fields)
    for found, x in zip(names, (graphs.node_x, graphs.edge_x), strict=True):
        assert len(set(found)) == len(found) == x.shape[1]
        assert x.dtype == np.float32
    assert (len(names[0]), len(names[1])) == (nodes, edges)


ONE = frames_of([1, 2, 1, 2, 1, 3], [0.0, 0.1, 0.2, 0.25, 0.5, 0.6], [10, 0, 30, 0, 20, 4])


def test_basic_node() -> None:
    found = node(graph(ONE, "basic"), 0, "basic")
    assert found["mean_0"] == pytest.approx(20)
    assert found["mean_7"] == 0
    assert found["count"] == 3
    assert found["last_position"] == pytest.approx(4 / 5)


def test_rich_node() -> None:
    graphs = graph(ONE, "rich")
    first, second, third = (node(graphs, i, "rich") for i in range(3))
    assert first["sd_0"] == pytest.approx(np.std([10, 30, 20]))
    assert first["range_0"] == 20
    assert first["change_rate"] == 1
    assert second["change_rate"] == 0
    assert first["interval_mean"] == pytest.approx(0.25)
    assert first["interval_sd"] == pytest.approx(0.05)
    assert third["interval_mean"] == third["interval_sd"] == 0
    assert first["split_half"] == pytest.approx(1 / 3)
    assert third["split_half"] == 1
    # 1 → 2, 2 → 1 and 1 → 3
    assert (first["in_degree"], first["out_degree"]) == (1, 2)
    assert (third["in_degree"], third["out_degree"]) == (1, 0)
    # 21 zeros and three other values among 24
    shares = np.array([21, 1, 1, 1]) / 24
    assert first["entropy"] == pytest.approx(-(shares * np.log2(shares)).sum(), rel=1e-6)
    assert second["skewness"] == second["kurtosis"] == second["entropy"] == 0
    assert first["skewness"] > 0


def test_clustering_is_one_in_a_triangle_and_knows_no_self_loops() -> None:
    triangle = frames_of([1, 2, 3, 1, 1], [0, 1, 2, 3, 4], [0] * 5)
    assert [node(graph(triangle, "rich"), i, "rich")["clustering"] for i in range(3)] == [1, 1, 1]
    path = frames_of([1, 2, 3, 2, 1], [0, 1, 2, 3, 4], [0] * 5)
    assert [node(graph(path, "rich"), i, "rich")["clustering"] for i in range(3)] == [0, 0, 0]


def test_clustering_of_many_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, config = random_frames(600), WindowConfig(size=30, stride=30, features="rich")
    whole = window_graphs(frames, config).node_x
    monkeypatch.setattr("graphwright.tasks.canbus.node_features._MATRIX", 1)
    np.testing.assert_array_equal(window_graphs(frames, config).node_x, whole)


def test_basic_edge() -> None:
    graphs = graph(ONE, "basic")
    assert graphs.edge_index.tolist() == [[1, 0, 0], [0, 1, 2]]
    back, there, out = (edge(graphs, i, "basic") for i in range(3))
    assert there["count"] == back["count"] == 2
    assert there["frequency"] == pytest.approx(2 / 5)
    assert (there["interval_mean"], there["interval_sd"], there["regularity"]) == (2, 0, 1)
    assert (out["interval_mean"], out["interval_sd"], out["regularity"]) == (0, 0, 0)
    assert (there["first_position"], there["last_position"]) == pytest.approx((0, 2 / 5))
    assert there["span"] == pytest.approx(2 / 5)
    assert (there["bidirectional"], back["bidirectional"], out["bidirectional"]) == (1, 1, 0)
    # transitions that each takes part in: id 1 in five, id 2 in four, id 3 in one
    assert (there["degree_product"], there["degree_ratio"]) == pytest.approx((20, 5 / 4))
    assert (out["degree_product"], out["degree_ratio"]) == pytest.approx((5, 5))


def test_rich_edge() -> None:
    there = edge(graph(ONE, "rich"), 1, "rich")
    assert there["interval"] == pytest.approx((0.1 + 0.05) / 2)
    assert there["move_0"] == pytest.approx((10 + 30) / 2)
    assert there["move_1"] == 0
    assert there["bidirectional"] == 1
    assert there["frequency"] == pytest.approx(2 / 5)


def test_bytes_do_not_wrap() -> None:
    up = frames_of([1, 2, 1, 2], [0, 1, 2, 3], [0, 255, 0, 255])
    assert edge(graph(up, "rich"), 0, "rich")["move_0"] == 255
    assert edge(graph(up, "rich"), 1, "rich")["move_0"] == 255


def test_a_clock_that_jumps_back_counts_as_no_gap() -> None:
    frames = frames_of([1, 1, 1], [10.0, 4.0, 5.0], [0] * 3)
    found = graph(frames, "rich")
    assert node(found, 0, "rich")["interval_mean"] == pytest.approx(0.5)
    assert found.start_time[0] == 10.0
    assert found.end_time[0] == 5.0


def test_the_order_of_payload_fields_is_kept() -> None:
    frames = random_frames(40)
    turned = replace(frames, payload=np.ascontiguousarray(frames.payload[:, ::-1]))
    one, other = graph(frames, "basic").node_x, graph(turned, "basic").node_x
    np.testing.assert_array_equal(one[:, :8], other[:, 7::-1])
