"""Graph attention (GATv2) at chosen nodes of a shared graph, with nothing per edge in memory.

Brody, Alon & Yahav, ICLR 2022, https://arxiv.org/abs/2105.14491 (eq. 7). The backward pass is
written by hand and computes again what belongs to an edge, so that only the softmax's weights, one
number for each edge and head, are kept.

Legend: N = nodes, E = edges with a loop at every node, M = edges into the chosen nodes, R = chosen
nodes, H = heads, C = features of a head, K = H C.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphwright.nn.edges import bag_sum
from graphwright.nn.shared_graph import SharedGraph

__all__ = ["EdgesInto", "LoopedEdges", "attend"]

_SLOPE = 0.2  # of the leaky relu


class EdgesInto(NamedTuple):
    """The edges into some nodes, sorted by target.

    Attributes:
        source: `[M]` int64, a node.
        target: `[M]` int64, a node; row: `[M]` int64, its place among the chosen ones.
        ptr: `[R + 1]` int64, the bounds of the chosen nodes.
        node: `[R]` int64, the chosen nodes in ascending order.
    """

    source: Tensor
    target: Tensor
    row: Tensor
    ptr: Tensor
    node: Tensor


class LoopedEdges:
    """The edges of a graph and a loop at every node, as PyTorch Geometric's layer adds it.

    Args:
        graph: N nodes; loops of its own are the loops, not a second one.
    """

    def __init__(self, graph: SharedGraph) -> None:
        node_N = torch.arange(graph.num_nodes, device=graph.indptr.device)
        target = torch.repeat_interleave(node_N, graph.indptr.diff())
        source, proper = graph.indices.long(), graph.indices != target
        target = torch.cat([target[proper], node_N])
        order = target.argsort(stable=True)
        self.node_N, self.target = node_N, target[order]
        self.source = torch.cat([source[proper], node_N])[order]
        self.loop = self.source == self.target

    def into(self, chosen_N: Tensor | None, keep_N: Tensor | None) -> EdgesInto:
        """Edges into chosen nodes; of those at a deleted node, only its loop.

        Args:
            chosen_N: bool; None: all.
            keep_N: bool; None: nothing is deleted.
        """
        take = torch.ones_like(self.loop) if chosen_N is None else chosen_N[self.target]
        if keep_N is not None:
            take &= self.loop | (keep_N[self.source] & keep_N[self.target])
        edge_M = take.nonzero()[:, 0]
        node = self.node_N if chosen_N is None else chosen_N.nonzero()[:, 0]
        place_N = torch.zeros_like(self.node_N)
        place_N[node] = torch.arange(len(node), device=node.device)
        target = self.target[edge_M]
        row = place_N[target]
        counts = torch.bincount(row, minlength=len(node))
        ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return EdgesInto(self.source[edge_M], target, row, ptr, node)


def attend(left_NK: Tensor, right_NK: Tensor, attention_HC: Tensor, edges: EdgesInto) -> Tensor:
    """sum_j alpha_ij left_j at the chosen nodes i, the heads beside each other.

    alpha_i = softmax over j of a . leaky_relu(left_j + right_i), slope 0.2, for each head.

    Args:
        left_NK: of the sources.
        right_NK: of the targets.
        attention_HC: a.
        edges: M.

    Returns:
        `[R, K]`.
    """
    out: Tensor = _Attend.apply(left_NK, right_NK, attention_HC, edges)  # type: ignore[no-untyped-call]
    return out


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, attention: Tensor, edges: EdgesInto
    ) -> Tensor:
        score_MH = (_joint(left, right, edges, attention) * attention).sum(2)
        top_RH = score_MH.new_full((len(edges.node), len(attention)), -torch.inf)
        index_MH = edges.row[:, None].expand_as(score_MH)
        top_RH.scatter_reduce_(0, index_MH, score_MH, "amax")
        weight_MH = score_MH.sub_(top_RH.index_select(0, edges.row)).exp_()
        total_RH = _by_target(weight_MH, edges)
        weight_MH = weight_MH.div_(total_RH.index_select(0, edges.row))
        ctx.save_for_backward(left, right, attention, weight_MH)
        ctx.edges = edges
        heads = left.view(len(left), *attention.shape).unbind(1)
        parts = [_weighted(x, edges.source, edges.ptr, w) for x, w in _pairs(heads, weight_MH)]
        return torch.cat(parts, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RK: Tensor) -> tuple[Tensor | None, ...]:
        left, right, attention, weight_MH = ctx.saved_tensors
        edges: EdgesInto = ctx.edges
        shape = (-1, *attention.shape)
        grad_RHC = grad_RK.contiguous().view(shape)
        grad_MHC = grad_RHC.index_select(0, edges.row)
        grad_MH = grad_MHC.mul_(left.index_select(0, edges.source).view(shape)).sum(2)
        mean_RH = _by_target(weight_MH * grad_MH, edges)
        grad_MH = grad_MH.sub_(mean_RH.index_select(0, edges.row)).mul_(weight_MH)
        order = edges.source.argsort(stable=True)
        counts = torch.bincount(edges.source, minlength=len(left))
        ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        rows, by_source = edges.row[order], weight_MH.index_select(0, order)
        parts = [_weighted(g, rows, ptr, w) for g, w in _pairs(grad_RHC.unbind(1), by_source)]
        joint_MHC = _joint(left, right, edges, attention)
        grad_attention = torch.einsum("mh,mhc->hc", grad_MH, joint_MHC)
        # leaky relu keeps the sign, which is all that its slope needs
        slope_MHC = (joint_MHC > 0).to(left.dtype).mul_(1 - _SLOPE).add_(_SLOPE)
        slope_MK = slope_MHC.mul_(grad_MH[:, :, None]).mul_(attention).flatten(1)
        grad_left = torch.cat(parts, 1).add_(bag_sum(slope_MK, order, ptr))
        grad_right = torch.zeros_like(right)
        grad_right[edges.node] = _by_target(slope_MK, edges)
        return grad_left, grad_right, grad_attention, None


def _joint(left: Tensor, right: Tensor, edges: EdgesInto, attention: Tensor) -> Tensor:
    joint_MK = left.index_select(0, edges.source).add_(right.index_select(0, edges.target))
    joint_MK = torch.nn.functional.leaky_relu_(joint_MK, _SLOPE)
    return joint_MK.view(-1, *attention.shape)


def _by_target(x_MF: Tensor, edges: EdgesInto) -> Tensor:
    return bag_sum(x_MF, torch.arange(len(x_MF), device=x_MF.device), edges.ptr)


def _pairs(heads: tuple[Tensor, ...], weight_MH: Tensor) -> list[tuple[Tensor, Tensor]]:
    weights = weight_MH.t().contiguous().unbind()
    return [(x.contiguous(), weight) for x, weight in zip(heads, weights, strict=True)]


def _weighted(x_NC: Tensor, order: Tensor, ptr: Tensor, weight_M: Tensor) -> Tensor:
    return bag_sum(x_NC, order, ptr, weight_M)
