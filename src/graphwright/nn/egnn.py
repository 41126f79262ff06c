"""E(n)-equivariant layer: Satorras, Hoogeboom & Welling, "E(n) Equivariant Graph Neural Networks",
ICML 2021, https://arxiv.org/abs/2102.09844 (eq. 3 to 6).

Legend: N = nodes, E = edges, R = numbers that describe a distance, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.nn.edges import SortedEdges

__all__ = ["EGNNLayer"]


class EGNNLayer(nn.Module):
    """Messages from features and distances; nodes move along their edges.

    m_ij = phi_e(h_i, h_j, a_ij)          a_ij: invariants of the edge, such as its distance
    x_i += mean_j (x_i - x_j) phi_x(m_ij)
    h_i += phi_h(h_i, sum_j m_ij)

    The first linear map of phi_e is done per node and summed per edge: phi_e(h_i, h_j, a) begins
    with A h_i + B h_j + C a, and N rows are far fewer than E.

    Args:
        dim: D.
        num_edge_features: R.
        dropout: share of the hidden numbers of phi_h zeroed in training.
    """

    def __init__(self, dim: int, num_edge_features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.ends = nn.Linear(dim, 2 * dim)
        self.edge = nn.Linear(num_edge_features, dim, bias=False)
        self.message = nn.Sequential(nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        self.move = nn.Linear(dim, 1)
        self.node = nn.Sequential(
            nn.Linear(2 * dim, dim), nn.SiLU(), nn.Dropout(dropout), nn.Linear(dim, dim)
        )
        # Small first moves: large ones let positions explode over the layers.
        nn.init.xavier_uniform_(self.move.weight, gain=1e-2)
        nn.init.zeros_(self.move.bias)

    def forward(
        self, h_ND: Tensor, x_N3: Tensor, edge_ER: Tensor, edges: SortedEdges
    ) -> tuple[Tensor, Tensor]:
        """(h, x) after one round.

        Args:
            h_ND: node features.
            x_N3: node positions.
            edge_ER: invariants of each edge, in the order of `edges`.
        """
        to_target, to_source = self.ends(h_ND).split(self.dim, dim=1)
        joint_ED = edges.gather_target(to_target) + edges.gather_source(to_source)
        m_ED = self.message(joint_ED + self.edge(edge_ER))
        step_E3 = edges.gather_target(x_N3) - edges.gather_source(x_N3)
        count_N1 = edges.in_degree().clamp(min=1).to(x_N3.dtype)[:, None]
        x_N3 = x_N3 + edges.sum_to_target(step_E3 * self.move(m_ED)) / count_N1
        total_ND = edges.sum_to_target(m_ED)
        return h_ND + self.node(torch.cat([h_ND, total_ND], dim=1)), x_N3
