"""SharedGINs against PyTorch Geometric on one filtered copy of each network per cell."""

from itertools import pairwise

import pytest
import torch
from shared_networks import (
    assert_all_close,
    batch_of,
    fast_outputs,
    plain_outputs,
    real_graphs,
    sets_with_hubs,
    small_graphs,
    torch_geometric_outputs,
    values_and_gradients,
)
from torch import nn

from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gin import SharedGINs


def make_layers(num_networks, dims, dtype=torch.float64, **options):
    torch.manual_seed(0)
    pairs = pairwise(dims)
    layers = nn.ModuleList(SharedGINs(num_networks, i, o, **options) for i, o in pairs)
    for layer in layers:
        nn.init.normal_(layer.eps, std=0.5)
        nn.init.uniform_(layer.norm_weight, 0.5, 2)
        nn.init.normal_(layer.norm_bias)
    return layers.to(dtype)


def geometric_gin(layer, number):
    """PyG's layer with the weights of one of ours; gradients go to ours."""
    geometric = pytest.importorskip("torch_geometric.nn")
    out_dim, in_dim = layer.first_weight.shape[2], layer.first_weight.shape[1]
    linears = nn.Linear(in_dim, out_dim), nn.Linear(out_dim, out_dim)
    inside = nn.Sequential(linears[0], nn.LayerNorm(out_dim), nn.ReLU(), linears[1])
    theirs = geometric.GINConv(inside, train_eps=True).double()
    weights = {
        "eps": layer.eps[number : number + 1],
        "nn.0.weight": layer.first_weight[number].t(),
        "nn.0.bias": layer.first_bias[number],
        "nn.1.weight": layer.norm_weight[number],
        "nn.1.bias": layer.norm_bias[number],
        "nn.3.weight": layer.second_weight[number].t(),
        "nn.3.bias": layer.second_bias[number],
    }
    return lambda x, edges: torch.func.functional_call(theirs, weights, (x, edges))


def features(graphs, dim):
    torch.manual_seed(5)
    return torch.randn(graphs[0].num_nodes, dim, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("make_graphs", [small_graphs, real_graphs])
def test_three_layers_equal_torch_geometric_on_filtered_copies(make_graphs):
    graphs = make_graphs()
    layers, x = make_layers(len(graphs), [5, 6, 6, 6]), features(graphs, 5)
    batch = sets_with_hubs(graphs)
    args = layers, graphs, x, batch
    got = values_and_gradients(layers, x, lambda: fast_outputs(*args))
    want = values_and_gradients(layers, x, lambda: torch_geometric_outputs(*args, geometric_gin))
    assert_all_close(got, want)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("recompute", [False, True])
def test_touched_rows_recomputed_or_not_equal_the_plain_form(num_layers, recompute):
    graphs = small_graphs()
    dims, x, batch = [5, *[8] * num_layers], features(graphs, 5), sets_with_hubs(graphs)
    layers = make_layers(len(graphs), dims, recompute=recompute)
    args = layers, graphs, x, batch
    got = values_and_gradients(layers, x, lambda: fast_outputs(*args))
    assert_all_close(got, values_and_gradients(layers, x, lambda: plain_outputs(*args)))


def test_each_network_by_itself_and_the_mean():
    graphs, batch = small_graphs(), batch_of([[0, 3], [7]])
    x = features(graphs, 4)
    layers = make_layers(len(graphs), [4, 6, 6])
    first, second = layers

    def mean(cells):
        outs = list(second.each(graphs, first.aggregate(graphs, cells, "mean")))
        return [torch.stack([getattr(o, k) for o in outs]).mean(0) for k in ("wild_ND", "x_BND")]

    def at_once(cells):
        out = second.aggregate(graphs, first.aggregate(graphs, cells, "mean"), "mean")
        return out.wild_ND, out.x_BND

    cells = PerturbedCells.start(x, *batch)
    got = values_and_gradients(layers, x, lambda: at_once(cells))
    assert_all_close(got, values_and_gradients(layers, x, lambda: mean(cells)))


def test_a_cell_does_not_change_with_its_batch_mates():
    graphs, sets = small_graphs(), [[0], [3, 9], [8, 1, 2], [3, 9]]
    layers = make_layers(len(graphs), [4, 6, 6])
    x = features(graphs, 4).detach()
    _, together = fast_outputs(layers, graphs, x, batch_of(sets))
    for number, genes in enumerate(sets):
        wild, alone = fast_outputs(layers, graphs, x, batch_of([genes]))
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-12)
    torch.testing.assert_close(together[1], together[3], rtol=0, atol=1e-12)
    torch.testing.assert_close(fast_outputs(layers, graphs, x, batch_of([]))[0], wild)


def test_a_gene_named_twice_is_deleted_once():
    graphs, layers = small_graphs(), make_layers(4, [4, 6, 6])
    x = features(graphs, 4).detach()
    once = fast_outputs(layers, graphs, x, batch_of([[3, 9]]))
    twice = fast_outputs(layers, graphs, x, batch_of([[9, 3, 9]]))
    torch.testing.assert_close(twice, once, rtol=0, atol=1e-12)


def test_untouched_rows_are_the_wild_type():
    graphs, layers = small_graphs(), make_layers(4, [4, 6])
    x = features(graphs, 4).detach()
    cells = layers[0].aggregate(graphs, PerturbedCells.start(x, *batch_of([[5], [2, 40]])), "sum")
    assert 0 < int(cells.touched_BN.sum()) < cells.touched_BN.numel() / 2
    same = (cells.x_BND - cells.wild_ND).abs().amax(2) < 1e-12
    assert bool(same[~cells.touched_BN].all())
    assert not bool(same[cells.touched_BN].any())


def test_float32_is_close_and_no_gradient_is_needed():
    graphs, batch = small_graphs(), batch_of([[0, 5], [7]])
    layers = make_layers(4, [4, 32, 32])
    x = features(graphs, 4).detach()
    want = fast_outputs(layers, graphs, x, batch)
    with torch.inference_mode():
        got = fast_outputs(layers.float(), graphs, x.float(), batch)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-4)


def test_the_form_for_other_devices_is_the_same():
    graphs, (layer,) = small_graphs(), make_layers(4, [4, 6])
    cells = PerturbedCells.start(features(graphs, 4).detach(), *batch_of([[0, 5], [7]]))
    want = layer.aggregate(graphs, cells, "mean")
    got = layer._plainly(cells, graphs, 0.25, slice(None))
    torch.testing.assert_close((got.wild_ND, got.x_BND), (want.wild_ND, want.x_BND))


def test_parameters_of_the_reference():
    assert sum(p.numel() for p in SharedGINs(1, 8, 8).parameters()) == 161
    assert sum(p.numel() for p in SharedGINs(2, 8, 8).parameters()) == 322
