"""The continuous-filter messages of PaiNN in one operator with a hand-written backward.

Written plainly, a message layer makes `[E, 3, 3D]` temporaries and some thirty autograd nodes, and
on a CPU waits for memory. Here blocks of edges that fit the cache are filtered and reduced one
after the other, in buffers that are used again; the backward pass makes the filters anew instead
of keeping them, and goes through the edges by source so that its sums too are over neighbours in
memory.

Legend: N = nodes, E = edges, R = radial functions, D = features.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphwright.nn.edge_geometry import EdgeBlock, EdgeGeometry

__all__ = ["filtered_messages", "filtered_messages_reference"]


def filtered_messages(
    geometry: EdgeGeometry,
    weight_RF: Tensor,
    scalar_ND: Tensor,
    radial_ND: Tensor,
    vector_N3D: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Sum the filtered messages of every node's neighbours.

    With filters (F_s, F_r, F_v) = basis weight of each edge e = (j → i) and u its unit vector,

        ds_i    = sum_e F_s(e) scalar_j
        dv_i[c] = sum_e F_r(e) radial_j u_c(e) + F_v(e) vector_j[c]

    Args:
        geometry: the edges with their radial basis and directions.
        weight_RF: filter weights, F = 3D in the order s, r, v, or 2D if vector_N3D is None.
        scalar_ND, radial_ND: source features.
        vector_N3D: source vectors, or None where they are zero (the first layer).

    Returns:
        ds `[N, D]` and dv `[N, 3, D]`. Gradients flow to the weights and the node features; where
        the geometry needs one too, the plain formulation is used.
    """
    features = (scalar_ND, radial_ND, vector_N3D)
    basis = geometry.basis
    if basis.requires_grad or geometry.unit.requires_grad or torch.compiler.is_compiling():
        return filtered_messages_reference(geometry, weight_RF, *features)
    inputs = [None if x is None else x.to(basis.dtype) for x in features]
    with torch.autocast(basis.device.type, enabled=False):
        ds, dv = _FilteredMessages.apply(weight_RF, *inputs, geometry)  # type: ignore[no-untyped-call]
    return ds, dv


def filtered_messages_reference(
    geometry: EdgeGeometry,
    weight_RF: Tensor,
    scalar_ND: Tensor,
    radial_ND: Tensor,
    vector_N3D: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """`filtered_messages` as the formula reads, differentiable in the geometry as well."""
    edges = geometry.edges
    filters = torch.split(geometry.basis @ weight_RF, scalar_ND.shape[1], dim=1)
    ds = edges.sum_to_target(edges.gather_source(scalar_ND) * filters[0])
    radial = edges.gather_source(radial_ND) * filters[1]
    message = radial[:, None] * geometry.unit.t()[:, :, None]
    if vector_N3D is not None:
        message = message + edges.gather_source(vector_N3D) * filters[2][:, None]
    return ds, edges.sum_to_target(message)


class _Buffers:
    """Scratch arrays of one pass; each block uses as many rows of them as it has edges."""

    def __init__(self, count: int, like: Tensor) -> None:
        self.arrays = [like.new_empty(0, like.shape[1]) for _ in range(count)]

    def rows(self, num: int) -> list[Tensor]:
        if len(self.arrays[0]) < num:
            self.arrays = [x.new_empty(num + num // 8, x.shape[1]) for x in self.arrays]
        return [x[:num] for x in self.arrays]


class _FilteredMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        scalar: Tensor,
        radial: Tensor,
        vector: Tensor | None,
        geometry: EdgeGeometry,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(weight, scalar, radial, vector)
        ctx.geometry = geometry
        dim = scalar.shape[1]
        weights = torch.split(weight, dim, dim=1)
        ds, dv = scalar.new_empty(scalar.shape), scalar.new_empty(len(scalar), 3, dim)
        buffers = _Buffers(2, scalar)
        for block in geometry.inward.blocks(dim):
            filters, message = buffers.rows(len(block.far))
            _filter(block, weights[0], scalar, filters, message)
            ds[block.nodes] = block.sum(message)
            _filter(block, weights[1], radial, filters, message)
            for axis in range(3):
                dv[block.nodes, axis] = block.sum(message, block.unit[axis])
            if vector is not None:
                torch.mm(block.basis, weights[2], out=filters)
                for axis in range(3):
                    torch.index_select(vector[:, axis], 0, block.far, out=message)
                    dv[block.nodes, axis] += block.sum(message.mul_(filters))
        return ds, dv

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_s: Tensor, grad_v: Tensor) -> tuple[Tensor | None, ...]:
        weight, scalar, radial, vector = ctx.saved_tensors
        dim = scalar.shape[1]
        weights = torch.split(weight, dim, dim=1)
        d_weight = torch.zeros_like(weight)
        d_weights = torch.split(d_weight, dim, dim=1)
        d_scalar, d_radial = scalar.new_empty(scalar.shape), radial.new_empty(radial.shape)
        d_vector = None if vector is None else vector.new_empty(vector.shape)
        buffers = _Buffers(5, scalar)
        for block in ctx.geometry.outward.blocks(dim):
            filters, grad, along, work, by_filter = buffers.rows(len(block.far))
            torch.index_select(grad_s, 0, block.far, out=grad)
            scratch = (filters, work)
            _scalar_backward(block, weights[0], scalar, grad, d_weights[0], d_scalar, scratch)
            if vector is None or d_vector is None:
                _gather_along(block, grad_v, grad, along)
            else:
                torch.mm(block.basis, weights[2], out=filters)
                arrays = (filters, grad, along, work, by_filter)
                _vector_backward(block, vector, grad_v, d_weights[2], d_vector, arrays)
            _scalar_backward(block, weights[1], radial, along, d_weights[1], d_radial, scratch)
        return d_weight, d_scalar, d_radial, d_vector, None


def _filter(block: EdgeBlock, weight: Tensor, x: Tensor, filters: Tensor, message: Tensor) -> None:
    """message = filters of the block's edges times the features of their far ends."""
    torch.mm(block.basis, weight, out=filters)
    torch.index_select(x, 0, block.far, out=message)
    message.mul_(filters)


def _scalar_backward(
    block: EdgeBlock,
    weight: Tensor,
    x: Tensor,
    grad: Tensor,
    d_weight: Tensor,
    d_x: Tensor,
    scratch: tuple[Tensor, Tensor],
) -> None:
    """Gradients of sum_e filter(e) x_j, given `grad` of each edge's message (overwritten)."""
    filters, by_filter = scratch
    torch.index_select(x, 0, block.near, out=by_filter)
    d_weight.addmm_(block.basis.t(), by_filter.mul_(grad))
    torch.mm(block.basis, weight, out=filters)
    d_x[block.nodes] = block.sum(grad.mul_(filters))


def _gather_along(block: EdgeBlock, grad_v: Tensor, grad: Tensor, along: Tensor) -> None:
    """along = gradient of each edge's vector message, projected on the edge."""
    for axis in range(3):
        torch.index_select(grad_v[:, axis], 0, block.far, out=grad)
        _project(axis, grad, block.unit[axis, :, None], along)


def _project(axis: int, grad: Tensor, unit: Tensor, along: Tensor) -> None:
    if axis == 0:
        torch.mul(grad, unit, out=along)
    else:
        along.addcmul_(grad, unit)


def _vector_backward(
    block: EdgeBlock,
    vector: Tensor,
    grad_v: Tensor,
    d_weight: Tensor,
    d_vector: Tensor,
    arrays: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Gradients of sum_e filter(e) vector_j, and the projection that the radial part needs."""
    filters, grad, along, work, by_filter = arrays
    by_filter.zero_()
    for axis in range(3):
        torch.index_select(grad_v[:, axis], 0, block.far, out=grad)
        _project(axis, grad, block.unit[axis, :, None], along)
        torch.index_select(vector[:, axis], 0, block.near, out=work)
        by_filter.addcmul_(work, grad)
        d_vector[block.nodes, axis] = block.sum(grad.mul_(filters))
    d_weight.addmm_(block.basis.t(), by_filter)
