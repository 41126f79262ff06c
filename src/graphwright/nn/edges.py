"""Edges sorted by target, with the cheapest CPU kernels for moving features along them.

On a CPU `torch.embedding_bag` reduces rows three to eight times faster than `index_add`,
`segment_reduce` or a CSR product (measured at 6k and 32k edges, 64 and 256 features), but it has
no fast backward. The three operators here (gather, sum, propagate) are each other's
adjoints, so that each is one such kernel forward and one backward.

Legend: N = nodes, E = edges, D = features. An edge goes from its source to its target.
All operators are deterministic and have first derivatives only; under `torch.compile` and
`torch.export` they fall back to plain `index_select` and `index_add`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["SortedEdges", "bag_sum"]


def bag_sum(x_ED: Tensor, order: Tensor, ptr: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum of chosen rows: out[i] = sum of weight[e] x[order[e]] for e in ptr[i]..ptr[i+1].

    No gradient is recorded. Args: x `[rows, ...]`, order `[E]`, ptr `[N + 1]`, weight `[E]`.
    Returns `[N, ...]`; a row without members is zero.
    """
    if order.numel() == 0 or x_ED.numel() == 0:
        return x_ED.new_zeros(len(ptr) - 1, *x_ED.shape[1:])
    flat = x_ED.detach().reshape(len(x_ED), -1)
    total: Tensor = torch.embedding_bag(
        flat, order, ptr, mode=0, per_sample_weights=weight, include_last_offset=True
    )[0]
    return total.view(-1, *x_ED.shape[1:])


@dataclass(frozen=True, eq=False)
class SortedEdges:
    """A directed edge list whose targets ascend; made by `SortedEdges.build`.

    Attributes:
        source, target: `[E]` int64.
        num_nodes: N.
        order: `[E]` position of each sorted edge in the list it was built from, or None if that
            list was sorted already.
    """

    source: Tensor
    target: Tensor
    num_nodes: int
    order: Tensor | None = None

    @classmethod
    def build(cls, edge_index: Tensor, num_nodes: int) -> SortedEdges:
        """Sort edges by target; edges of one target keep their order.

        Args:
            edge_index: `[2, E]` int64, row 0 = source, row 1 = target.
            num_nodes: N, larger than every index.
        """
        source, target = edge_index[0], edge_index[1]
        # The fallback needs no order, and a branch on values could not be exported.
        if torch.compiler.is_compiling() or bool((target[1:] >= target[:-1]).all()):
            return cls(source.contiguous(), target.contiguous(), num_nodes)
        order = target.argsort(stable=True)
        return cls(source[order], target[order], num_nodes, order)

    @property
    def num_edges(self) -> int:
        """E."""
        return len(self.source)

    @cached_property
    def target_ptr(self) -> Tensor:
        """`[N + 1]`: edges `ptr[i]` to `ptr[i + 1]` end in node i."""
        return _bounds(self.target, self.num_nodes)

    @cached_property
    def every_edge(self) -> Tensor:
        """`[E]`: 0, 1, 2, …"""
        return torch.arange(self.num_edges, device=self.source.device)

    @cached_property
    def by_source(self) -> Tensor:
        """`[E]`: the edges in the order of their sources."""
        return self.source.argsort(stable=True)

    @cached_property
    def source_ptr(self) -> Tensor:
        """`[N + 1]`: edges `by_source[ptr[j]:ptr[j + 1]]` start at node j."""
        return _bounds(self.source, self.num_nodes)

    @cached_property
    def target_by_source(self) -> Tensor:
        """`[E]`: the targets in the order of `by_source`."""
        return self.target[self.by_source]

    def arrange(self, values: Tensor) -> Tensor:
        """Bring values of the original edge list `[E, ...]` into this order."""
        return values if self.order is None else values.index_select(0, self.order)

    def gather_source(self, x_ND: Tensor) -> Tensor:
        """Features of each edge's source: `[N, ...]` to `[E, ...]`."""
        if torch.compiler.is_compiling():
            return x_ND.index_select(0, self.source)
        return _apply(_GatherSource, x_ND, self)

    def gather_target(self, x_ND: Tensor) -> Tensor:
        """Features of each edge's target: `[N, ...]` to `[E, ...]`."""
        if torch.compiler.is_compiling():
            return x_ND.index_select(0, self.target)
        return _apply(_GatherTarget, x_ND, self)

    def sum_to_target(self, x_ED: Tensor) -> Tensor:
        """Sum over each node's incoming edges: `[E, ...]` to `[N, ...]`."""
        if torch.compiler.is_compiling():
            return x_ED.new_zeros(self.num_nodes, *x_ED.shape[1:]).index_add(0, self.target, x_ED)
        return _apply(_SumToTarget, x_ED, self)

    def propagate(self, x_ND: Tensor) -> Tensor:
        """Sum of the neighbours, A x `[N, ...]`, without a value per edge in memory."""
        if torch.compiler.is_compiling():
            return self.sum_to_target(x_ND.index_select(0, self.source))
        return _apply(_Propagate, x_ND, self)

    def in_degree(self) -> Tensor:
        """Number of incoming edges `[N]` int64."""
        # Not bincount: the length of its result depends on values, which export does not bear.
        ones = torch.ones_like(self.target)
        return self.target.new_zeros(self.num_nodes).index_add(0, self.target, ones)


def _bounds(index: Tensor, num_nodes: int) -> Tensor:
    """Cumulative counts `[N + 1]` of the nodes in an index `[E]`."""
    bounds = index.new_zeros(num_nodes + 1)
    torch.cumsum(torch.bincount(index, minlength=num_nodes), 0, out=bounds[1:])
    return bounds


def _apply(function: type[torch.autograd.Function], x: Tensor, edges: SortedEdges) -> Tensor:
    result: Tensor = function.apply(x, edges)  # type: ignore[no-untyped-call]
    return result


class _GatherSource(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: SortedEdges) -> Tensor:
        ctx.edges = edges
        return x.index_select(0, edges.source)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        edges: SortedEdges = ctx.edges
        return bag_sum(grad, edges.by_source, edges.source_ptr), None


class _GatherTarget(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: SortedEdges) -> Tensor:
        ctx.edges = edges
        return x.index_select(0, edges.target)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return bag_sum(grad, ctx.edges.every_edge, ctx.edges.target_ptr), None


class _SumToTarget(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: SortedEdges) -> Tensor:
        ctx.edges = edges
        return bag_sum(x, edges.every_edge, edges.target_ptr)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.index_select(0, ctx.edges.target), None


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, edges: SortedEdges) -> Tensor:
        ctx.edges = edges
        return bag_sum(x, edges.source, edges.target_ptr)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return bag_sum(grad, ctx.edges.target_by_source, ctx.edges.source_ptr), None
