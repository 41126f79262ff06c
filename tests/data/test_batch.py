"""GraphBatch: construction, owners, moving, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphwright.data.batch import GraphBatch
from graphwright.data.source import Batch
from graphwright.errors import DataError


def two_graphs(**changes: object) -> GraphBatch:
    given: dict[str, object] = {
        "node_counts": [2, 3],
        "edge_counts": [1, 2],
        "edge_index": [[0, 0, 2], [1, 1, 0]],
        "nodes": {"x": np.arange(5, dtype=np.float32)},
        "edges": {"w": torch.ones(3, 2, dtype=torch.float64)},
        "graphs": {"y": [1, 2]},
        "local": True,
        **changes,
    }
    return GraphBatch.from_arrays(**given)  # type: ignore[arg-type]


def test_from_arrays_offsets_local_edges() -> None:
    batch = two_graphs()
    assert batch.edge_index.tolist() == [[0, 2, 4], [1, 3, 2]]
    assert batch.node_ptr.tolist() == [0, 2, 5]
    assert batch.edge_ptr.tolist() == [0, 1, 3]
    assert batch.index.tolist() == [0, 1]
    assert batch.node_graph.tolist() == [0, 0, 1, 1, 1]
    assert batch.edge_graph.tolist() == [0, 1, 1]
    assert (batch.num_graphs, batch.num_samples, batch.num_nodes, batch.num_edges) == (2, 2, 5, 3)
    assert batch.node_graph is batch.node_graph
    assert isinstance(batch, Batch)


def test_global_edges_are_kept() -> None:
    batch = two_graphs(edge_index=[[0, 2, 4], [1, 3, 2]], local=False, index=[7, 3])
    assert batch.edge_index.tolist() == [[0, 2, 4], [1, 3, 2]]
    assert batch.index.tolist() == [7, 3]


def test_dtype_changes_floating_fields_only() -> None:
    moved = two_graphs().to("cpu", dtype=torch.float16)
    assert moved.nodes["x"].dtype == torch.float16
    assert moved.edges["w"].dtype == torch.float16
    assert moved.graphs["y"].dtype == torch.int64
    assert moved.edge_index.dtype == torch.int64


def test_to_another_device() -> None:
    moved = two_graphs().to("meta")
    assert moved.device.type == "meta"
    assert moved.nodes["x"].device.type == moved.index.device.type == "meta"
    assert moved.num_nodes == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_pinned_memory_and_cuda() -> None:
    pinned = two_graphs().pin_memory()
    assert pinned.edge_index.is_pinned()
    assert pinned.nodes["x"].is_pinned()
    back = pinned.to("cuda", non_blocking=True).to("cpu")
    assert torch.equal(back.edge_index, two_graphs().edge_index)


def test_graphs_without_edges() -> None:
    batch = two_graphs(edge_counts=[0, 0], edge_index=torch.empty(2, 0), edges={})
    assert batch.edge_index.shape == (2, 0)
    assert batch.edge_index.dtype == torch.int64
    assert batch.edge_graph.tolist() == []


def test_no_graphs() -> None:
    empty = GraphBatch.from_arrays(node_counts=[], edge_counts=[], edge_index=[[], []])
    assert (empty.num_graphs, empty.num_nodes, empty.num_edges) == (0, 0, 0)
    assert empty.node_graph.tolist() == []


def test_repr_names_fields_and_shapes() -> None:
    text = repr(two_graphs())
    assert "2 graphs, 5 nodes, 3 edges" in text
    assert "w[3, 2]" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"node_counts": [2, 3, 1]}, "3 node counts but 2 edge counts"),
        ({"node_counts": [-1, 3]}, "negative"),
        ({"edge_index": [[0, 2, 2], [1, 1, 0]], "local": False}, r"edge 1 \(2 → 1\) leaves"),
        ({"edge_index": [[0, 0, 3], [1, 1, 0]]}, "leaves graph 1"),
        ({"edge_index": [[0, 0], [1, 1]]}, "2 edges, the edge counts sum to 3"),
        ({"edge_index": [[0, 0], [1, 1], [0, 0]]}, r"shape \[2, E\]"),
        ({"edge_index": torch.zeros(2, 3)}, "whole numbers"),
        ({"nodes": {"x": torch.zeros(4)}}, "x must have 5 rows"),
        ({"graphs": {"y": torch.tensor(1.0)}}, "y must have 2 rows"),
        ({"index": [1]}, "index must have 2 rows"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        two_graphs(**changes)
