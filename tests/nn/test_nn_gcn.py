"""GCNConv against PyTorch Geometric."""

import pytest
import torch

from graphwright.nn.edges import SortedEdges
from graphwright.nn.gcn import GCNConv


@pytest.mark.parametrize(("in_dim", "out_dim"), [(3, 8), (8, 3)])
@pytest.mark.parametrize("loops", [False, True])
def test_equals_torch_geometric_forward_and_backward(in_dim, out_dim, loops):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    edge_index = torch.randint(20, (2, 90)).unique(dim=1)
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    if loops:
        edge_index = torch.cat([edge_index, torch.tensor([[3, 7], [3, 7]])], dim=1)
    ours, oracle = GCNConv(in_dim, out_dim), geometric.GCNConv(in_dim, out_dim)
    oracle.load_state_dict({"bias": ours.bias + 0.5, "lin.weight": ours.linear.weight})
    ours.bias.data += 0.5
    x = torch.randn(20, in_dim, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    got, want = ours(x, SortedEdges.build(edge_index, 20)), oracle(twin, edge_index)
    torch.testing.assert_close(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(ours.linear.weight.grad, oracle.lin.weight.grad)


def test_a_graph_without_edges_is_a_linear_map():
    conv = GCNConv(3, 2)
    x = torch.randn(5, 3)
    edges = SortedEdges.build(torch.zeros(2, 0, dtype=torch.int64), 5)
    torch.testing.assert_close(conv(x, edges), conv.linear(x) + conv.bias)
