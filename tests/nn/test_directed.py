"""StackedGCN against PyTorch Geometric; the Neural Predictor's layer against its formula."""

import pytest
import torch
from dags import check_against_oracle, random_dags, stacked

from graphwright.nn.directed import StackedDirected, StackedGCN


@pytest.mark.parametrize(("copies", "reverse"), [(1, 0), (4, 2), (2, 2)])
def test_gcn_equals_torch_geometric(copies, reverse):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)

    def tie(ours, theirs):
        return [(ours.linear.weight, theirs.lin.weight), (ours.linear.bias, theirs.bias)]

    oracles = [geometric.GCNConv(5, 7).double() for _ in range(copies)]
    check_against_oracle(StackedGCN(copies, 5, 7).double(), oracles, tie, reverse)


@pytest.mark.parametrize("members", [1, 3])
def test_the_neural_predictors_layer_is_its_formula(members):
    torch.manual_seed(0)
    edge_index, ptr = random_dags()
    nodes = int(ptr[-1])
    adjacency = torch.zeros(nodes, nodes, dtype=torch.float64)
    adjacency[edge_index[0], edge_index[1]] = 1
    loops = torch.eye(nodes, dtype=torch.float64)
    forward, reverse = adjacency + loops, adjacency.t() + loops
    forward, reverse = (
        forward / forward.sum(1, keepdim=True),
        reverse / reverse.sum(1, keepdim=True),
    )
    layer = StackedDirected(members, 5, 7).double()
    x = torch.randn(members, nodes, 5, dtype=torch.float64)
    got = layer(x, stacked(edge_index, ptr, forward=members, reverse=members))
    weight = layer.linear.weight
    for member in range(members):
        # copies along the edges gather from sources: the rows of A'
        plus = (forward @ x[member] @ weight[members + member]).relu()
        minus = (reverse @ x[member] @ weight[member]).relu()
        torch.testing.assert_close(got[member], (plus + minus) / 2)
