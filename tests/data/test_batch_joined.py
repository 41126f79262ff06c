"""Batches of several sources as one."""

from __future__ import annotations

import numpy as np
import torch

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import PackedGraphs


def _store(seed: int, graphs: int, **fields: np.ndarray) -> PackedGraphs:
    rng = np.random.default_rng(seed)
    nodes, edges = rng.integers(1, 6, graphs), rng.integers(0, 5, graphs)
    return PackedGraphs.from_arrays(
        node_counts=nodes,
        edge_counts=edges,
        edge_index=np.concatenate(
            [rng.integers(0, n, (2, e)) for n, e in zip(nodes, edges, strict=True)], axis=1
        ),
        nodes={"x": rng.normal(size=(nodes.sum(), 2)).astype(np.float32)},
        edges={"w": rng.normal(size=edges.sum()).astype(np.float32)},
        graphs=fields,
    )


def test_joined_batches_hold_the_same_graphs() -> None:
    stores = [_store(1, 4), _store(2, 1), _store(3, 7)]
    parts = [store.batch(np.arange(len(store))[::-1].copy()) for store in stores]
    joined = GraphBatch.joined(parts)
    again = GraphBatch.from_arrays(
        node_counts=torch.cat([part.node_ptr.diff() for part in parts]),
        edge_counts=torch.cat([part.edge_ptr.diff() for part in parts]),
        edge_index=joined.edge_index,  # checks that no edge leaves its graph
    )
    assert joined.num_graphs == again.num_graphs == 12
    assert torch.equal(joined.node_ptr, again.node_ptr)
    assert torch.equal(joined.edge_ptr, again.edge_ptr)
    assert joined.index.tolist() == list(range(12))
    starts = np.cumsum([0, *(part.num_nodes for part in parts)])
    edge = 0
    for part, start in zip(parts, starts, strict=False):
        stop = edge + part.num_edges
        assert torch.equal(joined.edge_index[:, edge:stop], part.edge_index + int(start))
        assert torch.equal(joined.edges["w"][edge:stop], part.edges["w"])
        assert torch.equal(joined.nodes["x"][start : start + part.num_nodes], part.nodes["x"])
        edge = stop


def test_fields_that_not_all_have_are_left_out() -> None:
    both, one = np.ones(2, np.float32), np.zeros(2, np.int64)
    parts = [_store(1, 2, a=both, group=one), _store(2, 2, a=both)]
    joined = GraphBatch.joined([part.batch(np.arange(2)) for part in parts])
    assert set(joined.graphs) == {"a"}
    assert len(joined.graphs["a"]) == 4
