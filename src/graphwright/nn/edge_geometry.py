"""What message layers know of the edges: directions, radial basis, and blocks that fit a cache.

Legend: N = nodes, E = edges, R = radial functions, D = features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from graphwright.nn.edges import SortedEdges, bag_sum
from graphwright.nn.radial import cosine_cutoff

__all__ = ["EdgeBlock", "EdgeGeometry", "EdgeOrder", "edge_geometry"]

# Numbers in one buffer: 1 MB in float32, so that a handful of them stay in a core's caches.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class EdgeGeometry:
    """What message layers need to know of the edges, computed once for all of them.

    Attributes:
        edges: sorted by target.
        basis: `[E, R]` radial basis times cutoff, with the cutoff itself as last column, which
            carries the bias of the filters.
        unit: `[3, E]` unit vector from source to target, components first, contiguous.
    """

    edges: SortedEdges
    basis: Tensor
    unit: Tensor

    @cached_property
    def inward(self) -> EdgeOrder:
        """The edges in the order of their targets."""
        edges = self.edges
        ends = (edges.target, edges.source)
        return EdgeOrder(edges.target_ptr, *ends, self.basis, self.unit, edges.every_edge)

    @cached_property
    def outward(self) -> EdgeOrder:
        """The edges in the order of their sources."""
        edges, order = self.edges, self.edges.by_source
        ends = (edges.source.index_select(0, order), edges.target_by_source)
        basis, unit = self.basis.index_select(0, order), self.unit.index_select(1, order)
        return EdgeOrder(edges.source_ptr, *ends, basis, unit, edges.every_edge)


def edge_geometry(
    pos_N3: Tensor, edges: SortedEdges, basis: nn.Module, cutoff: float
) -> EdgeGeometry:
    """Distances, directions and radial basis of the edges.

    Args:
        pos_N3: positions, in the unit of the cutoff.
        basis: maps distances `[E]` to `[E, R - 1]`.
        cutoff: messages fade to zero at this distance (cosine cutoff).
    """
    step_E3 = pos_N3.index_select(0, edges.target) - pos_N3.index_select(0, edges.source)
    # Two points in one place have no direction: a zero vector, not NaN.
    distance_E = step_E3.square().sum(1).clamp(min=1e-24).sqrt()
    fade_E1 = cosine_cutoff(distance_E, cutoff)[:, None]
    radial_ER = torch.cat([basis(distance_E) * fade_E1, fade_E1], dim=1)
    unit_3E = (step_E3 / distance_E[:, None]).t().contiguous()
    return EdgeGeometry(edges, radial_ER, unit_3E)


@dataclass(frozen=True, eq=False)
class EdgeBlock:
    """Consecutive nodes and all their edges in one order."""

    nodes: slice
    ptr: Tensor
    near: Tensor  # [e] the block's node of each edge
    far: Tensor  # [e] the node at the other end
    basis: Tensor
    unit: Tensor
    every: Tensor

    def sum(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Sum over the edges of each of the block's nodes."""
        return bag_sum(x, self.every, self.ptr, weight)


@dataclass(frozen=True, eq=False)
class EdgeOrder:
    """All edges sorted by one of their ends."""

    ptr: Tensor
    near: Tensor
    far: Tensor
    basis: Tensor
    unit: Tensor
    every: Tensor

    def blocks(self, dim: int) -> Iterator[EdgeBlock]:
        """Blocks of about `_BLOCK / dim` edges; everything at once on a GPU."""
        on_cpu = self.ptr.device.type == "cpu"
        limit = max(1, _BLOCK // dim) if on_cpu else len(self.near) + 1
        bounds = self.ptr.tolist() if on_cpu else [0, len(self.near)]
        start = 0
        for node in range(1, len(bounds)):
            if bounds[node] - bounds[start] >= limit or node == len(bounds) - 1:
                stop = node if on_cpu else len(self.ptr) - 1
                yield self._block(start, stop, bounds[start], bounds[node])
                start = node

    def _block(self, node: int, stop: int, first: int, last: int) -> EdgeBlock:
        part = slice(first, last)
        return EdgeBlock(
            nodes=slice(node, stop),
            ptr=self.ptr[node : stop + 1] - first,
            near=self.near[part],
            far=self.far[part],
            basis=self.basis[part],
            unit=self.unit[:, part],
            every=self.every[: last - first],
        )
