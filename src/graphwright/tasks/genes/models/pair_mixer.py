"""Aggregator `pairwise_interaction`: a small network for every pair of networks, as one product.

For every pair p = (i <= j) of the G networks an MLP looks at [x_i, x_j]; the mean of all networks
is one option more. A score of each option, made by one MLP that they share, weighs them by softmax:

    h_p = relu(W1_p [x_i, x_j] + b1_p)            (further layers b -> b where depth > 2)
    o_p = W2_p h_p + b2_p,    o_0 = mean_i x_i
    s   = v · relu(S o + c) + d,    α = softmax(s),    out = sum_p α_p o_p

o_p itself is never made. The last map and the score's first one are one linear map of h_p, and the
weighted sum is one product of all α_p h_p with all W2_p; likewise x_i meets all its halves of W1 in
one product instead of being copied into G + 1 pairs. Exact up to rounding.

Legend: R = rows (a gene in a cell), G = networks, P = G (G + 1) / 2 pairs, D = features, b = width
of the bottleneck, T = width of the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from graphwright.nn.recompute import in_blocks
from graphwright.nn.stacked import StackedLinear

__all__ = ["PairMixer"]


class PairMixer(nn.Module):
    """All pairs and the identity option.

    Rows are treated in blocks, of which only the input is kept for the backward pass: P b values a
    row would be more than all the rest of the model, and writing them out costs more than computing
    them again (45 pairs at b = 32, 6,400 rows, one core of a busy machine, forward and backward:
    1.5 s so, 2.8 s in one piece with everything kept, 3.8 s with each pair's input put together).

    Args:
        networks: G.
        dim: D.
        inner: b.
        depth: linear maps of each pair's network, >= 2.
    """

    def __init__(self, networks: int, dim: int, inner: int, depth: int = 2) -> None:
        super().__init__()
        pairs, half = list(combinations_with_replacement(range(networks), 2)), max(dim // 2, 1)
        self.first = StackedLinear(len(pairs), 2 * dim, inner)
        inside = (StackedLinear(len(pairs), inner, inner) for _ in range(depth - 2))
        self.inner = nn.ModuleList(inside)
        self.last = StackedLinear(len(pairs), inner, dim)
        self.score = nn.Sequential(nn.Linear(dim, half), nn.ReLU(), nn.Linear(half, 1))
        self.register_buffer("pairs", torch.tensor(pairs).t().contiguous(), persistent=False)
        self.pairs: Tensor

    def option_names(self, networks: Sequence[str]) -> tuple[str, ...]:
        """The pairs by name, a pair of one network by its own, and the identity."""
        pairs = combinations_with_replacement(networks, 2)
        return (*(one if one == other else f"{one} x {other}" for one, other in pairs), "identity")

    def forward(self, outputs: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """G tensors `[..., D]` to one, and the weights `[..., P + 1]`, the identity last."""
        return in_blocks(self._mix, outputs, list(self.parameters()), again=True)

    def _mix(self, x_GRD: Tensor) -> tuple[Tensor, Tensor]:
        hidden_PRb, mean_RD = self._first(x_GRD).relu(), x_GRD.mean(0)
        for layer in self.inner:
            hidden_PRb = layer(hidden_PRb).relu()
        weight_KR = self._scores(hidden_PRb, mean_RD).softmax(0)
        # [R, P b] by [P b, D]: the sum over pairs is inside of the product
        weighed_RPb = (weight_KR[:-1, :, None] * hidden_PRb).transpose(0, 1)
        out_RD = weighed_RPb.flatten(1) @ self.last.weight.flatten(0, 1)
        shift_KD = torch.cat([_bias(self.last).squeeze(1), mean_RD.new_zeros(1, out_RD.shape[1])])
        return out_RD + weight_KR.t() @ shift_KD + weight_KR[-1, :, None] * mean_RD, weight_KR.t()

    def _first(self, x_GRD: Tensor) -> Tensor:
        """W1_p [x_i, x_j] + b1_p `[P, R, b]`."""
        networks, _, dim = x_GRD.shape
        (one_P, other_P), inner = self.pairs, self.first.weight.shape[2]
        upper_PDb, lower_PDb = torch.split(self.first.weight, dim, dim=1)
        # slot [i, j] of a network i: the half of W1 that it meets in its pair with j
        slot_GGDb = x_GRD.new_zeros(networks, networks, dim, inner)
        slot_GGDb = slot_GGDb.index_put((one_P, other_P), upper_PDb.to(x_GRD.dtype))
        slot_GGDb = slot_GGDb.index_put(
            (other_P, one_P), lower_PDb.to(x_GRD.dtype), accumulate=True
        )
        met_GRF = torch.bmm(x_GRD, slot_GGDb.transpose(1, 2).flatten(2))
        met_GGRb = torch.unflatten(met_GRF, 2, (-1, inner)).transpose(1, 2)
        total_PRb = met_GGRb[one_P, other_P]
        apart = (one_P != other_P).to(total_PRb.dtype)[:, None, None]
        # a network paired with itself has met both halves already
        return torch.addcmul(total_PRb + _bias(self.first), met_GGRb[other_P, one_P], apart)

    def _scores(self, hidden_PRb: Tensor, mean_RD: Tensor) -> Tensor:
        """s `[P + 1, R]`."""
        inward, _, outward = self.score
        assert isinstance(inward, nn.Linear)
        joint_PbT = self.last.weight @ inward.weight.t()
        shift_P1T = _bias(self.last) @ inward.weight.t() + inward.bias
        pair_PR = outward(torch.baddbmm(shift_P1T, hidden_PRb, joint_PbT).relu()).squeeze(2)
        own_R = self.score(mean_RD).squeeze(1)
        scores: Tensor = torch.cat([pair_PR, own_R[None]])
        return scores


def _bias(layer: StackedLinear) -> Tensor:
    assert layer.bias is not None
    return layer.bias
