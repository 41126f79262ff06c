"""StackedGIN against PyTorch Geometric."""

import copy

import pytest
import torch
from dags import check_against_oracle, random_dags, stacked
from torch import nn

from graphwright.nn.gin import StackedGIN, StackedGINEncoder


@pytest.mark.parametrize(("copies", "reverse"), [(1, 0), (1, 1), (4, 2)])
def test_every_copy_equals_torch_geometric(copies, reverse):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)

    def oracle():
        return geometric.GINConv(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 7)))

    def tie(ours, theirs):
        return [
            (ours.first.weight, theirs.nn[0].weight),
            (ours.first.bias, theirs.nn[0].bias),
            (ours.second.weight, theirs.nn[2].weight),
            (ours.second.bias, theirs.nn[2].bias),
        ]

    oracles = [oracle().double() for _ in range(copies)]
    check_against_oracle(StackedGIN(copies, 5, 7).double(), oracles, tie, reverse)


def test_features_that_all_copies_share_are_taken_once():
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=3, reverse=3)
    layer, x = StackedGIN(6, 5, 7), torch.randn(int(ptr[-1]), 5)
    torch.testing.assert_close(layer(x, graphs), layer(x.expand(6, -1, -1), graphs))


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_the_fused_encoder_equals_its_operators(shared, layers, relu):
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    graphs, nodes = stacked(edge_index, ptr, forward=2, reverse=2), int(ptr[-1])
    fused = StackedGINEncoder(4, 5, 7, layers, relu=relu).double()
    with torch.no_grad():
        fused.weight.uniform_(0.5, 2)
        fused.shift.normal_()
    parts = copy.deepcopy(fused)
    shape = (nodes, 5) if shared else (4, nodes, 5)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=not shared)
    twin = x.detach().clone().requires_grad_(not shared)
    got, want = fused(x, graphs), parts._plainly(twin, graphs)
    torch.testing.assert_close(got, want)
    got.tanh().sum().backward()
    want.tanh().sum().backward()
    if not shared:
        torch.testing.assert_close(x.grad, twin.grad)
    for (name, ours), theirs in zip(fused.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for ours, theirs in zip(fused.buffers(), parts.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    want = parts.eval()._plainly(twin, graphs)
    torch.testing.assert_close(fused.eval()(x, graphs), want)
    with torch.inference_mode():
        torch.testing.assert_close(fused(x, graphs), want)


@pytest.mark.parametrize("relu", [False, True])
def test_pooling_inside_is_pooling_behind(relu):
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=2, reverse=2)
    one = StackedGINEncoder(4, 5, 7, 3, relu=relu).double()
    two, x = copy.deepcopy(one), torch.randn(int(ptr[-1]), 5, dtype=torch.float64)
    for encoder in (one, two):
        inside = encoder is one
        out = encoder.pooled(x, graphs) if inside else graphs.pool_mean(encoder(x, graphs))
        (out**3).sum().backward()
    for ours, theirs in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    want = graphs.pool_mean(two.eval()(x, graphs))
    torch.testing.assert_close(one.eval().pooled(x, graphs), want)
    with torch.no_grad():
        torch.testing.assert_close(one.pooled(x, graphs), want)


def test_every_copy_of_an_encoder_equals_torch_geometric_with_batch_norm():
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    encoder = StackedGINEncoder(2, 5, 7, 2).double()
    x = torch.randn(int(ptr[-1]), 5, dtype=torch.float64)
    out = encoder(x, stacked(edge_index, ptr, forward=1, reverse=1))
    (out**3).sum().backward()
    maps = [encoder.first, *encoder.inner]
    for index, ends in enumerate((edge_index, edge_index.flip(0))):
        y, linears = x, []
        for layer in range(2):
            pair = [nn.Linear(w.shape[1], 7).double() for w in maps[2 * layer :][:2]]
            # it draws new weights for its network
            conv = geometric.GINConv(nn.Sequential(pair[0], nn.ReLU(), pair[1]))
            with torch.no_grad():
                for linear, weight in zip(pair, maps[2 * layer :], strict=False):
                    linear.weight.copy_(weight[index].t())
                pair[0].bias.copy_(encoder.bias[layer, index, 0])
            y = nn.BatchNorm1d(7).double()(conv(y, ends))
            linears += pair
        torch.testing.assert_close(out[index], y)
        (y**3).sum().backward()
        grads = [encoder.first.grad, *encoder.inner.grad]
        for linear, grad in zip(linears, grads, strict=True):
            torch.testing.assert_close(grad[index], linear.weight.grad.t())


def test_a_shared_input_with_a_gradient_gets_it():
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=2)
    layer = StackedGINEncoder(2, 5, 7, 2).double()
    x = torch.randn(int(ptr[-1]), 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, graphs), (x,))
