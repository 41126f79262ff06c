"""Networks and gene sets that the tests of the shared graph's layers have in common."""

from pathlib import Path

import numpy as np
import pytest
import torch

from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_graph import SharedGraph

REAL = Path(__file__).resolve().parents[3] / "shared/data/genes/networks/graphs_on_string_genes.npz"
REAL_NAMES = (
    "kisr_biogrid_physical",  # its largest hub has 2,035 neighbours
    "bionic_Krogan-2006",
    "string9.1_fusion",
    "string11act_activation",
)


def random_graph(num_nodes, density, *, symmetric, seed):
    """A graph without loops; node 0 is a hub."""
    generator = torch.Generator().manual_seed(seed)
    edge = torch.rand(num_nodes, num_nodes, generator=generator) < density
    edge[0] |= torch.rand(num_nodes, generator=generator) < 0.7
    edge = edge | edge.t() if symmetric else edge
    edge.fill_diagonal_(False)
    ptr = torch.cat([torch.zeros(1, dtype=torch.int64), edge.sum(1).cumsum(0)])
    return SharedGraph.from_csr(ptr, edge.nonzero()[:, 1])


def small_graphs():
    """60 genes; two symmetric networks, one that is not, one without an edge."""
    densities = ((0.02, True), (0.05, True), (0.03, False), (-1.0, True))
    graphs = [
        random_graph(60, density, symmetric=symmetric, seed=number)
        for number, (density, symmetric) in enumerate(densities[:3])
    ]
    return [*graphs, SharedGraph(60, 0, symmetric=True)]


def real_graphs():
    """Four of the real networks."""
    if not REAL.is_file():
        pytest.skip(f"no {REAL}")
    with np.load(REAL, allow_pickle=False) as arrays:
        pairs = [(arrays[f"{n}__indptr"], arrays[f"{n}__indices"]) for n in REAL_NAMES]
    return [SharedGraph.from_csr(torch.tensor(p), torch.tensor(i)) for p, i in pairs]


def hub_of(graph):
    """The node with most neighbours."""
    return int(graph.indptr.diff().argmax())


def sets_with_hubs(graphs, seed=0):
    """Sets of 1 to 5 genes with the hub of each network, one set twice, one without genes."""
    hubs = [hub_of(graph) for graph in graphs]
    draw = np.random.default_rng(seed).choice(graphs[0].num_nodes, 9, replace=False).tolist()
    sets = [hubs[:1], hubs[:2], [hubs[-1], *draw[:2]], draw[:4], [*hubs[:1], *draw[4:8]], hubs[:2]]
    return batch_of([*sets, []])


def batch_of(sets):
    """(gene_index, gene_ptr)."""
    sizes = torch.tensor([0, *(len(genes) for genes in sets)])
    index = torch.tensor([gene for genes in sets for gene in genes], dtype=torch.int64)
    return index, sizes.cumsum(0)


def filtered_edges(graph, deleted):
    """Edge list `[2, E]` of one copy without the edges that touch a deleted gene."""
    target = torch.repeat_interleave(torch.arange(graph.num_nodes), graph.indptr.diff())
    source = graph.indices.long()
    kept = ~(torch.isin(source, deleted) | torch.isin(target, deleted))
    return torch.stack([source[kept], target[kept]])


def torch_geometric_outputs(layers, graphs, x_ND, batch, module_of):
    """Sums over the networks by PyG on a filtered copy for the wild type and for each cell.

    `module_of(layer, network)` is a function of (x, edge_index).
    """
    index, ptr = batch
    sets = [index.new_empty(0), *index.split(ptr.diff().tolist())]
    outs = []
    for deleted in sets:
        edges, x = [filtered_edges(graph, deleted) for graph in graphs], x_ND
        for layer in layers:
            modules = [module_of(layer, number) for number in range(len(graphs))]
            parts = [run(x, e) for run, e in zip(modules, edges, strict=True)]
            x = torch.stack(parts).sum(0)
        outs.append(x)
    return outs[0], torch.stack(outs[1:])


def fast_outputs(layers, graphs, x_ND, batch):
    """The operator: touched genes only."""
    cells = PerturbedCells.start(x_ND, *batch)
    for layer in layers:
        cells = layer.aggregate(graphs, cells, "sum")
    return cells.wild_ND, cells.x_BND


def plain_outputs(layers, graphs, x_ND, batch):
    """As the formula reads, at every gene."""
    cells = PerturbedCells.start(x_ND, *batch)
    wild, inside = x_ND[:, None], cells.x_NBD
    for layer in layers:
        wild = torch.stack(list(layer(graphs, wild))).sum(0)
        inside = torch.stack(list(layer(graphs, inside, cells.keep_NB))).sum(0)
    return wild[:, 0], inside.transpose(0, 1)


def values_and_gradients(layers, x_ND, outputs):
    """Both outputs, and the gradients of a loss that uses all of them."""
    parameters = [x_ND, *(p for layer in layers for p in layer.parameters())]
    for parameter in parameters:
        parameter.grad = None
    wild, inside = outputs()
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(inside.shape, generator=generator, dtype=inside.dtype)
    loss = (inside * factor).tanh().sum() + (wild * factor[0]).sin().sum()
    loss.backward()
    return [wild.detach(), inside.detach(), *(p.grad.clone() for p in parameters)]


def assert_all_close(got, want, tolerance=1e-9):
    """Each relative to the largest value of its tensor."""
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        scale = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)
