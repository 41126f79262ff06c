"""Which genes of which cells a layer must compute anew, and the neighbour sums of just those.

A gene of a cell is *touched* once a deletion has reached it; all others are as in the wild type. A
network touches the neighbours of the touched genes. On nine yeast networks (6,400 genes, pairs of
deletions) that is 0.5 % of the genes of a network in the first layer, 18 % in the second and 70 %
in the third.

`FirstRows` starts from the sums of the wild type and takes the messages of the deleted genes off.
`LaterRows` sums over all neighbours, one cell at a time, so that its features stay in the cache,
and picks the touched genes then.

Legend: N = genes, B = cells, P = deleted genes, R = touched genes of some cells, D = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_graph import SharedGraph

__all__ = ["FirstRows", "LaterRows", "Removed", "TouchedRows", "touched_rows", "union_of"]


@dataclass(frozen=True, eq=False)
class TouchedRows:
    """The genes that one network touches, cell by cell.

    Attributes:
        touched_BN: bool.
        removed: in the first layer, the messages that are missing; else None.
    """

    touched_BN: Tensor
    removed: Removed | None = None

    @cached_property
    def node(self) -> Tensor:
        """`[R]` int64, the genes of the first cell in ascending order, of the second…"""
        return self.touched_BN.nonzero()[:, 1].contiguous()

    @cached_property
    def ptr(self) -> list[int]:
        """B + 1 bounds of the cells in `node`."""
        counts = self.touched_BN.sum(1)
        return [0, *torch.cumsum(counts, 0).tolist()]

    def nodes_of(self, first: int, last: int) -> Tensor:
        """The part of `node` of cells first <= b < last."""
        return self.node[self.ptr[first] : self.ptr[last]]

    @cached_property
    def bounds(self) -> Tensor:
        """`[B, N + 1]` int32: how many touched genes of the cell come before each gene."""
        bounds = self.touched_BN.new_zeros(len(self.touched_BN), 1 + self.touched_BN.shape[1])
        bounds[:, 1:] = self.touched_BN
        return bounds.cumsum(1, dtype=torch.int32)

    @staticmethod
    def by_node(chosen_BN: Tensor) -> tuple[Tensor, Tensor]:
        """Chosen rows of `[B N, …]` in the order of their genes, and the bounds of these."""
        chosen_NB, num_nodes = chosen_BN.t().contiguous(), chosen_BN.shape[1]
        node, cell = chosen_NB.nonzero().unbind(1)
        ptr = node.new_zeros(num_nodes + 1)
        torch.cumsum(chosen_NB.sum(1), 0, out=ptr[1:])
        return cell * num_nodes + node, ptr


@dataclass(frozen=True, eq=False)
class Removed:
    """The messages that deleted genes no longer send, sorted by receiver.

    Attributes:
        source: `[M]` int64, the deleted gene.
        receiver: `[M]` int64, a row of `TouchedRows.node`; never a deleted gene.
        ptr: `[R + 1]` int64, the bounds of the receivers.
        own_row, own_gene: `[P]` int64, the deleted genes' own rows and they themselves.
    """

    source: Tensor
    receiver: Tensor
    ptr: Tensor
    own_row: Tensor
    own_gene: Tensor


def touched_rows(graphs: Sequence[SharedGraph], cells: PerturbedCells) -> list[TouchedRows]:
    """What each network touches."""
    if cells.cells_BND is None:
        return [_next_to_deleted(graph, cells.touched_BN) for graph in graphs]
    touched_NB = cells.touched_BN.t().to(torch.float32, memory_format=torch.contiguous_format)
    reached = ((graph.sum_sources(touched_NB) + touched_NB) > 0 for graph in graphs)
    return [TouchedRows(reached_NB.t().contiguous()) for reached_NB in reached]


def union_of(rows: Sequence[TouchedRows]) -> Tensor:
    """`[B, N]` bool: the genes that any of the networks touches."""
    touched_BN = rows[0].touched_BN.clone()
    for row in rows[1:]:
        touched_BN |= row.touched_BN
    return touched_BN


def _next_to_deleted(graph: SharedGraph, deleted_BN: Tensor) -> TouchedRows:
    num_nodes = graph.num_nodes
    own_flat = deleted_BN.view(-1).nonzero()[:, 0]
    gene_P = own_flat % num_nodes
    start_P, count_P = _target_bounds(graph, gene_P)
    total = int(count_P.sum())
    every_P, every_M = (torch.arange(n, device=gene_P.device) for n in (len(gene_P), total))
    pair_M = torch.repeat_interleave(every_P, count_P, output_size=total)
    before_P = count_P.cumsum(0) - count_P
    edge_M = every_M + (start_P - before_P)[pair_M]
    flat_M = (own_flat - gene_P)[pair_M] + graph.target_indices[edge_M].long()
    kept = ~deleted_BN.view(-1)[flat_M]
    flat_M, source_M = flat_M[kept], gene_P[pair_M[kept]]
    touched = deleted_BN.clone()
    touched.view(-1)[flat_M] = True
    row_of = touched.view(-1).cumsum(0) - 1
    order = flat_M.argsort(stable=True)
    receiver_M = row_of[flat_M[order]]
    counts = torch.bincount(receiver_M, minlength=int(row_of[-1]) + 1 if len(row_of) else 0)
    ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    own_row = row_of[own_flat]
    return TouchedRows(touched, Removed(source_M[order], receiver_M, ptr, own_row, gene_P))


def _target_bounds(graph: SharedGraph, gene_P: Tensor) -> tuple[Tensor, Tensor]:
    start_P = graph.target_indptr[gene_P]
    return start_P, graph.target_indptr[gene_P + 1] - start_P


class FirstRows:
    """(1 + eps) x + sum of the kept neighbours, where all cells have the wild type's x.

    Args:
        wild_ND: x.
        rows: of each network.
        eps: of each network.
    """

    def __init__(self, wild_ND: Tensor, rows: Sequence[TouchedRows], eps: Sequence[float]) -> None:
        self.wild_ND, self.rows, self.eps = wild_ND, rows, eps

    def sums(self, number: int, wild_sum_ND: Tensor, sum_RD: Tensor) -> None:
        """Fills `sum_RD` of all cells, given the same of the wild type `[N, D]`."""
        rows, removed = self.rows[number], self._removed(number)
        torch.index_select(wild_sum_ND, 0, rows.node, out=sum_RD)
        sum_RD.index_add_(0, removed.receiver, self.wild_ND[removed.source], alpha=-1)
        sum_RD[removed.own_row] = (1 + self.eps[number]) * self.wild_ND[removed.own_gene]

    def backward(
        self, number: int, grad_RD: Tensor, wild_sum_grad: Tensor, wild_grad: Tensor
    ) -> Tensor:
        """Adds to the gradients `[N, D]` of the wild type's sums and of x; that of eps."""
        rows, removed = self.rows[number], self._removed(number)
        own_PD, x_PD = grad_RD[removed.own_row], self.wild_ND[removed.own_gene]
        wild_grad.index_add_(0, removed.own_gene, own_PD, alpha=1 + self.eps[number])
        grad_RD[removed.own_row] = 0
        wild_grad.index_add_(0, removed.source, grad_RD[removed.receiver], alpha=-1)
        wild_sum_grad.index_add_(0, rows.node, grad_RD)
        return torch.dot(own_PD.view(-1), x_PD.view(-1))

    def _removed(self, number: int) -> Removed:
        removed = self.rows[number].removed
        assert removed is not None  # the first layer has it
        return removed


class LaterRows:
    """(1 + eps) x + sum of the kept neighbours, where every cell has an x of its own.

    Args:
        x_BND: features.
        graphs: of each network.
        rows: of each network.
        eps: of each network.
        deleted: the deleted genes of each cell.
    """

    def __init__(
        self,
        x_BND: Tensor,
        graphs: Sequence[SharedGraph],
        rows: Sequence[TouchedRows],
        eps: Sequence[float],
        deleted: Sequence[Tensor],
    ) -> None:
        self.x_BND, self.graphs, self.rows = x_BND, graphs, rows
        self.eps, self.deleted = eps, deleted
        self._sent: dict[int, Tensor] = {}

    def sums(self, number: int, cells: range, sum_RD: Tensor) -> None:
        """Fills `sum_RD` of some cells."""
        if set(self._sent) != set(cells):
            self._sent = {b: self._without_deleted(b) for b in cells}
        rows, first = self.rows[number], self.rows[number].ptr[cells.start]
        for cell in cells:
            sum_ND = self.graphs[number].sum_sources(self._sent[cell])
            sum_ND.index_fill_(0, self.deleted[cell], 0)
            sum_ND.add_(self.x_BND[cell], alpha=1 + self.eps[number])
            part = sum_RD[rows.ptr[cell] - first : rows.ptr[cell + 1] - first]
            torch.index_select(sum_ND, 0, rows.nodes_of(cell, cell + 1), out=part)

    def _without_deleted(self, cell: int) -> Tensor:
        return self.x_BND[cell].clone().index_fill_(0, self.deleted[cell], 0)

    def backward(self, number: int, cells: range, grad_RD: Tensor, grad_BND: Tensor) -> Tensor:
        """Adds to the gradient `[B, N, D]` of x; that of eps."""
        rows, graph, first = self.rows[number], self.graphs[number], self.rows[number].ptr[cells[0]]
        grad_eps = grad_RD.new_zeros(())
        for cell in cells:
            part = grad_RD[rows.ptr[cell] - first : rows.ptr[cell + 1] - first]
            every_ND = _spread(part, rows.bounds[cell])
            grad_ND, deleted = grad_BND[cell], self.deleted[cell]
            grad_eps += torch.dot(every_ND.view(-1), self.x_BND[cell].reshape(-1))
            grad_ND.add_(every_ND, alpha=1 + self.eps[number])
            every_ND.index_fill_(0, deleted, 0)
            grad_ND.add_(graph.sum_targets(every_ND).index_fill_(0, deleted, 0))
        return grad_eps


def _spread(part_RD: Tensor, bounds: Tensor) -> Tensor:
    """Rows of the touched genes among zeros `[N, D]`: a sum over none or one, the fastest way."""
    if len(part_RD) == 0:
        return part_RD.new_zeros(len(bounds) - 1, part_RD.shape[1])
    index = torch.arange(len(part_RD), dtype=bounds.dtype)
    bag = torch.embedding_bag(part_RD, index, bounds, mode=0, include_last_offset=True)
    return bag[0]
