"""StackedSAGE against PyTorch Geometric."""

import pytest
import torch
from dags import check_against_oracle, random_dags, stacked

from graphwright.nn.sage import StackedSAGE


@pytest.mark.parametrize(("copies", "reverse"), [(1, 0), (4, 2), (2, 2)])
def test_every_copy_equals_torch_geometric(copies, reverse):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)

    def tie(ours, theirs):
        return [
            (ours.neighbours.weight, theirs.lin_l.weight),
            (ours.neighbours.bias, theirs.lin_l.bias),
            (ours.own.weight, theirs.lin_r.weight),
        ]

    oracles = [geometric.SAGEConv(5, 7).double() for _ in range(copies)]
    check_against_oracle(StackedSAGE(copies, 5, 7).double(), oracles, tie, reverse)


def test_features_that_all_copies_share_are_taken_once():
    edge_index, ptr = random_dags()
    graphs = stacked(edge_index, ptr, forward=2)
    layer, x = StackedSAGE(2, 5, 7), torch.randn(int(ptr[-1]), 5)
    torch.testing.assert_close(layer(x, graphs), layer(x.expand(2, -1, -1), graphs))
