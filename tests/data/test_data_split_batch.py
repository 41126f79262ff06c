"""One gather cut into batches gives the batches that would be gathered."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphwright.data.packed import PackedGraphs
from graphwright.data.split_batch import split_batch


def _graphs() -> PackedGraphs:
    rng = np.random.default_rng(0)
    nodes = rng.integers(1, 6, 30)
    edges = rng.integers(0, 8, 30)
    ends = np.concatenate(
        [rng.integers(0, n, (2, e)) for n, e in zip(nodes, edges, strict=True)], 1
    )
    return PackedGraphs.from_arrays(
        node_counts=nodes,
        edge_counts=edges,
        edge_index=ends,
        nodes={"op": rng.integers(0, 9, nodes.sum())},
        edges={"w": rng.normal(size=(edges.sum(), 2))},
        graphs={"y": rng.normal(size=30)},
    )


@given(st.lists(st.lists(st.integers(0, 29), min_size=1, max_size=7), min_size=1, max_size=6))
def test_equals_gathering_each(plan):
    graphs = _graphs()
    large = graphs.batch(np.concatenate(plan))
    for got, index in zip(split_batch(large, [len(i) for i in plan]), plan, strict=True):
        want = graphs.batch(np.array(index))
        for field in dataclasses.fields(want):
            ours, theirs = getattr(got, field.name), getattr(want, field.name)
            if isinstance(theirs, dict):
                assert ours.keys() == theirs.keys()
                assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
            elif isinstance(theirs, int):
                assert ours == theirs
            else:
                assert torch.equal(ours, theirs)


def test_graphs_without_fields():
    graphs = PackedGraphs.from_arrays(node_counts=[1, 2], edge_counts=[0, 1], edge_index=[[0], [1]])
    first, second = split_batch(graphs.batch([0, 1]), [1, 1])
    assert (first.num_nodes, second.num_nodes) == (1, 2)
    assert second.edge_index.tolist() == [[0], [1]]
