"""Random graphs and stores shared by the tests of the data room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import Field, PackedGraphs
from graphwright.data.packed_writer import PackedWriter

FIELDS = (
    Field("pos", "node", "float32", (3,), unit="Å"),
    Field("kind", "node", "int64"),
    Field("fixed", "node", "bool"),
    Field("weight", "edge", "float64"),
    Field("y", "graph", "float32", (2,)),
    Field("count", "graph", "int32"),
    Field("name", "graph", "str"),
)


def random_graph(rng: np.random.Generator, nodes: int, edges: int, number: int) -> dict[str, Any]:
    """Arguments of `PackedWriter.add`."""
    return {
        "edge_index": rng.integers(0, nodes, (2, edges)) if edges else np.zeros((2, 0)),
        "nodes": {
            "pos": rng.normal(size=(nodes, 3)).astype(np.float32),
            "kind": rng.integers(0, 9, nodes),
            "fixed": rng.random(nodes) < 0.5,
        },
        "edges": {"weight": rng.normal(size=edges)},
        "graphs": {
            "y": rng.normal(size=2).astype(np.float32),
            "count": np.int32(number),
            "name": f"gräph {number}",
        },
    }


def random_graphs(
    count: int, seed: int = 0, nodes: int = 12, edges: int = 30
) -> list[dict[str, Any]]:
    """Graphs of 1 to `nodes` nodes and 0 to `edges` edges."""
    rng = np.random.default_rng(seed)
    return [
        random_graph(rng, int(rng.integers(1, nodes + 1)), int(rng.integers(0, edges + 1)), i)
        for i in range(count)
    ]


def write(folder: Path, graphs: list[dict[str, Any]], **settings: Any) -> PackedGraphs:
    """A store of these graphs."""
    with PackedWriter(folder, FIELDS, {"unit": "Å"}, **settings) as writer:
        for graph in graphs:
            writer.add(**graph)
    return PackedGraphs.open(folder)


def plain_batch(graphs: list[dict[str, Any]], index: list[int]) -> dict[str, torch.Tensor]:
    """The batch, graph by graph and without any of the code under test."""
    chosen, offset, ends = [graphs[i] for i in index], 0, [np.zeros((2, 0), np.int64)]
    for graph in chosen:
        ends.append(graph["edge_index"].astype(np.int64) + offset)
        offset += len(graph["nodes"]["pos"])
    found = {"edge_index": np.concatenate(ends, 1)}
    for level, names in (("nodes", ("pos", "kind", "fixed")), ("edges", ("weight",))):
        for name in names:
            if chosen:
                found[name] = np.concatenate([g[level][name] for g in chosen])
    for name in ("y", "count"):
        if chosen:
            found[name] = np.stack([g["graphs"][name] for g in chosen])
    return {name: torch.from_numpy(value) for name, value in found.items()}


def assert_batch(batch: GraphBatch, graphs: list[dict[str, Any]], index: list[int]) -> None:
    """The batch holds exactly the graphs at `index`."""
    fields = {**batch.nodes, **batch.edges, **batch.graphs, "edge_index": batch.edge_index}
    for name, wanted in plain_batch(graphs, index).items():
        assert fields[name].dtype == wanted.dtype, name
        assert torch.equal(fields[name], wanted), name
    assert batch.index.tolist() == index
    assert batch.node_ptr.diff().tolist() == [len(graphs[i]["nodes"]["pos"]) for i in index]
    assert batch.edge_ptr.diff().tolist() == [graphs[i]["edge_index"].shape[1] for i in index]
