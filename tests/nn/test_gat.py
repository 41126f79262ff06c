"""StackedGAT against PyTorch Geometric."""

import pytest
import torch
from dags import check_against_oracle, random_dags, stacked

from graphwright.nn.gat import StackedGAT


@pytest.mark.parametrize(("copies", "reverse"), [(1, 0), (4, 2), (2, 2)])
def test_every_copy_equals_torch_geometric(copies, reverse):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)

    def tie(ours, theirs):
        return [
            (ours.left.weight, theirs.lin_l.weight),
            (ours.left.bias, theirs.lin_l.bias),
            (ours.right.weight, theirs.lin_r.weight),
            (ours.right.bias, theirs.lin_r.bias),
            (ours.attention.weight, theirs.att),
            (ours.bias, theirs.bias),
        ]

    oracles = [geometric.GATv2Conv(5, 7).double() for _ in range(copies)]
    check_against_oracle(StackedGAT(copies, 5, 7).double(), oracles, tie, reverse)


def test_large_scores_do_not_overflow():
    edge_index, ptr = random_dags()
    layer = StackedGAT(2, 5, 7)
    with torch.no_grad():
        layer.attention.weight.mul_(1e4)
    out = layer(100 * torch.randn(int(ptr[-1]), 5), stacked(edge_index, ptr, forward=2))
    assert out.isfinite().all()
