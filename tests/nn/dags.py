"""Small random directed acyclic graphs for the tests of stacked layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.dag import StackedGraphs


def random_dags(seed: int = 0, counts: tuple[int, ...] = (5, 8, 2, 6)) -> tuple[Tensor, Tensor]:
    """`edge_index [2, E]` sorted by target, and `node_ptr [B + 1]`."""
    generator = torch.Generator().manual_seed(seed)
    ptr = torch.tensor([0, *counts]).cumsum(0)
    parts = []
    for start, count in zip(ptr.tolist(), counts, strict=False):
        joined = torch.rand(count, count, generator=generator).triu(1) > 0.5
        parts.append(joined.nonzero().t() + start)
    edge_index = torch.cat(parts, dim=1)
    order = (edge_index[1] * int(ptr[-1]) + edge_index[0]).argsort()
    return edge_index[:, order], ptr


def stacked(edge_index: Tensor, ptr: Tensor, *, forward: int, reverse: int = 0) -> StackedGraphs:
    return StackedGraphs(edge_index, ptr, int(ptr[-1]), forward=forward, reverse=reverse)


def check_against_oracle(layer: nn.Module, oracles: list[nn.Module], tie, reverse: int = 0) -> None:
    """Values and gradients of every copy equal those of a lone PyG layer with its weights.

    Args:
        layer: stacked, with as many copies as there are oracles.
        oracles: one PyG layer for each copy.
        tie: maps (layer, oracle, copy) to pairs of (stacked parameter, the oracle's one,
            how its gradient is brought into the shape of the copy).
        reverse: so many of the last copies go against the edges.
    """
    edge_index, ptr = random_dags()
    copies, in_dim = len(oracles), 5
    graphs = stacked(edge_index, ptr, forward=copies - reverse, reverse=reverse)
    x = torch.randn(copies, int(ptr[-1]), in_dim, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(int(ptr[-1]), 7, dtype=torch.float64)
    out = layer(x, graphs)
    (out.tanh() * weight).sum().backward()
    for copy, oracle in enumerate(oracles):
        pairs = tie(layer, oracle)
        with torch.no_grad():
            for ours, theirs in pairs:
                theirs.copy_(_shaped(ours[copy], theirs))
        twin = x.detach()[copy].clone().requires_grad_()
        ends = edge_index.flip(0) if copy >= copies - reverse else edge_index
        want = oracle(twin, ends)
        (want.tanh() * weight).sum().backward()
        torch.testing.assert_close(out[copy], want)
        torch.testing.assert_close(x.grad[copy], twin.grad)
        for ours, theirs in pairs:
            torch.testing.assert_close(_shaped(ours.grad[copy], theirs), theirs.grad)


def _shaped(ours: Tensor, theirs: Tensor) -> Tensor:
    """A linear weight `[in, out]` as torch has it, anything else by its number of values."""
    turned = ours.t() if ours.dim() == 2 and ours.shape[0] > 1 and theirs.dim() == 2 else ours
    return turned.reshape(theirs.shape)
