"""StackedGIN against PyTorch Geometric."""

import pytest
import torch
from dags import check_against_oracle, random_dags, stacked
from torch import nn

from graphwright.nn.gin import StackedGIN, StackedGINNorm


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


@pytest.mark.parametrize("shared", [False, True])
def test_the_fused_layer_equals_its_two_parts(shared):
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    graphs, nodes = stacked(edge_index, ptr, forward=2, reverse=1), int(ptr[-1])
    fused, parts = StackedGINNorm(3, 5, 7).double(), StackedGINNorm(3, 5, 7).double()
    with torch.no_grad():
        fused.norm.weight.uniform_(0.5, 2)
    parts.load_state_dict(fused.state_dict())
    shape = (nodes, 5) if shared else (3, nodes, 5)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=not shared)
    twin = x.detach().clone().requires_grad_(not shared)
    got, want = fused(x, graphs), parts.norm(parts.conv(twin, graphs))
    torch.testing.assert_close(got, want)
    got.tanh().sum().backward()
    want.tanh().sum().backward()
    if not shared:
        torch.testing.assert_close(x.grad, twin.grad)
    for (name, ours), theirs in zip(fused.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
    for ours, theirs in zip(fused.buffers(), parts.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(fused.eval()(x, graphs), parts.eval()(twin, graphs))


def test_a_shared_input_with_a_gradient_gets_it():
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=2)
    layer = StackedGINNorm(2, 5, 7).double()
    x = torch.randn(int(ptr[-1]), 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, graphs), (x,))
