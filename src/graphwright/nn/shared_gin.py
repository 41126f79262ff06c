"""Graph isomorphism networks on shared graphs with deleted nodes: one for each of G networks.

Xu et al., "How Powerful are Graph Neural Networks?", ICLR 2019, https://arxiv.org/abs/1810.00826
(eq. 4.1): out = W2 relu(norm(W1 ((1 + eps) x + sum of the neighbours) + b1)) + b2, where norm is
layer normalisation (Ba et al., arXiv 1607.06450) of each node by itself.

Legend: G = networks, N = genes, B = cells, D = features in, K = features out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gin_kernel import GINSettings, sum_of_gins
from graphwright.nn.shared_graph import SharedGraph, perturbed_sum
from graphwright.nn.shared_rows import TouchedRows, touched_rows, union_of

__all__ = ["Reduce", "SharedGINs"]

Reduce = Literal["sum", "mean"]


class SharedGINs(nn.Module):
    """One GIN for each of G networks on the same genes: one layer of an encoder.

    Args:
        num_networks: G.
        in_dim: D.
        out_dim: K, of the hidden layer as well.
        recompute: keep only a layer's input for the backward pass and compute the rest again.

    Attributes:
        eps: `[G]`, 0 at first, trained.
        first_weight, first_bias: `[G, D, K]`, `[G, K]`, W1 and b1.
        norm_weight, norm_bias: `[G, K]`, of the normalisation.
        second_weight, second_bias: `[G, K, K]`, `[G, K]`, W2 and b2.
    """

    def __init__(
        self, num_networks: int, in_dim: int, out_dim: int, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.recompute = recompute
        first, second = 1 / math.sqrt(in_dim), 1 / math.sqrt(out_dim)
        shape = (num_networks, out_dim)
        self.eps = nn.Parameter(torch.zeros(num_networks))
        self.first_weight = _uniform((num_networks, in_dim, out_dim), first)
        self.first_bias = _uniform(shape, first)
        self.norm_weight = nn.Parameter(torch.ones(shape))
        self.norm_bias = nn.Parameter(torch.zeros(shape))
        self.second_weight = _uniform((num_networks, out_dim, out_dim), second)
        self.second_bias = _uniform(shape, second)

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
            yield self._gin(number, graph, x_NBD, keep_NB)

    def aggregate(
        self, graphs: Sequence[SharedGraph], cells: PerturbedCells, reduce: Reduce
    ) -> PerturbedCells:
        """The sum or the mean over the networks, of the wild type and of every cell."""
        rows = touched_rows(graphs, cells)
        scale = 1 / len(graphs) if reduce == "mean" else 1.0
        return self._sum(cells, graphs, rows, union_of(rows), scale, slice(None))

    def each(
        self, graphs: Sequence[SharedGraph], cells: PerturbedCells
    ) -> Iterator[PerturbedCells]:
        """What each network gives, in turn; all have the same `touched_BN`."""
        rows = touched_rows(graphs, cells)
        touched_BN = union_of(rows)
        for number, (graph, row) in enumerate(zip(graphs, rows, strict=True)):
            own = slice(number, number + 1)
            yield self._sum(cells, [graph], [row], touched_BN, 1.0, own)

    def _sum(
        self,
        cells: PerturbedCells,
        graphs: Sequence[SharedGraph],
        rows: Sequence[TouchedRows],
        touched_BN: Tensor,
        scale: float,
        networks: slice,
    ) -> PerturbedCells:
        if cells.wild_ND.device.type != "cpu":
            return self._plainly(cells, graphs, scale, networks)
        deleted = torch.split(cells.gene_index, cells.gene_ptr.diff().tolist())
        keep = torch.is_grad_enabled() and not self.recompute
        settings = GINSettings(graphs, rows, deleted, scale, keep)
        first = self.first_weight, self.first_bias, self.norm_weight, self.norm_bias
        every = self.eps, *first, self.second_weight, self.second_bias
        parameters = [parameter[networks] for parameter in every]
        wild, inside = sum_of_gins(cells.wild_ND, cells.cells_BND, parameters, settings)
        return replace(cells, wild_ND=wild, cells_BND=inside, touched_BN=touched_BN)

    def _plainly(
        self,
        cells: PerturbedCells,
        graphs: Sequence[SharedGraph],
        scale: float,
        networks: slice,
    ) -> PerturbedCells:
        """All rows, by torch's own operators: where a launch costs more than rows do."""
        numbers = range(self.eps.numel())[networks]
        wild = inside = cells.wild_ND.new_zeros(())
        for number, graph in zip(numbers, graphs, strict=True):
            wild = wild + self._gin(number, graph, cells.wild_ND[:, None], None)
            inside = inside + self._gin(number, graph, cells.x_NBD, cells.keep_NB)
        touched_BN = torch.ones_like(cells.touched_BN)
        out_BNK = (inside * scale).transpose(0, 1).contiguous()
        return replace(cells, wild_ND=wild[:, 0] * scale, cells_BND=out_BNK, touched_BN=touched_BN)

    def _gin(
        self, number: int, graph: SharedGraph, x_NBD: Tensor, keep_NB: Tensor | None
    ) -> Tensor:
        total = x_NBD * (1 + self.eps[number]) + perturbed_sum(graph, x_NBD, keep_NB)
        hidden = total @ self.first_weight[number] + self.first_bias[number]
        norm = self.norm_weight[number], self.norm_bias[number]
        hidden = nn.functional.layer_norm(hidden, hidden.shape[-1:], *norm).relu()
        return hidden @ self.second_weight[number] + self.second_bias[number]


def _uniform(shape: tuple[int, ...], bound: float) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
