"""Layers of PaiNN: Schütt, Unke & Gastegger, "Equivariant message passing for the prediction of
tensorial properties and molecular spectra", ICML 2021, https://arxiv.org/abs/2102.03150.

Scalars s_ND `[N, D]` do not change when the structure rotates; vectors v_N3D `[N, 3, D]` rotate
with it. Legend: N = nodes, E = edges, R = radial functions, D = features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphwright.nn.edge_geometry import EdgeGeometry
from graphwright.nn.filtered import filtered_messages

__all__ = [
    "GatedEquivariantBlock",
    "PaiNNMessage",
    "PaiNNUpdate",
    "vector_norm",
]


class PaiNNMessage(nn.Module):
    """Messages along edges (eq. 7 and 8); returns the updated (s, v).

    s_i += sum_j phi_s(s_j) W_s(r_ij),
    v_i += sum_j v_j phi_v(s_j) W_v(r_ij) + phi_r(s_j) W_r(r_ij) r_ij / |r_ij|

    Args:
        dim: D.
        num_basis: radial functions, without the cutoff column.
        first: the vectors are still zero, so that the layer neither takes nor weights them.
    """

    def __init__(self, dim: int, num_basis: int, *, first: bool = False) -> None:
        super().__init__()
        self.dim = dim
        self.first = first
        width = (2 if first else 3) * dim
        self.phi = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, width))
        self.filter_RF = nn.Parameter(torch.empty(num_basis + 1, width))
        bound = 1.0 / math.sqrt(num_basis)
        nn.init.uniform_(self.filter_RF, -bound, bound)

    def forward(
        self, s_ND: Tensor, v_N3D: Tensor | None, geometry: EdgeGeometry
    ) -> tuple[Tensor, Tensor]:
        """(s, v) after one round of messages; v_N3D is None for the first layer."""
        scalar, radial, *gate = self.phi(s_ND).split(self.dim, dim=1)
        carried = None if v_N3D is None or self.first else v_N3D * gate[0][:, None]
        ds, dv = filtered_messages(geometry, self.filter_RF, scalar, radial, carried)
        return s_ND + ds, dv if v_N3D is None else v_N3D + dv


class PaiNNUpdate(nn.Module):
    """Mixing of scalars and vectors at each node (eq. 9 and 10); returns the updated (s, v).

    v += a_v(s, |Vv|) Uv,   s += a_s(s, |Vv|) + a_sv(s, |Vv|) <Uv, Vv>

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.mix = nn.Linear(dim, 2 * dim, bias=False)
        self.gates = nn.Sequential(nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, 3 * dim))

    def forward(self, s_ND: Tensor, v_N3D: Tensor) -> tuple[Tensor, Tensor]:
        """(s, v) after mixing."""
        u_N3D, w_N3D = self.mix(v_N3D).split(self.dim, dim=2)
        state = torch.cat([s_ND, vector_norm(w_N3D)], dim=1)
        a_v, a_sv, a_s = self.gates(state).split(self.dim, dim=1)
        inner_ND = (u_N3D * w_N3D).sum(1)
        return torch.addcmul(s_ND + a_s, a_sv, inner_ND), torch.addcmul(v_N3D, u_N3D, a_v[:, None])


class GatedEquivariantBlock(nn.Module):
    """Nonlinear map of (s, v) to other widths (fig. 3): vectors are gated by scalars.

    Args:
        dim: D of both inputs.
        out_scalars: scalars out.
        out_vectors: vectors out.
        hidden: width in between; `dim` unless told.
        dropout: share of the hidden scalars zeroed in training.
    """

    def __init__(
        self,
        dim: int,
        out_scalars: int,
        out_vectors: int,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = hidden or dim
        self.sizes = [out_scalars, out_vectors]
        self.vectors = nn.Linear(dim, dim + out_vectors, bias=False)
        self.scalars = nn.Sequential(
            nn.Linear(2 * dim, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, out_scalars + out_vectors),
        )

    def forward(self, s_ND: Tensor, v_N3D: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars `[N, out_scalars]` and vectors `[N, 3, out_vectors]`."""
        measured, mapped = self.vectors(v_N3D).split([s_ND.shape[1], self.sizes[1]], dim=2)
        hidden = self.scalars(torch.cat([s_ND, vector_norm(measured)], dim=1))
        scalars, gate = hidden.split(self.sizes, dim=1)
        return scalars, mapped * gate[:, None]


def vector_norm(v_N3D: Tensor) -> Tensor:
    """Length of each vector `[N, D]`, smooth at zero so that its gradient stays finite."""
    return (v_N3D.square().sum(1) + 1e-8).sqrt()
