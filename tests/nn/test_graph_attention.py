"""GATConv and GATv2Conv against PyTorch Geometric, and their corners."""

import pytest
import torch
from torch import nn

from graphwright.nn import attention_graph
from graphwright.nn.attention_graph import AttentionGraph, with_self_loops
from graphwright.nn.edges import SortedEdges
from graphwright.nn.graph_attention import GATConv, GATv2Conv

F, IN, C = 3, 5, 4


def windows(counts=(5, 1, 8, 6), seed=0, features=True):
    """Packed graphs with self loops, and nodes that nothing reaches."""
    generator = torch.Generator().manual_seed(seed)
    ptr = torch.tensor([0, *counts]).cumsum(0)
    parts = []
    for start, count in zip(ptr.tolist(), counts, strict=False):
        joined = torch.rand(count, count, generator=generator) > 0.6
        parts.append(joined.nonzero().flip(1).t() + start)
    edges = SortedEdges.build(torch.cat(parts, 1), int(ptr[-1]))
    edge_x = torch.randn(edges.num_edges, F, generator=generator, dtype=torch.float64)
    return AttentionGraph(edges, ptr, edge_x if features else None)


def tied(kind, heads, edge_dim, add_self_loops=False):
    geometric = pytest.importorskip("torch_geometric.nn")
    ours = (GATConv if kind == "gat" else GATv2Conv)(IN, C, heads, edge_dim).double()
    theirs = getattr(geometric, "GATConv" if kind == "gat" else "GATv2Conv")(
        IN, C, heads, add_self_loops=add_self_loops, edge_dim=edge_dim or None
    ).double()
    pairs = [(ours.bias, theirs.bias)]
    if kind == "gat":
        pairs += [(ours.linear.weight, theirs.lin.weight)]
        pairs += [(ours.left, theirs.att_src), (ours.right, theirs.att_dst)]
        pairs += [(ours.edge_attention, theirs.att_edge)] if edge_dim else []
    else:
        pairs += [(ours.left.weight, theirs.lin_l.weight), (ours.left.bias, theirs.lin_l.bias)]
        pairs += [(ours.right.weight, theirs.lin_r.weight), (ours.right.bias, theirs.lin_r.bias)]
        pairs += [(ours.attention, theirs.att)]
    pairs += [(ours.edge.weight, theirs.lin_edge.weight)] if edge_dim else []
    with torch.no_grad():
        nn.init.normal_(ours.bias)
        for mine, other in pairs:
            other.copy_(mine.view_as(other))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    return ours, theirs, pairs


@pytest.mark.parametrize("kind", ["gat", "gatv2"])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("edge_dim", [0, F])
@pytest.mark.parametrize("block", [1, 1 << 17])
def test_equals_torch_geometric(kind, heads, edge_dim, block, monkeypatch):
    monkeypatch.setattr(attention_graph, "_BLOCK", block)
    torch.manual_seed(0)
    ours, theirs, pairs = tied(kind, heads, edge_dim)
    graph = windows()
    size = graph.edges.num_nodes
    x = torch.randn(size, IN, dtype=torch.float64, requires_grad=True)
    features = graph.features.clone().requires_grad_() if edge_dim else None
    graph.features = features
    weight = torch.randn(size, heads * C, dtype=torch.float64)
    out = ours(x, graph)
    (out.tanh() * weight).sum().backward()
    twin = x.detach().clone().requires_grad_()
    twin_features = features.detach().clone().requires_grad_() if edge_dim else None
    ends = torch.stack([graph.edges.source, graph.edges.target])
    want = theirs(twin, ends, twin_features)
    (want.tanh() * weight).sum().backward()
    torch.testing.assert_close(out, want)
    torch.testing.assert_close(x.grad, twin.grad)
    if edge_dim:
        torch.testing.assert_close(features.grad, twin_features.grad)
    for mine, other in pairs:
        torch.testing.assert_close(mine.grad, other.grad.view_as(mine))


@pytest.mark.parametrize("kind", ["gat", "gatv2"])
def test_self_loops_without_features_are_those_of_torch_geometric(kind):
    torch.manual_seed(0)
    ours, theirs, _ = tied(kind, 2, 0, add_self_loops=True)
    graph = windows(features=False)
    ends = torch.stack([graph.edges.source, graph.edges.target])
    x = torch.randn(graph.edges.num_nodes, IN, dtype=torch.float64)
    torch.testing.assert_close(ours(x, with_self_loops(graph)), theirs(x, ends))


def test_a_self_loop_that_is_there_keeps_its_features():
    graph = windows()
    looped = with_self_loops(graph)

    def listed(some):
        ends = zip(some.edges.source.tolist(), some.edges.target.tolist(), strict=True)
        return dict(zip(ends, some.features.tolist(), strict=True))

    missing = {(n, n) for n in range(graph.edges.num_nodes)} - set(listed(graph))
    assert missing
    assert listed(looped) == listed(graph) | dict.fromkeys(missing, [0.0] * F)
    assert looped.edges.num_edges == graph.edges.num_edges + len(missing)


@pytest.mark.parametrize("layer", [GATConv(IN, C, 2, F), GATv2Conv(IN, C, 2, F)])
def test_export_path_equals_the_fast_one(layer, monkeypatch):
    graph = windows()
    x = torch.randn(graph.edges.num_nodes, IN, dtype=torch.float64)
    fast = layer.double()(x, graph)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(layer(x, graph), fast)


@pytest.mark.parametrize("layer", [GATConv(IN, C, 2), GATv2Conv(IN, C, 2)])
def test_without_edges_only_the_bias_is_left(layer):
    none = torch.zeros(2, 0, dtype=torch.int64)
    graph = AttentionGraph(SortedEdges.build(none, 3), torch.tensor([0, 2, 3]))
    x = torch.randn(3, IN, requires_grad=True)
    out = layer(x, graph)
    torch.testing.assert_close(out, layer.bias.expand(3, -1))
    out.sum().backward()
    assert x.grad is None or x.grad.abs().max() == 0


@pytest.mark.parametrize("layer", [GATConv(IN, C, 2, F), GATv2Conv(IN, C, 2, F)])
def test_large_scores_do_not_overflow(layer):
    graph = windows()
    graph.features = 1e6 * graph.features.float()
    out = layer.float()(1e6 * torch.randn(graph.edges.num_nodes, IN), graph)
    assert out.isfinite().all()


def test_pooling_of_an_empty_graph_is_zero():
    graph = windows(counts=(3, 0, 4))
    x = torch.randn(7, 2)
    pooled = graph.pool_mean(x)
    torch.testing.assert_close(pooled[0], x[:3].mean(0))
    torch.testing.assert_close(graph.pool_max(x)[2], x[3:].amax(0))
    assert (pooled[1] == 0).all()
    assert (graph.pool_max(x)[1] == 0).all()
