"""Edges of packed graphs as graph attention wants them: scores, softmax, weighted sums, pooling.

What costs on a CPU is a value per edge and feature in memory. The weighted sum never makes one (a
row of H heads is H rows of an embedding bag), and the joint scores make it in blocks of whole
graphs that stay in the cache, in the backward pass once more.

Legend: B = graphs, N = nodes, E = edges, F = edge features, H = heads, C = features of a head,
K = H C. All operators are deterministic and have first derivatives only; under `torch.compile` and
`torch.export` they fall back to plain indexing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu

from graphwright.nn.edges import SortedEdges, bag_sum
from graphwright.nn.segment import pool_max, segment_max

__all__ = ["SLOPE", "AttentionGraph", "spread_heads", "with_self_loops"]

SLOPE = 0.2  # of the leaky relu, as the authors have it
# Numbers in one buffer of a block: with its handful of companions it stays in a core's caches.
_BLOCK = 1 << 17


@dataclass(frozen=True)
class _Block:
    """Whole graphs whose edges go together through the caches; ends count from its first node."""

    edges: SortedEdges
    nodes: slice
    rows: slice


class AttentionGraph:
    """The edges of packed graphs, as attention layers want them; all layers of a model share it.

    Args:
        edges: of all graphs, sorted by target.
        node_ptr: `[B + 1]`, nodes `ptr[b]` to `ptr[b + 1]` belong to graph b.
        features: `[E, F]` in the order of `edges`, or None.
    """

    def __init__(
        self, edges: SortedEdges, node_ptr: Tensor, features: Tensor | None = None
    ) -> None:
        self.edges, self.node_ptr, self.features = edges, node_ptr, features
        self._head_orders: dict[int, tuple[_HeadOrder, _HeadOrder]] = {}
        self._blocks: dict[int, list[_Block]] = {}
        self._members: SortedEdges | None = None

    def pair_scores(self, left_NH: Tensor, right_NH: Tensor, edge_FH: Tensor | None) -> Tensor:
        """leaky_relu(left[source] + right[target] + features edge): `[E, H]`."""
        edges = self.edges
        score_EH = edges.gather_source(left_NH) + edges.gather_target(right_NH)
        if self.features is not None and edge_FH is not None:
            score_EH = torch.addmm(score_EH, self.features, edge_FH)
        return leaky_relu(score_EH, SLOPE)

    def joint_scores(
        self, left_NK: Tensor, right_NK: Tensor, edge_FK: Tensor | None, attention_HC: Tensor
    ) -> Tensor:
        """attention . leaky_relu(left[source] + right[target] + features edge): `[E, H]`."""
        features = None if edge_FK is None else self.features
        if torch.compiler.is_compiling():
            edges = self.edges
            joint_EK = edges.gather_source(left_NK) + edges.gather_target(right_NK)
            if features is not None and edge_FK is not None:
                joint_EK = joint_EK + features @ edge_FK
            slope_EHC = leaky_relu(joint_EK, SLOPE).view(-1, *attention_HC.shape)
            return (slope_EHC * attention_HC).sum(2)
        out: Tensor = _JointScores.apply(  # type: ignore[no-untyped-call]
            left_NK, right_NK, features, edge_FK, attention_HC, self
        )
        return out

    def softmax(self, score_EH: Tensor) -> Tensor:
        """Over the edges that end in one node."""
        edges, top_NH = self.edges, self._largest(score_EH.detach())
        weight_EH = (score_EH - top_NH.index_select(0, edges.target)).exp()
        return weight_EH / edges.gather_target(edges.sum_to_target(weight_EH))

    def weighted_sum(self, weight_EH: Tensor, x_NK: Tensor) -> Tensor:
        """Sum over incoming edges of weight times the source's row, head by head: `[N, K]`."""
        if torch.compiler.is_compiling():
            heads_NHC = x_NK.view(len(x_NK), weight_EH.shape[1], -1)
            heads_EHC = self.edges.gather_source(heads_NHC)
            return self.edges.sum_to_target((heads_EHC * weight_EH[:, :, None]).flatten(1))
        out: Tensor = _WeightedSum.apply(  # type: ignore[no-untyped-call]
            weight_EH, x_NK, self
        )
        return out

    def pool_mean(self, x_ND: Tensor) -> Tensor:
        """Mean over the nodes of each graph `[B, D]`; a graph without nodes is zero."""
        count_B1 = self.node_ptr.diff().clamp(min=1).to(x_ND.dtype)[:, None]
        return self.members.sum_to_target(x_ND) / count_B1

    def pool_max(self, x_ND: Tensor) -> Tensor:
        """Largest node value of each graph `[B, D]`; a graph without nodes is zero."""
        return pool_max(x_ND, self.node_ptr)

    @property
    def members(self) -> SortedEdges:
        """Node n to its graph b, as an edge from n to b."""
        if self._members is None:
            graphs = torch.arange(len(self.node_ptr) - 1, device=self.node_ptr.device)
            size = self.edges.num_nodes
            owner = torch.repeat_interleave(graphs, self.node_ptr.diff(), output_size=size)
            every = torch.arange(size, device=owner.device)
            self._members = SortedEdges(every, owner, len(graphs))
        return self._members

    def blocks(self, width: int) -> list[_Block]:
        """The batch in pieces of at least one graph whose edges times width fill a buffer."""
        if width not in self._blocks:
            self._blocks[width] = list(self._cut(max(_BLOCK // width, 1)))
        return self._blocks[width]

    def head_orders(self, heads: int) -> tuple[_HeadOrder, _HeadOrder]:
        """Edges by target and by source, as bags over the `N H` rows of all heads."""
        if heads not in self._head_orders:
            edges = self.edges
            along = _head_order(edges.every_edge, edges.source, edges.target_ptr, heads)
            back = _head_order(edges.by_source, edges.target_by_source, edges.source_ptr, heads)
            self._head_orders[heads] = along, back
        return self._head_orders[heads]

    def _largest(self, score_EH: Tensor) -> Tensor:
        edges = self.edges
        if torch.compiler.is_compiling() or score_EH.numel() == 0:
            return segment_max(score_EH, edges.target, edges.num_nodes)
        return torch.segment_reduce(score_EH, "max", offsets=edges.target_ptr, axis=0, initial=None)

    def _cut(self, rows: int) -> Iterator[_Block]:
        edges = self.edges
        if edges.source.device.type != "cpu" or edges.num_edges <= rows:
            yield _Block(edges, slice(None), slice(None))
            return
        nodes = self.node_ptr.tolist()
        bounds = edges.target_ptr.index_select(0, self.node_ptr).tolist()
        first = 0
        for last in range(1, len(nodes)):
            if bounds[last] - bounds[first] >= rows or last == len(nodes) - 1:
                yield self._block(nodes[first], nodes[last], bounds[first], bounds[last])
                first = last

    def _block(self, node: int, node_end: int, row: int, row_end: int) -> _Block:
        source, target = self.edges.source[row:row_end], self.edges.target[row:row_end]
        edges = SortedEdges(source - node, target - node, node_end - node)
        return _Block(edges, slice(node, node_end), slice(row, row_end))


def with_self_loops(graph: AttentionGraph) -> AttentionGraph:
    """The same graphs with exactly one self loop at each node (no graph may have two at one).

    One that is there stays with its features; one that is added has features of zero.
    """
    edges, size = graph.edges, graph.edges.num_nodes
    without_N = torch.ones(size, dtype=torch.bool, device=edges.source.device)
    without_N[edges.source[edges.source == edges.target]] = False
    added = without_N.nonzero()[:, 0]
    ends = torch.stack([torch.cat([edges.source, added]), torch.cat([edges.target, added])])
    looped, features = SortedEdges.build(ends, size), graph.features
    if features is not None:
        none_EF = features.new_zeros(len(added), features.shape[1])
        features = looped.arrange(torch.cat([features, none_EF]))
    return AttentionGraph(looped, graph.node_ptr, features)


@dataclass(frozen=True)
class _HeadOrder:
    """Bags over rows of `[N H, C]`: which rows, their bounds, and which `[E H]` weight each has."""

    rows: Tensor
    ptr: Tensor
    weight: Tensor

    def sum(self, x_NK: Tensor, weight_EH: Tensor) -> Tensor:
        heads_RC = x_NK.reshape(len(x_NK) * weight_EH.shape[1], -1)
        weight = weight_EH.reshape(-1).index_select(0, self.weight)
        return bag_sum(heads_RC, self.rows, self.ptr, weight).view(-1, x_NK.shape[1])


def _head_order(order_E: Tensor, other_E: Tensor, ptr: Tensor, heads: int) -> _HeadOrder:
    """Bag (node, head) holds the node's edges: its entry k lies at ptr[n] H + head deg[n] + k."""
    degree, head_H = ptr.diff(), torch.arange(heads, device=ptr.device)
    start_E = torch.repeat_interleave(ptr[:-1], degree, output_size=len(order_E))
    degree_E = torch.repeat_interleave(degree, degree, output_size=len(order_E))
    within_E = torch.arange(len(order_E), device=ptr.device) - start_E
    place_EH = (start_E * heads + within_E)[:, None] + degree_E[:, None] * head_H
    rows, weight = torch.empty_like(place_EH).view(-1), torch.empty_like(place_EH).view(-1)
    rows[place_EH.view(-1)] = (other_E[:, None] * heads + head_H).view(-1)
    weight[place_EH.view(-1)] = (order_E[:, None] * heads + head_H).view(-1)
    starts_NH = ptr[:-1, None] * heads + degree[:, None] * head_H
    return _HeadOrder(rows, torch.cat([starts_NH.view(-1), ptr[-1:] * heads]), weight)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight_EH: Tensor, x_NK: Tensor, graph: AttentionGraph) -> Tensor:
        ctx.save_for_backward(weight_EH, x_NK)
        ctx.graph = graph
        return graph.head_orders(weight_EH.shape[1])[0].sum(x_NK, weight_EH)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NK: Tensor) -> tuple[Tensor, Tensor, None]:
        weight_EH, x_NK = ctx.saved_tensors
        graph: AttentionGraph = ctx.graph
        grad_weight_EH = torch.empty_like(weight_EH)
        for block in graph.blocks(x_NK.shape[1]):
            message_EK = x_NK[block.nodes].index_select(0, block.edges.source)
            message_EK.mul_(grad_NK[block.nodes].index_select(0, block.edges.target))
            grad_weight_EH[block.rows] = message_EK.view(-1, weight_EH.shape[1], _head(ctx)).sum(2)
        grad_x_NK = graph.head_orders(weight_EH.shape[1])[1].sum(grad_NK, weight_EH)
        return grad_weight_EH, grad_x_NK, None


def _head(ctx: Any) -> int:
    weight_EH, x_NK = ctx.saved_tensors
    return int(x_NK.shape[1] // weight_EH.shape[1])


class _JointScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        left_NK: Tensor,
        right_NK: Tensor,
        features: Tensor | None,
        edge_FK: Tensor | None,
        attention_HC: Tensor,
        graph: AttentionGraph,
    ) -> Tensor:
        ctx.save_for_backward(left_NK, right_NK, features, edge_FK, attention_HC)
        ctx.graph = graph
        spread_KH = spread_heads(attention_HC)
        score_EH = left_NK.new_empty(graph.edges.num_edges, len(attention_HC))
        for block in graph.blocks(left_NK.shape[1]):
            joint_EK = _joint(left_NK, right_NK, features, edge_FK, block)
            score_EH[block.rows] = leaky_relu(joint_EK, SLOPE, inplace=True) @ spread_KH
        return score_EH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_EH: Tensor) -> tuple[Tensor | None, ...]:
        left_NK, right_NK, features, edge_FK, attention_HC = ctx.saved_tensors
        graph: AttentionGraph = ctx.graph
        grad_left, grad_right = torch.empty_like(left_NK), torch.empty_like(right_NK)
        wants_features = features is not None and ctx.needs_input_grad[2]
        grad_features = torch.empty_like(features) if wants_features else None
        grad_edge = None if edge_FK is None else torch.zeros_like(edge_FK)
        spread_HK = spread_heads(attention_HC).t().contiguous()
        grad_spread_HK = torch.zeros_like(spread_HK)
        for block in graph.blocks(left_NK.shape[1]):
            edges, grad_block_EH = block.edges, grad_EH[block.rows]
            joint_EK = _joint(left_NK, right_NK, features, edge_FK, block)
            flat_EK = leaky_relu(joint_EK, SLOPE)
            grad_spread_HK.addmm_(grad_block_EH.t(), flat_EK)
            grad_EK = torch.mm(grad_block_EH, spread_HK, out=flat_EK)
            grad_EK = torch.ops.aten.leaky_relu_backward(grad_EK, joint_EK, SLOPE, False)
            grad_left[block.nodes] = bag_sum(grad_EK, edges.by_source, edges.source_ptr)
            grad_right[block.nodes] = bag_sum(grad_EK, edges.every_edge, edges.target_ptr)
            if features is not None and edge_FK is not None and grad_edge is not None:
                grad_edge.addmm_(features[block.rows].t(), grad_EK)
                if grad_features is not None:
                    grad_features[block.rows] = grad_EK @ edge_FK.t()
        grad_attention = _gather_diagonal(grad_spread_HK, attention_HC)
        return grad_left, grad_right, grad_features, grad_edge, grad_attention, None


def _joint(
    left_NK: Tensor,
    right_NK: Tensor,
    features: Tensor | None,
    edge_FK: Tensor | None,
    block: _Block,
) -> Tensor:
    """left[source] + right[target] + features edge of one block `[E, K]`."""
    joint_EK = left_NK[block.nodes].index_select(0, block.edges.source)
    joint_EK += right_NK[block.nodes].index_select(0, block.edges.target)
    if features is not None and edge_FK is not None:
        joint_EK.addmm_(features[block.rows], edge_FK)
    return joint_EK


def spread_heads(attention_HC: Tensor) -> Tensor:
    """`[K, H]` with each head's vector in its own rows: a product with it is H dot products."""
    heads, dim = attention_HC.shape
    spread_HCH = attention_HC.new_zeros(heads, dim, heads)
    every = torch.arange(heads, device=attention_HC.device)
    spread_HCH[every, :, every] = attention_HC
    return spread_HCH.view(heads * dim, heads)


def _gather_diagonal(grad_HK: Tensor, attention_HC: Tensor) -> Tensor:
    heads, dim = attention_HC.shape
    every = torch.arange(heads, device=grad_HK.device)
    return grad_HK.view(heads, heads, dim)[every, every]
