"""SharedGATs against PyTorch Geometric on one filtered copy of each network per cell."""

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

from graphwright.nn.shared_gat import SharedGATs


def make_layers(num_networks, dims, heads, **options):
    torch.manual_seed(0)
    pairs = pairwise(dims)
    layers = nn.ModuleList(SharedGATs(num_networks, i, o, heads, **options) for i, o in pairs)
    for name, parameter in layers.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return layers.double()


def geometric_gat(layer, number):
    """PyG's layer with the weights of one of ours; gradients go to ours."""
    geometric = pytest.importorskip("torch_geometric.nn")
    _, heads, head_dim = layer.attention.shape
    theirs = geometric.GATv2Conv(layer.left_weight.shape[1], head_dim, heads=heads).double()
    weights = {
        "lin_l.weight": layer.left_weight[number].t(),
        "lin_l.bias": layer.left_bias[number],
        "lin_r.weight": layer.right_weight[number].t(),
        "lin_r.bias": layer.right_bias[number],
        "att": layer.attention[number][None],
        "bias": layer.bias[number],
    }
    return lambda x, edges: torch.func.functional_call(theirs, weights, (x, edges))


def features(graphs, dim):
    torch.manual_seed(5)
    return torch.randn(graphs[0].num_nodes, dim, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("make_graphs", "num_layers"), [(small_graphs, 3), (real_graphs, 2)])
def test_layers_equal_torch_geometric_on_filtered_copies(make_graphs, num_layers):
    graphs = make_graphs()
    dims, x, batch = [4, *[4] * num_layers], features(graphs, 4), sets_with_hubs(graphs)
    layers = make_layers(len(graphs), dims, heads=2)
    args = layers, graphs, x, batch
    got = values_and_gradients(layers, x, lambda: fast_outputs(*args))
    want = values_and_gradients(layers, x, lambda: torch_geometric_outputs(*args, geometric_gat))
    assert_all_close(got, want)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("heads", [1, 3])
def test_touched_rows_recomputed_or_not_equal_the_plain_form(heads, recompute):
    graphs = small_graphs()
    x, batch = features(graphs, 5), sets_with_hubs(graphs)
    layers = make_layers(len(graphs), [5, 6, 6], heads, recompute=recompute)
    args = layers, graphs, x, batch
    got = values_and_gradients(layers, x, lambda: fast_outputs(*args))
    assert_all_close(got, values_and_gradients(layers, x, lambda: plain_outputs(*args)))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple"):
        SharedGATs(2, 4, 5, heads=2)


def test_a_cell_does_not_change_with_its_batch_mates():
    graphs, sets = small_graphs(), [[0], [3, 9], [8, 1, 2]]
    layers = make_layers(len(graphs), [4, 6, 6], heads=2)
    x = features(graphs, 4).detach()
    _, together = fast_outputs(layers, graphs, x, batch_of(sets))
    for number, genes in enumerate(sets):
        _, alone = fast_outputs(layers, graphs, x, batch_of([genes]))
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-12)
