"""Packed graphs for layers of C copies (`nn/stacked.py`), in one or both directions of their edges.

An encoder that follows the edges and one that goes against them are copies like any others. In
memory the nodes come first and the copies second (tensors `[C, N, D]` are views of `[N, C, D]`), so
that the messages of all members in one direction are one row, and both directions of a node are two
rows of one reduction.

Legend: M = members, C = M or 2 M copies (first all along the edges, then all against them), N =
nodes, E = edges, D = features, B = graphs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphwright.data.batch import GraphBatch
from graphwright.errors import ConfigError
from graphwright.nn.edges import SortedEdges, bag_sum
from graphwright.nn.segment import pool_mean, segment_of_rows

__all__ = ["GraphStacker", "StackedGraphs"]


class StackedGraphs:
    """The edges of a batch for C copies.

    Args:
        edge_index: `[2, E]`, sources and targets.
        node_ptr: `[B + 1]`, nodes `ptr[b]` to `ptr[b + 1]` belong to graph b.
        num_nodes: N.
        forward: number of copies in which messages go from source to target; they come first.
        reverse: number of copies in which they go from target to source. Where there are both,
            there are as many of each.

    Attributes:
        rows: edges between `directions x N` rows; row `node * directions + direction`.
        copies: C.
        directions: 1 or 2.
    """

    def __init__(
        self,
        edge_index: Tensor,
        node_ptr: Tensor,
        num_nodes: int,
        *,
        forward: int,
        reverse: int = 0,
    ) -> None:
        if forward and reverse and forward != reverse:
            raise ConfigError("there must be as many reverse copies as forward ones")
        self.node_ptr, self.num_nodes = node_ptr, num_nodes
        self.copies, self.directions = forward + reverse, bool(forward) + bool(reverse)
        self._ends = edge_index if forward else edge_index.flip(0)
        if self.directions == 2:
            self._ends = torch.cat([2 * edge_index, 2 * edge_index.flip(0) + 1], dim=1)
        self.rows = SortedEdges.build(self._ends, num_nodes * self.directions)

    def to_rows(self, x_CND: Tensor) -> Tensor:
        """`[directions N, M D]`: what `rows` moves; no copy where the nodes lie first in memory."""
        return x_CND.transpose(0, 1).reshape(self.directions * self.num_nodes, -1)

    def from_rows(self, rows: Tensor) -> Tensor:
        """The inverse of `to_rows`: `[C, N, D]`."""
        return rows.view(self.num_nodes, self.copies, -1).transpose(0, 1)

    def propagate(self, x: Tensor) -> Tensor:
        """Sum over the neighbours that send to each node, of every copy: `[C, N, D]`.

        Args:
            x: `[C, N, D]`, or `[N, D]` that all copies share.
        """
        if x.dim() == 3:
            return self.from_rows(self.rows.propagate(self.to_rows(x)))
        return self._for_members(self._propagate_shared(x))

    def sum_with_self(self, x: Tensor) -> Tensor:
        """x + propagate(x)."""
        if x.dim() == 3:
            return x + self.propagate(x)
        return self._for_members(self._propagate_shared(x) + x[:, None])

    def _propagate_shared(self, x_ND: Tensor) -> Tensor:
        """Of one copy in each direction: `[N, directions, D]`."""
        if x_ND.requires_grad or torch.compiler.is_compiling():
            sums = self.rows.propagate(x_ND.repeat_interleave(self.directions, 0))
        else:
            sums = bag_sum(x_ND, self._sender_nodes, self.rows.target_ptr)
        return sums.view(self.num_nodes, self.directions, -1)

    def _for_members(self, x_NWD: Tensor) -> Tensor:
        members = self.copies // self.directions
        if members == 1:
            return x_NWD.transpose(0, 1)
        return x_NWD.transpose(0, 1).repeat_interleave(members, 0)

    @cached_property
    def _sender_nodes(self) -> Tensor:
        return self.rows.source // self.directions

    def pool_mean(self, x_CND: Tensor) -> Tensor:
        """Mean over the nodes of each graph `[C, B, D]`; a graph without nodes is zero.

        Here C may be any number of copies.
        """
        copies, nodes, _ = x_CND.shape
        flat_NF = x_CND.transpose(0, 1).reshape(nodes, -1)
        if torch.compiler.is_compiling():
            pooled = pool_mean(flat_NF, self.node_ptr)
        else:
            pooled = _PoolMean.apply(flat_NF, self)  # type: ignore[no-untyped-call]
        return pooled.view(len(self.node_ptr) - 1, copies, -1).transpose(0, 1)

    def mean_of_rows(self, x_NF: Tensor) -> Tensor:
        """Mean over the nodes of each graph `[B, F]`, without gradient."""
        total_BF = bag_sum(x_NF, self.every_node, self.node_ptr)
        return total_BF.mul_(self.graph_share.to(x_NF.dtype))

    def spread_over_rows(self, x_BF: Tensor) -> Tensor:
        """The adjoint of `mean_of_rows`: `[N, F]`."""
        return (x_BF * self.graph_share.to(x_BF.dtype)).index_select(0, self.node_graph)

    def degree(self, dtype: torch.dtype) -> Tensor:
        """Number of neighbours that send to each node `[C, N, 1]`."""
        count_NW = self.rows.in_degree().view(self.num_nodes, self.directions).to(dtype)
        return count_NW.t().repeat_interleave(self.copies // self.directions, 0)[:, :, None]

    @cached_property
    def rows_with_loops(self) -> SortedEdges:
        """`rows` with a self loop at each of them."""
        every = torch.arange(self.rows.num_nodes, device=self._ends.device)
        ends = torch.cat([self._ends, every.expand(2, -1)], dim=1)
        return SortedEdges.build(ends, self.rows.num_nodes)

    @cached_property
    def node_graph(self) -> Tensor:
        """The graph of each node `[N]`."""
        return segment_of_rows(self.node_ptr, self.num_nodes)

    @cached_property
    def every_node(self) -> Tensor:
        """`[N]`: 0, 1, 2, …"""
        return torch.arange(self.num_nodes, device=self.node_ptr.device)

    @cached_property
    def graph_share(self) -> Tensor:
        """`[B, 1]` float64: one divided by the number of nodes (at least one)."""
        return self.node_ptr.diff().clamp(min=1)[:, None].double().reciprocal()


class GraphStacker:
    """Makes `StackedGraphs` of batches and keeps the last: many spaces have one graph for all.

    Args:
        forward: copies that follow the edges.
        reverse: copies that go against them.
    """

    def __init__(self, *, forward: int, reverse: int = 0) -> None:
        self.forward, self.reverse = forward, reverse
        self._last: tuple[Tensor, StackedGraphs] | None = None

    def __call__(self, batch: GraphBatch) -> StackedGraphs:
        """The edges of a batch for all copies."""
        # what inference makes cannot be kept for a later backward pass
        if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
            return self._make(batch)
        # comparing 200 edges costs 2 us, sorting them 30
        if self._last is not None:
            edge_index, graphs = self._last
            if _same(edge_index, batch.edge_index) and _same(graphs.node_ptr, batch.node_ptr):
                return graphs
        self._last = batch.edge_index, self._make(batch)
        return self._last[1]

    def _make(self, batch: GraphBatch) -> StackedGraphs:
        return StackedGraphs(
            batch.edge_index,
            batch.node_ptr,
            batch.num_nodes,
            forward=self.forward,
            reverse=self.reverse,
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.device == b.device and torch.equal(a, b))


class _PoolMean(torch.autograd.Function):
    """The nodes of a graph follow each other: a reduction over bounds, a repetition backward."""

    @staticmethod
    def forward(ctx: Any, x_NF: Tensor, graphs: StackedGraphs) -> Tensor:
        ctx.graphs = graphs
        return graphs.mean_of_rows(x_NF)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BF: Tensor) -> tuple[Tensor, None]:
        return ctx.graphs.spread_over_rows(grad_BF), None
