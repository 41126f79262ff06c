"""One large batch cut into small ones: cheaper than to gather each of them.

Legend: B = graphs, N = nodes, E = edges of the large batch, K = small batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch

__all__ = ["split_batch"]


def split_batch(batch: GraphBatch, counts: Sequence[int]) -> list[GraphBatch]:
    """Batches of so many graphs each, in order; they share the large batch's memory.

    Args:
        batch: on the host.
        counts: graphs of each small batch [K]; they add up to B.
    """
    sizes = torch.tensor(counts)
    node_bounds, edge_bounds = (
        ptr[torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])]
        for ptr in (batch.node_ptr, batch.edge_ptr)
    )
    nodes, edges = node_bounds.diff().tolist(), edge_bounds.diff().tolist()
    shift_E = torch.repeat_interleave(node_bounds[:-1], edge_bounds.diff())
    parts = zip(
        torch.split(batch.edge_index - shift_E, edges, dim=1),
        _local(batch.node_ptr, sizes),
        _local(batch.edge_ptr, sizes),
        torch.split(batch.index, list(counts)),
        nodes,
        _fields(batch.nodes, nodes),
        _fields(batch.edges, edges),
        _fields(batch.graphs, list(counts)),
        strict=True,
    )
    return [GraphBatch(*part) for part in parts]


def _local(ptr: Tensor, sizes: Tensor) -> Sequence[Tensor]:
    """The bounds of each small batch [its graphs + 1], from 0."""
    first = sizes.cumsum(0) - sizes
    lengths = sizes + 1
    start = torch.repeat_interleave(first - (lengths.cumsum(0) - lengths), lengths)
    places = start + torch.arange(len(start))
    shift = torch.repeat_interleave(ptr[first], lengths)
    return torch.split(ptr[places] - shift, lengths.tolist())


def _fields(fields: dict[str, Tensor], sizes: list[int]) -> list[dict[str, Tensor]]:
    pieces = [torch.split(values, sizes) for values in fields.values()]
    if not pieces:
        return [{} for _ in sizes]
    return [dict(zip(fields, values, strict=True)) for values in zip(*pieces, strict=True)]
