"""Making a batch: packed graphs against PyG's from_data_list and its DataLoader.

Each graph has node fields pos [3] and x [8], edge field edge_attr [4] and graph field y [1].
Batches of 16 graphs of 100 nodes and 1,000 edges, and of 64 graphs of 10 nodes and 40 edges, in
shuffled order, from 2,000 graphs in memory on the peer's side (a list, and an InMemoryDataset) and
memory-mapped on ours. A figure is for one batch. Then opening 100,000 graphs of 10 nodes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader

from _harness import Case, arguments, child_rss_mb, interleaved, report
from graphwright.data.batch import GraphBatch
from graphwright.data.convert import pack_pyg
from graphwright.data.loader import Loader
from graphwright.data.packed import Field, PackedGraphs
from graphwright.data.packed_writer import PackedWriter

COUNT, SEED = 2000, 7


class Held(InMemoryDataset):
    """An InMemoryDataset of a list of graphs."""

    def __init__(self, graphs: list[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(graphs)


def make_graphs(nodes: int, edges: int) -> list[Data]:
    """COUNT random graphs."""
    torch.manual_seed(SEED)
    return [
        Data(
            pos=torch.randn(nodes, 3),
            x=torch.randn(nodes, 8),
            edge_index=torch.randint(nodes, (2, edges)),
            edge_attr=torch.randn(edges, 4),
            y=torch.randn(1),
        )
        for _ in range(COUNT)
    ]


def same(ours: GraphBatch, peer: Batch) -> bool:
    """Whether both batches hold exactly the same."""
    pairs = [
        (ours.edge_index, peer.edge_index),
        (ours.node_graph, peer.batch),
        (ours.node_ptr, peer.ptr),
        (ours.nodes["pos"], peer.pos),
        (ours.nodes["x"], peer.x),
        (ours.edges["edge_attr"], peer.edge_attr),
        (ours.graphs["y"], peer.y),
    ]
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def collate_cases(
    name: str, nodes: int, edges: int, batch_size: int, folder: Path, options: argparse.Namespace
) -> list[Case]:
    """Both comparisons for one size of graph."""
    graphs = make_graphs(nodes, edges)
    store = pack_pyg(graphs, folder / name)
    order = np.random.default_rng(SEED).permutation(COUNT)[: COUNT // batch_size * batch_size]
    indices = list(order.reshape(-1, batch_size))
    lists = [[graphs[i] for i in index] for index in indices]
    note = f"{batch_size} graphs, {edges} edges each"

    equal = all(
        same(store.batch(i), Batch.from_data_list(g)) for i, g in zip(indices, lists, strict=True)
    )
    one, other = cycle(indices), cycle(lists)
    runs = (lambda: store.batch(next(one)), lambda: Batch.from_data_list(next(other)))
    ours, peer = interleaved(runs, repeats=options.repeats, inner=50)
    first = Case(f"{name}/from_data_list", "s", ours, peer, equal, note=note)

    loader = Loader(store, batch_size=batch_size, seed=SEED, shuffle=True, drop_last=True)
    held, plan = Held(graphs), np.concatenate(loader.plan(0)).tolist()
    loaded = DataLoader(held, batch_size=batch_size, sampler=plan)
    equal = all(same(a, b) for a, b in zip(loader, loaded, strict=True))  # type: ignore[arg-type]
    mine, theirs = endless(loader), endless(loaded)
    runs = (lambda: next(mine), lambda: next(theirs))
    ours, peer = interleaved(runs, repeats=options.repeats, inner=len(loader))
    return [first, Case(f"{name}/dataloader", "s", ours, peer, equal, note=note)]


def endless(loader: object) -> Iterator[object]:
    """Epoch after epoch: a round of `len(loader)` calls is one epoch, with its start."""
    while True:
        yield from loader  # type: ignore[misc]


def open_cases(folder: Path, options: argparse.Namespace) -> list[Case]:
    """Opening 100,000 graphs, and the memory this takes."""
    path, count, nodes, edges = folder / "many", 100_000, 10, 40
    rng = np.random.default_rng(SEED)
    fields = [
        Field("pos", "node", "float32", (3,)),
        Field("x", "node", "float32", (8,)),
        Field("edge_attr", "edge", "float32", (4,)),
        Field("y", "graph", "float32"),
    ]
    with PackedWriter(path, fields) as writer:
        for _ in range(0, count, 10_000):
            writer.add_many(
                node_counts=np.full(10_000, nodes),
                edge_counts=np.full(10_000, edges),
                edge_index=rng.integers(0, nodes, (2, 10_000 * edges)),
                nodes={
                    k: rng.random((10_000 * nodes, w), np.float32)
                    for k, w in (("pos", 3), ("x", 8))
                },
                edges={"edge_attr": rng.random((10_000 * edges, 4), np.float32)},
                graphs={"y": rng.random(10_000, np.float32)},
            )
    size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
    (opened,) = interleaved([lambda: PackedGraphs.open(path)], repeats=options.repeats)
    opened_rss = child_rss_mb(lambda: PackedGraphs.open(path))
    batch_rss = child_rss_mb(lambda: PackedGraphs.open(path).batch(rng.integers(0, count, 64)))
    return [
        Case("open_100k_graphs", "s", opened, note=f"{size:.0f} MB on disk, target < 0.02 s"),
        Case("open_100k_graphs/rss", "MB", opened_rss, note="memory gained by opening"),
        Case("open_100k_graphs/rss_one_batch", "MB", batch_rss, note="and one batch of 64"),
    ]


def main() -> None:
    """Run all cases."""
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = collate_cases("100_nodes", 100, 1000, 16, folder, options)
        cases += collate_cases("10_nodes", 10, 40, 64, folder, options)
        cases += open_cases(folder, options)
    report("collate", cases, options)


if __name__ == "__main__":
    main()
