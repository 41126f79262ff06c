"""What every model of windows starts from: known ids as indices, features standardised.

Legend: N = nodes, E = edges, V = vocabulary with the unknown id as index 0, F = features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.errors import DataError
from graphwright.nn.attention_graph import AttentionGraph
from graphwright.nn.edges import SortedEdges

__all__ = ["MOST", "UNKNOWN", "IdTable", "Standardise", "WindowInputs"]

UNKNOWN = 0
MOST = 0.5  # share of unknown ids above which a window is from a vehicle that is not known
_LARGEST = 10.0  # standard deviations: an unseen vehicle's features must not blow up a score


class IdTable(nn.Module):
    """Raw ids to indices: 1 + place among the known ones, 0 for any other.

    Args:
        ids: known raw ids (bit 31 set for extended ones), in any order, without repetition.
        unknown_rate: share of the ids that become unknown in training, so that it is trained.

    Raises:
        DataError: an id occurs twice.
    """

    def __init__(self, ids: Sequence[int], unknown_rate: float = 0.0) -> None:
        super().__init__()
        if len(set(ids)) != len(ids):
            raise DataError(f"{len(ids) - len(set(ids))} ids of the vocabulary occur twice")
        self.unknown_rate = unknown_rate
        self.register_buffer("known", torch.tensor(sorted(ids), dtype=torch.int64))
        self.known: Tensor

    def __len__(self) -> int:
        return len(self.known) + 1

    def forward(self, id_N: Tensor) -> Tensor:
        """`[N]` int64 indices of raw ids `[N]`."""
        if torch.compiler.is_compiling():
            same_NV = id_N[:, None] == self.known
            return (same_NV * torch.arange(1, len(self), device=id_N.device)).sum(1)
        if len(self.known) == 0:
            return torch.zeros_like(id_N)
        place_N = torch.searchsorted(self.known, id_N).clamp(max=len(self.known) - 1)
        return torch.where(self.known[place_N] == id_N, place_N + 1, UNKNOWN)

    def hide(self, index_N: Tensor) -> Tensor:
        """In training some of them unknown; otherwise unchanged."""
        if not self.training or self.unknown_rate == 0:
            return index_N
        hidden_N = torch.rand(index_N.shape, device=index_N.device) < self.unknown_rate
        return index_N.masked_fill(hidden_N, UNKNOWN)


class Standardise(nn.Module):
    """(x - mean) / sd, held within ±10; a constant feature (sd 0) counts in its own unit.

    Args:
        mean, sd: of each feature, on benign training windows.
    """

    def __init__(self, mean: Sequence[float], sd: Sequence[float]) -> None:
        super().__init__()
        spread = torch.tensor(sd, dtype=torch.get_default_dtype())
        self.register_buffer("mean", torch.tensor(mean, dtype=spread.dtype))
        self.register_buffer("scale", torch.where(spread > 0, spread, 1.0).reciprocal())
        self.mean: Tensor
        self.scale: Tensor

    @property
    def width(self) -> int:
        """F."""
        return len(self.mean)

    def forward(self, x: Tensor) -> Tensor:
        """`[..., F]` in the raw unit to standard deviations."""
        standard: Tensor = ((x - self.mean) * self.scale).clamp(-_LARGEST, _LARGEST)
        return standard


class WindowInputs(nn.Module):
    """Ids and features of a batch as a model reads them.

    Args:
        state: "ids" (known raw ids), "node_mean", "node_sd", "edge_mean", "edge_sd", "id_free".
        embedding_dim: of the ids; 0 leaves them out, as `state["id_free"]` does.
        unknown_rate: see `IdTable`.
        edge_features: whether attention sees them.

    Attributes:
        table: IdTable, or None without ids.
        width: of what `embed` gives.
        edge_dim: F of the edges, 0 without.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        embedding_dim: int,
        unknown_rate: float,
        edge_features: bool = True,
    ) -> None:
        super().__init__()
        self.node = Standardise(state["node_mean"], state["node_sd"])
        self.edge = Standardise(state["edge_mean"], state["edge_sd"]) if edge_features else None
        with_ids = embedding_dim > 0 and not state["id_free"]
        self.table = IdTable(state["ids"], unknown_rate) if with_ids else None
        size = 0 if self.table is None else len(self.table)
        self.embedding = nn.Embedding(size, embedding_dim) if self.table is not None else None
        self.width = self.node.width + (embedding_dim if with_ids else 0)
        self.edge_dim = 0 if self.edge is None else self.edge.width

    def graph(self, batch: GraphBatch) -> AttentionGraph:
        """The edges with their standardised features."""
        edges = SortedEdges.build(batch.edge_index, batch.num_nodes)
        features = None
        if self.edge is not None:
            features = edges.arrange(self.edge(batch.edges["edge_x"]))
        return AttentionGraph(edges, batch.node_ptr, features)

    def index(self, id_N: Tensor) -> Tensor | None:
        """Vocabulary indices `[N]`, or None without ids."""
        return None if self.table is None else self.table(id_N)

    def embed(self, x_NF: Tensor, index_N: Tensor | None) -> Tensor:
        """`[N, width]`: standardised features behind the ids' embeddings."""
        if self.table is None or self.embedding is None or index_N is None:
            return x_NF
        return torch.cat([self.embedding(self.table.hide(index_N)), x_NF], dim=1)
