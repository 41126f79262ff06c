"""Reductions over segments of rows, for indices in any order, and pooling of packed graphs.

Legend: E = rows (edges), N = nodes, B = graphs, D = features.
All of them are deterministic on a CPU: equal inputs give bit-equal outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "pool_max",
    "pool_mean",
    "pool_sum",
    "segment_max",
    "segment_mean",
    "segment_of_rows",
    "segment_softmax",
    "segment_sum",
]


def segment_sum(x_ED: Tensor, index_E: Tensor, num_segments: int) -> Tensor:
    """Sum of the rows of each segment; an empty segment is zero.

    Args:
        x_ED: `[E, ...]`, one value per row.
        index_E: `[E]` int64 in `[0, num_segments)`, in any order.
        num_segments: number of rows of the result.

    Returns:
        `[num_segments, ...]`.
    """
    return x_ED.new_zeros(num_segments, *x_ED.shape[1:]).index_add(0, index_E, x_ED)


def segment_mean(x_ED: Tensor, index_E: Tensor, num_segments: int) -> Tensor:
    """Mean of the rows of each segment `[num_segments, ...]`; an empty segment is zero."""
    total = segment_sum(x_ED, index_E, num_segments)
    count = segment_sum(x_ED.new_ones(len(index_E)), index_E, num_segments).clamp(min=1)
    return total / count.view(-1, *[1] * (x_ED.dim() - 1))


def segment_max(x_ED: Tensor, index_E: Tensor, num_segments: int) -> Tensor:
    """Largest row of each segment, feature by feature `[num_segments, ...]`.

    An empty segment is zero. Rows that tie share the gradient evenly.
    """
    index = index_E.view(-1, *[1] * (x_ED.dim() - 1)).expand_as(x_ED)
    zeros = x_ED.new_zeros(num_segments, *x_ED.shape[1:])
    return zeros.scatter_reduce(0, index, x_ED, "amax", include_self=False)


def segment_softmax(x_ED: Tensor, index_E: Tensor, num_segments: int) -> Tensor:
    """Softmax over the rows of each segment `[E, ...]`: each segment sums to one."""
    top = segment_max(x_ED.detach(), index_E, num_segments)
    weight = (x_ED - top.index_select(0, index_E)).exp()
    total = segment_sum(weight, index_E, num_segments)
    return weight / total.index_select(0, index_E)


def segment_of_rows(ptr: Tensor, num_rows: int | None = None) -> Tensor:
    """The segment of every row `[N]` int64, from the segments' bounds `ptr [B + 1]`.

    Args:
        ptr: rows `ptr[b]` to `ptr[b + 1]` belong to segment b.
        num_rows: `ptr[-1]` where it is known, which saves a synchronisation on a GPU.
    """
    segments = torch.arange(len(ptr) - 1, device=ptr.device)
    return torch.repeat_interleave(segments, ptr.diff(), output_size=num_rows)


def pool_sum(x_ND: Tensor, ptr: Tensor) -> Tensor:
    """Sum over the nodes of each graph: `[N, ...]` and bounds `[B + 1]` to `[B, ...]`."""
    return segment_sum(x_ND, segment_of_rows(ptr, len(x_ND)), len(ptr) - 1)


def pool_mean(x_ND: Tensor, ptr: Tensor) -> Tensor:
    """Mean over the nodes of each graph `[B, ...]`; a graph without nodes is zero."""
    count = ptr.diff().clamp(min=1).to(x_ND.dtype)
    return pool_sum(x_ND, ptr) / count.view(-1, *[1] * (x_ND.dim() - 1))


def pool_max(x_ND: Tensor, ptr: Tensor) -> Tensor:
    """Largest node value of each graph `[B, ...]`; a graph without nodes is zero."""
    return segment_max(x_ND, segment_of_rows(ptr, len(x_ND)), len(ptr) - 1)
