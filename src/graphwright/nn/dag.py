"""Packed graphs for layers of C copies (`nn/stacked.py`), in both directions of their edges.

An encoder that follows the edges and one that goes against them are two copies like any others:
all their messages are one reduction over C x N rows, and so is their pooling.

Legend: C = copies, N = nodes, E = edges, D = features, B = graphs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphwright.data.batch import GraphBatch
from graphwright.nn.edges import SortedEdges, bag_sum
from graphwright.nn.segment import segment_of_rows

__all__ = ["GraphStacker", "StackedGraphs"]

Order = tuple[Tensor, Tensor]  # rows, and the bounds of what is reduced together


class StackedGraphs:
    """The edges of a batch for C copies, of which the last ones go against them.

    Args:
        edges: of all graphs, sorted by target.
        node_ptr: `[B + 1]`, nodes `ptr[b]` to `ptr[b + 1]` belong to graph b.
        forward: number of copies in which messages go from source to target (they come first).
        reverse: number of copies in which they go from target to source.

    Attributes:
        copies: C = forward + reverse.
    """

    def __init__(
        self, edges: SortedEdges, node_ptr: Tensor, *, forward: int, reverse: int = 0
    ) -> None:
        self.edges, self.node_ptr = edges, node_ptr
        self.forward, self.reverse, self.copies = forward, reverse, forward + reverse
        self._members: dict[int, Order] = {}

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.edges.num_nodes

    def propagate(self, x: Tensor) -> Tensor:
        """Sum over the neighbours that send to each node, of every copy: `[C, N, D]`.

        Args:
            x: `[C, N, D]`, or `[N, D]` that all copies share.
        """
        if torch.compiler.is_compiling():
            return self._propagate_plainly(x if x.dim() == 3 else x.expand(self.copies, -1, -1))
        if x.dim() == 2:
            return self._propagate_shared(x)
        out: Tensor = _Propagate.apply(x, self)  # type: ignore[no-untyped-call]
        return out

    def _propagate_shared(self, x_ND: Tensor) -> Tensor:
        """Once for each direction, whatever the number of copies."""
        directions = [(along, n) for along, n in ((True, self.forward), (False, self.reverse)) if n]
        if x_ND.requires_grad or self.copies == len(directions):
            return self.propagate(x_ND.expand(self.copies, -1, -1))
        orders = [self._along if along else self._against for along, _ in directions]
        sums = [
            bag_sum(x_ND, *order).expand(n, -1, -1)
            for order, (_, n) in zip(orders, directions, strict=True)
        ]
        return torch.cat(sums)

    def _propagate_plainly(self, x_CND: Tensor) -> Tensor:
        """With operators that `torch.compile` and `torch.export` know."""
        source, target = self.edges.source, self.edges.target
        along, against = torch.split(x_CND, [self.forward, self.reverse])
        down = torch.zeros_like(along).index_add(1, target, along.index_select(1, source))
        up = torch.zeros_like(against).index_add(1, source, against.index_select(1, target))
        return torch.cat([down, up])

    def pool_mean(self, x_CND: Tensor) -> Tensor:
        """Mean over the nodes of each graph `[C, B, D]`; a graph without nodes is zero.

        Here C may be any number of copies.
        """
        if torch.compiler.is_compiling():
            zeros = x_CND.new_zeros(len(x_CND), len(self.node_ptr) - 1, x_CND.shape[2])
            total = zeros.index_add(1, self.node_graph, x_CND)
            return total / self.nodes_per_graph(x_CND.dtype)
        out: Tensor = _PoolMean.apply(x_CND, self)  # type: ignore[no-untyped-call]
        return out

    def sum_senders(self, x_CND: Tensor) -> Tensor:
        """`propagate` without a gradient."""
        return _reduce(x_CND, self.senders).view(x_CND.shape)

    def sum_with_self(self, x: Tensor) -> Tensor:
        """Each node and the neighbours that send to it, of every copy, without gradient."""
        if x.dim() == 2:
            return self._propagate_shared(x) + x
        return self.sum_senders(x).add_(x)

    def sum_receivers(self, x_CND: Tensor) -> Tensor:
        """Its adjoint: messages go the other way. No gradient."""
        return _reduce(x_CND, self.receivers).view(x_CND.shape)

    @cached_property
    def senders(self) -> Order:
        """The rows that send to each of the C x N rows: `[C E]`, `[C N + 1]`."""
        return _stack(self._along, self.forward, self._against, self.reverse, self.num_nodes)

    @cached_property
    def receivers(self) -> Order:
        """The rows that each of them sends to."""
        return _stack(self._against, self.forward, self._along, self.reverse, self.num_nodes)

    @property
    def _along(self) -> Order:
        return self.edges.source, self.edges.target_ptr

    @property
    def _against(self) -> Order:
        return self.edges.target_by_source, self.edges.source_ptr

    def members(self, copies: int) -> Order:
        """The rows of each graph of so many copies: `[copies x N]`, `[copies x B + 1]`."""
        if copies not in self._members:
            everyone = torch.arange(self.num_nodes, device=self.node_ptr.device), self.node_ptr
            self._members[copies] = _stack(everyone, copies, everyone, 0, self.num_nodes)
        return self._members[copies]

    @cached_property
    def node_graph(self) -> Tensor:
        """The graph of each node `[N]`."""
        return segment_of_rows(self.node_ptr, self.num_nodes)

    @cached_property
    def rows_with_loops(self) -> SortedEdges:
        """The edges of all copies with a self loop at each node, over the C x N rows."""
        edges, ends = self.edges, (self.edges.source, self.edges.target)
        every = torch.arange(self.num_nodes, device=edges.source.device)
        source, target = (torch.cat([end, every]) for end in ends)
        shift_C1 = torch.arange(self.copies, device=every.device)[:, None] * self.num_nodes
        kinds = [(source, target)] * self.forward + [(target, source)] * self.reverse
        both = [torch.stack(ends) + shift for ends, shift in zip(kinds, shift_C1, strict=True)]
        return SortedEdges.build(torch.cat(both, dim=1), self.copies * self.num_nodes)

    def nodes_per_graph(self, dtype: torch.dtype) -> Tensor:
        """`[B, 1]`, at least 1."""
        return self._nodes_per_graph.to(dtype)

    @cached_property
    def _nodes_per_graph(self) -> Tensor:
        return self.node_ptr.diff().clamp(min=1).to(torch.get_default_dtype())[:, None]

    def degree(self, dtype: torch.dtype) -> Tensor:
        """Number of neighbours that send to each node `[C, N, 1]`."""
        edges, ones = self.edges, torch.ones_like(self.edges.source)
        zeros = ones.new_zeros(self.num_nodes)
        down, up = zeros.index_add(0, edges.target, ones), zeros.index_add(0, edges.source, ones)
        both = [down.expand(self.forward, -1), up.expand(self.reverse, -1)]
        return torch.cat(both).to(dtype)[:, :, None]


class GraphStacker:
    """Makes `StackedGraphs` of batches and keeps the last: many spaces have one graph for all.

    Args:
        forward: copies that follow the edges.
        reverse: copies that go against them.
    """

    def __init__(self, *, forward: int, reverse: int = 0) -> None:
        self.forward, self.reverse = forward, reverse
        self._last: tuple[Tensor, Tensor, StackedGraphs] | None = None

    def __call__(self, batch: GraphBatch) -> StackedGraphs:
        """The edges of a batch for all copies."""
        # what inference makes cannot be kept for a later backward pass
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return self._make(batch)
        last = self._last
        # comparing 200 edges costs 2 us, sorting and stacking them 100
        if last is None or not (
            _same(last[0], batch.edge_index) and _same(last[1], batch.node_ptr)
        ):
            last = self._last = batch.edge_index, batch.node_ptr, self._make(batch)
        return last[2]

    def _make(self, batch: GraphBatch) -> StackedGraphs:
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        return StackedGraphs(edges, batch.node_ptr, forward=self.forward, reverse=self.reverse)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.device == b.device and torch.equal(a, b))


def _reduce(x_CND: Tensor, order: Order) -> Tensor:
    return bag_sum(x_CND.reshape(-1, x_CND.shape[2]), *order)


def _stack(first: Order, num_first: int, second: Order, num_second: int, num_rows: int) -> Order:
    """The orders of all copies, one after the other, over C x num_rows rows."""
    copies, length, segments = num_first + num_second, len(first[0]), len(first[1]) - 1
    copy_C1 = torch.arange(copies, device=first[0].device)[:, None]
    rows_CL = torch.cat([first[0].expand(num_first, -1), second[0].expand(num_second, -1)])
    starts = first[1][:-1].expand(num_first, -1), second[1][:-1].expand(num_second, -1)
    bounds = copy_C1.new_empty(copies * segments + 1)
    bounds[-1] = copies * length
    torch.add(torch.cat(starts), copy_C1, alpha=length, out=bounds[:-1].view(copies, segments))
    return rows_CL.add_(copy_C1, alpha=num_rows).view(-1), bounds


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_CND: Tensor, graphs: StackedGraphs) -> Tensor:
        ctx.graphs = graphs
        return graphs.sum_senders(x_CND)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_CND: Tensor) -> tuple[Tensor, None]:
        return ctx.graphs.sum_receivers(grad_CND), None


class _PoolMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_CND: Tensor, graphs: StackedGraphs) -> Tensor:
        ctx.graphs = graphs
        total = _reduce(x_CND, graphs.members(len(x_CND))).view(len(x_CND), -1, x_CND.shape[2])
        return total.div_(graphs.nodes_per_graph(x_CND.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_CBD: Tensor) -> tuple[Tensor, None]:
        graphs: StackedGraphs = ctx.graphs
        share_CBD = grad_CBD / graphs.nodes_per_graph(grad_CBD.dtype)
        return share_CBD.index_select(1, graphs.node_graph), None
