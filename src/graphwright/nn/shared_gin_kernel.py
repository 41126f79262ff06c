"""A layer of G isomorphism networks, summed, for the wild type and B cells, in one operator.

Only touched genes (`nn/shared_rows.py`) are computed for a cell; the others are rows of the wild
type. The backward pass is written by hand. What lies between a layer's input and output is made in
blocks that fit the cache, and no tensor has both a network and a cell dimension.

Legend: G = networks, N = genes, B = cells, R = touched genes of a block of cells, D = features in,
K = features out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphwright.nn.edges import bag_sum
from graphwright.nn.shared_graph import SharedGraph
from graphwright.nn.shared_mlp import Kept, NormedMLP, padded
from graphwright.nn.shared_rows import FirstRows, LaterRows, TouchedRows

__all__ = ["GINSettings", "sum_of_gins"]

_BLOCK_ROWS = 6000  # of a block of cells: 1.5 MB a tensor at 64 features


class GINSettings(NamedTuple):
    """What a layer needs beside tensors with gradients.

    Attributes:
        graphs: G.
        rows: what each network touches.
        deleted: `[P]` int64 for each cell.
        scale: of the sum.
        keep: for the backward pass, what is between input and output; else it is made again.
    """

    graphs: Sequence[SharedGraph]
    rows: Sequence[TouchedRows]
    deleted: Sequence[Tensor]
    scale: float
    keep: bool


def sum_of_gins(
    wild_ND: Tensor,
    cells_BND: Tensor | None,
    parameters: Sequence[Tensor],
    settings: GINSettings,
) -> tuple[Tensor, Tensor]:
    """scale times the sum over the networks of each GIN.

    Args:
        wild_ND: the wild type.
        cells_BND: the cells; None: all have the wild type's features.
        parameters: eps, W1, b1, norm weight, norm bias, W2, b2 as in `SharedGINs`.
        settings: the rest.

    Returns:
        `[N, K]` of the wild type and `[B, N, K]` of the cells.
    """
    with torch.autocast(wild_ND.device.type, enabled=False):
        wild, cells = _SumOfGINs.apply(  # type: ignore[no-untyped-call]
            settings, wild_ND, cells_BND, *parameters
        )
    return wild, cells


class _SumOfGINs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, settings: GINSettings, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        layer = _Layer(settings, *inputs)
        ctx.save_for_backward(*inputs)
        ctx.settings = settings
        out = layer.forward()
        # the layer itself would keep its inputs, and with them the whole graph behind them
        ctx.kept = layer.kept
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NK: Tensor, grad_BNK: Tensor) -> tuple[Tensor | None, ...]:
        layer = _Layer(ctx.settings, *ctx.saved_tensors)
        layer.kept, ctx.kept = ctx.kept, {}
        return None, *layer.backward(grad_NK.contiguous(), grad_BNK.contiguous())


class _Layer:
    """One pass over a layer's blocks."""

    def __init__(
        self,
        settings: GINSettings,
        wild_ND: Tensor,
        cells_BND: Tensor | None,
        eps_G: Tensor,
        *weights: Tensor,
    ) -> None:
        self.settings, self.wild_ND, self.cells_BND = settings, wild_ND, cells_BND
        self.eps: list[float] = eps_G.tolist()
        parts = zip(*weights, strict=True)
        self.mlps = [NormedMLP(settings.scale, *part) for part in parts]
        # by network and first cell of the block; -1 for the wild type
        self.kept: dict[tuple[int, int], Kept] = {}
        # the wild type's (1 + eps) x + sum, by network, where cells start from it
        self.wild_sums: list[Tensor] = []
        args = settings.rows, self.eps
        self.first = FirstRows(wild_ND, *args) if cells_BND is None else None
        self.later = None
        if cells_BND is not None:
            self.later = LaterRows(cells_BND, settings.graphs, *args, settings.deleted)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Of the wild type `[N, K]`, of the cells `[B, N, K]`."""
        settings, num_nodes = self.settings, len(self.wild_ND)
        num_wild, out_dim = len(self.mlps) * num_nodes, self.mlps[0].second_KK.shape[1]
        blocks = self._blocks()
        most = max((sum(_size(r, block) for r in settings.rows) for block in blocks), default=0)
        table = self.wild_ND.new_empty(num_wild + most, out_dim)
        for number, mlp in enumerate(self.mlps):
            kept = self._keep(number, -1, mlp.hidden(self._wild_sum(number)))
            table[number * num_nodes : (number + 1) * num_nodes] = mlp.out(kept)
        out_BNK = table.new_empty(len(settings.deleted), num_nodes, out_dim)
        for block in blocks:
            start, starts = num_wild, []
            for number, mlp in enumerate(self.mlps):
                kept = self._keep(number, block.start, mlp.hidden(self._sums(number, block)))
                stop = start + _size(settings.rows[number], block)
                table[start:stop] = mlp.out(kept)[: stop - start]
                starts.append(start)
                start = stop
            _assemble(table, settings.rows, block, starts, out_BNK)
        return table[:num_wild].view(len(self.mlps), num_nodes, -1).sum(0), out_BNK

    def backward(self, grad_NK: Tensor, grad_BNK: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the wild type, the cells, eps and the weights."""
        networks = range(len(self.mlps))
        total_NK = grad_NK + grad_BNK.sum(0)
        grad_wild = torch.zeros_like(self.wild_ND)
        grad_cells = None if self.cells_BND is None else torch.zeros_like(self.cells_BND)
        sum_grads = [torch.zeros_like(grad_wild) if self.first else None for _ in networks]
        grad_eps = [grad_wild.new_zeros(()) for _ in networks]
        if self.first:
            self._wild_again()
        for block in self._blocks():
            for number in networks:
                grad_RD = self._block_backward(number, block, grad_BNK)
                if self.later is not None and grad_cells is not None:
                    grad_eps[number] += self.later.backward(number, block, grad_RD, grad_cells)
                elif self.first is not None and (sums := sum_grads[number]) is not None:
                    grad_eps[number] += self.first.backward(number, grad_RD, sums, grad_wild)
        for number in networks:
            rest_NK = self._untouched(number, grad_NK, grad_BNK, total_NK)
            grad_ND = self._wild_backward(number, rest_NK, sum_grads[number], grad_wild)
            grad_eps[number] += torch.dot(grad_ND.view(-1), self.wild_ND.reshape(-1))
        weights = zip(*(mlp.grads for mlp in self.mlps), strict=True)
        return grad_wild, grad_cells, torch.stack(grad_eps), *(torch.stack(w) for w in weights)

    def _untouched(
        self, number: int, grad_NK: Tensor, grad_BNK: Tensor, total_NK: Tensor
    ) -> Tensor:
        """Gradient of one network's output of the wild type, which serves all untouched genes."""
        rows = self.settings.rows[number]
        if not len(grad_BNK):
            return grad_NK
        flat = grad_BNK.view(-1, grad_BNK.shape[2])
        if 2 * rows.ptr[-1] < rows.touched_BN.numel():
            return total_NK - bag_sum(flat, *rows.by_node(rows.touched_BN))
        return bag_sum(flat, *rows.by_node(~rows.touched_BN)).add_(grad_NK)

    def _block_backward(self, number: int, block: range, grad_BNK: Tensor) -> Tensor:
        rows, mlp = self.settings.rows[number], self.mlps[number]
        kept = self.kept.pop((number, block.start), None)
        if kept is None:
            kept = mlp.hidden(self._sums(number, block))
        size, first = _size(rows, block), rows.ptr[block.start]
        grad_RK = padded(size, grad_BNK)
        for cell in block:
            part = grad_RK[rows.ptr[cell] - first : rows.ptr[cell + 1] - first]
            torch.index_select(grad_BNK[cell], 0, rows.nodes_of(cell, cell + 1), out=part)
        return mlp.backward(kept, grad_RK)[:size]

    def _wild_backward(
        self, number: int, rest_NK: Tensor, sum_grad_ND: Tensor | None, grad_wild: Tensor
    ) -> Tensor:
        """Gradient of the wild type's sum, which goes on into that of its features."""
        mlp, graph = self.mlps[number], self.settings.graphs[number]
        kept = self.kept.pop((number, -1), None)
        if kept is None:
            kept = mlp.hidden(self._wild_sum(number))
        grad_ND = mlp.backward(kept, rest_NK)
        if sum_grad_ND is not None:
            grad_ND += sum_grad_ND
        grad_wild.add_(grad_ND, alpha=1 + self.eps[number])
        grad_wild.add_(graph.sum_targets(grad_ND))
        return grad_ND

    def _keep(self, number: int, start: int, kept: Kept) -> Kept:
        if self.settings.keep:
            self.kept[number, start] = kept
        return kept

    def _wild_sum(self, number: int) -> Tensor:
        total_ND = self.settings.graphs[number].sum_sources(self.wild_ND)
        total_ND.add_(self.wild_ND, alpha=1 + self.eps[number])
        if self.first is not None:
            self.wild_sums.append(total_ND)
        return total_ND

    def _wild_again(self) -> None:
        """The backward pass of the first layer needs them where nothing was kept."""
        if not self.kept and len(self.settings.deleted):
            for number in range(len(self.mlps)):
                self._wild_sum(number)

    def _sums(self, number: int, block: range) -> Tensor:
        size = _size(self.settings.rows[number], block)
        sum_RD = padded(size, self.wild_ND)
        if self.first is not None:
            self.first.sums(number, self.wild_sums[number], sum_RD[:size])
        elif self.later is not None:
            self.later.sums(number, block, sum_RD[:size])
        return sum_RD

    def _blocks(self) -> list[range]:
        """Cells in blocks of about `_BLOCK_ROWS` rows; one block in the first layer."""
        num_cells, rows = len(self.settings.deleted), self.settings.rows
        if self.first is not None:
            return [range(num_cells)] if num_cells else []
        mean = sum(row.ptr[-1] for row in rows) / len(rows) / max(num_cells, 1)
        size = max(1, round(_BLOCK_ROWS / max(mean, 1.0)))
        return [range(b, min(b + size, num_cells)) for b in range(0, num_cells, size)]


def _size(rows: TouchedRows, block: range) -> int:
    return rows.ptr[block.stop] - rows.ptr[block.start]


def _assemble(
    table: Tensor,
    rows: Sequence[TouchedRows],
    block: range,
    starts: Sequence[int],
    out_BNK: Tensor,
) -> None:
    """out = for every gene the sum over the networks of its own row or of the wild type's.

    Args:
        table: `[G N + …, K]`, rows of the wild type and, from `starts` on, of the touched genes.
        rows: of each network.
        block: cells.
        starts: of each network.
        out_BNK: where the sums go.
    """
    num_nodes, num_graphs = out_BNK.shape[1], len(rows)
    node_N = torch.arange(num_nodes, dtype=torch.int32)
    ptr = torch.arange(0, num_nodes * num_graphs + 1, num_graphs, dtype=torch.int32)
    wild = [node_N + number * num_nodes for number in range(num_graphs)]
    for cell in block:
        index = []
        for row, start, wild_N in zip(rows, starts, wild, strict=True):
            offset = start + row.ptr[cell] - row.ptr[block.start]
            own_N = row.bounds[cell, :-1] + offset
            index.append(torch.where(row.touched_BN[cell], own_N, wild_N))
        index_NG = torch.stack(index, 1)
        out_BNK[cell] = torch.embedding_bag(
            table, index_NG.view(-1), ptr, mode=0, include_last_offset=True
        )[0]
