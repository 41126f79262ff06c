"""Graph attention networks (GATv2) on shared graphs with deleted nodes: one for each of G networks.

Brody, Alon & Yahav, "How Attentive are Graph Attention Networks?", ICLR 2022,
https://arxiv.org/abs/2105.14491: out_i = sum_j alpha_ij (L x_j + l) + b over the kept neighbours
and the gene itself. Values and gradients are those of PyTorch Geometric's `GATv2Conv` on copies of
the graph from which every edge that touches a deleted gene is dropped.

Legend: G = networks, N = genes, B = cells, R = touched genes, D = features in, K = features out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from graphwright.nn.recompute import recomputed
from graphwright.nn.shared_attention import LoopedEdges, attend
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gin import Reduce
from graphwright.nn.shared_graph import SharedGraph
from graphwright.nn.shared_rows import TouchedRows, touched_rows, union_of

__all__ = ["SharedGATs"]


class SharedGATs(nn.Module):
    """One GATv2 for each of G networks on the same genes: one layer of an encoder.

    Args:
        num_networks: G.
        in_dim: D.
        out_dim: K, a multiple of the heads, which stand beside each other.
        heads: of the attention.
        recompute: keep only a layer's input for the backward pass and compute the rest again.

    Attributes:
        left_weight, left_bias: `[G, D, K]`, `[G, K]`, L and l, of the sources.
        right_weight, right_bias: the same of the targets.
        attention: `[G, heads, K / heads]`.
        bias: `[G, K]`, b.
    """

    def __init__(
        self,
        num_networks: int,
        in_dim: int,
        out_dim: int,
        heads: int = 1,
        *,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if out_dim % heads:
            raise ValueError(f"out_dim {out_dim} is no multiple of {heads} heads")
        self.recompute = recompute
        self.left_weight = _glorot(num_networks, in_dim, out_dim)
        self.left_bias = nn.Parameter(torch.zeros(num_networks, out_dim))
        self.right_weight = _glorot(num_networks, in_dim, out_dim)
        self.right_bias = nn.Parameter(torch.zeros(num_networks, out_dim))
        self.attention = _glorot(num_networks, heads, out_dim // heads)
        self.bias = nn.Parameter(torch.zeros(num_networks, out_dim))

    def forward(
        self, graphs: Sequence[SharedGraph], x_NBD: Tensor, keep_NB: Tensor | None = None
    ) -> Iterator[Tensor]:
        """As the formula reads, for every gene of every cell: `[N, B, K]` per network in turn.

        Args:
            graphs: G.
            x_NBD: features; B = 1 without `keep_NB` is the wild type.
            keep_NB: 0 at deleted genes, whose edges are dropped; None: nothing is deleted.
        """
        for number, graph in enumerate(graphs):
            edges, outs = LoopedEdges(graph), []
            for cell in range(x_NBD.shape[1]):
                keep_N = None if keep_NB is None else keep_NB[:, cell] > 0
                ends = self._ends(number, x_NBD[:, cell])
                outs.append(attend(*ends, self.attention[number], edges.into(None, keep_N)))
            yield torch.stack(outs, 1) + self.bias[number]

    def aggregate(
        self, graphs: Sequence[SharedGraph], cells: PerturbedCells, reduce: Reduce
    ) -> PerturbedCells:
        """The sum or the mean over the networks, of the wild type and of every cell."""
        scale = 1 / len(graphs) if reduce == "mean" else 1.0
        outs = self.each(graphs, cells)
        total = next(outs)
        for out in outs:
            inside = total.x_BND + out.x_BND
            total = replace(total, wild_ND=total.wild_ND + out.wild_ND, cells_BND=inside)
        return total if reduce == "sum" else total.map(lambda x: x * scale)

    def each(
        self, graphs: Sequence[SharedGraph], cells: PerturbedCells
    ) -> Iterator[PerturbedCells]:
        """What each network gives, in turn; all have the same `touched_BN`."""
        rows = touched_rows(graphs, cells)
        touched_BN = union_of(rows)
        for number, (graph, row) in enumerate(zip(graphs, rows, strict=True)):
            args = number, graph, row, cells
            wild, inside = self._again(*args) if self.recompute else self._network(*args)
            yield replace(cells, wild_ND=wild, cells_BND=inside, touched_BN=touched_BN)

    def _again(
        self, number: int, graph: SharedGraph, rows: TouchedRows, cells: PerturbedCells
    ) -> tuple[Tensor, Tensor]:
        """The same, of which only the input is kept for the backward pass."""

        def network(wild_ND: Tensor, cells_BND: Tensor | None = None) -> tuple[Tensor, Tensor]:
            given = replace(cells, wild_ND=wild_ND, cells_BND=cells_BND)
            return self._network(number, graph, rows, given)

        inputs = [x for x in (cells.wild_ND, cells.cells_BND) if x is not None]
        wild_NK, out_BNK = recomputed(network, inputs, list(self.parameters()))
        return wild_NK, out_BNK

    def _network(
        self, number: int, graph: SharedGraph, rows: TouchedRows, cells: PerturbedCells
    ) -> tuple[Tensor, Tensor]:
        edges, attention = LoopedEdges(graph), self.attention[number]
        ends = self._ends(number, cells.wild_ND)
        wild_NK = attend(*ends, attention, edges.into(None, None)) + self.bias[number]
        keep_BN, outs = cells.keep_NB.t() > 0, []
        for cell in range(cells.num_cells):
            if cells.cells_BND is not None:
                ends = self._ends(number, cells.cells_BND[cell])
            into = edges.into(rows.touched_BN[cell], keep_BN[cell])
            own_RK = attend(*ends, attention, into) + self.bias[number]
            outs.append(wild_NK.index_copy(0, into.node, own_RK))
        empty = wild_NK.new_empty(0, *wild_NK.shape)
        return wild_NK, torch.stack(outs) if outs else empty

    def _ends(self, number: int, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        left = torch.addmm(self.left_bias[number], x_ND, self.left_weight[number])
        return left, torch.addmm(self.right_bias[number], x_ND, self.right_weight[number])


def _glorot(*shape: int) -> nn.Parameter:
    """Glorot uniform over the last two dimensions, as the authors have it."""
    bound = (6 / (shape[-2] + shape[-1])) ** 0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
