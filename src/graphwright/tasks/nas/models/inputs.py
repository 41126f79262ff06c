"""What every predictor starts from, and what joins the pooled graph before its head.

Legend: C = copies, N = nodes, B = architectures, D = features, V = vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.stacked import StackedEmbedding

__all__ = ["EmbeddedNodes", "OneHotNodes", "Sizes", "side_by_side", "with_features"]


@dataclass(frozen=True)
class Sizes:
    """Widths of everything a predictor reads and gives, from the state of `encoding.fit_encoding`.

    Attributes:
        operations: V, with the unknown one.
        node: numbers per node beside its operation (hyperparameters and their mask, positions).
        graph: numbers per architecture (global features, paths).
        outputs: targets, and the feasibility logit where there is one.
    """

    operations: int
    node: int
    graph: int
    outputs: int

    @classmethod
    def of(cls, state: Mapping[str, Any], *, feasibility: bool) -> Self:
        """The sizes in a state; `feasibility`: there is one more output, a logit."""
        hyperparameters, features = state.get("hyperparameters"), state.get("features")
        positions, labels = state.get("positions"), state.get("labels")
        return cls(
            operations=len(state["vocabulary"]),
            node=2 * len(hyperparameters["names"] if hyperparameters else ())
            + len(positions["names"] if positions else ()),
            # a feature with gaps has a second column that says where it is known
            graph=(len(features["names"]) + sum(features["gaps"]) if features else 0)
            + len(state.get("paths", ())),
            outputs=len(labels["metrics"] if labels else ("",)) + feasibility,
        )


class OneHotNodes(nn.Module):
    """`[N, V + node]`: the operation one-hot, then hyperparameters and positions. No weights."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.width = sizes.operations + sizes.node
        self.register_buffer("codes", torch.eye(sizes.operations), persistent=False)
        self.codes: Tensor

    def forward(self, batch: GraphBatch) -> Tensor:
        """Features that all copies share."""
        kinds_NV = self.codes.index_select(0, batch.nodes["op"].long())
        return torch.cat([kinds_NV, *given], dim=1) if (given := _given(batch)) else kinds_NV


class EmbeddedNodes(nn.Module):
    """`[C, N, dim + node]`: an embedding of the operation, then hyperparameters and positions.

    Args:
        copies: C.
        sizes: of the input.
        dim: of the embedding.
    """

    def __init__(self, copies: int, sizes: Sizes, dim: int) -> None:
        super().__init__()
        self.width = dim + sizes.node
        self.embedding = StackedEmbedding(copies, sizes.operations, dim)

    def forward(self, batch: GraphBatch) -> Tensor:
        """Features of each copy."""
        kinds_CND: Tensor = self.embedding(batch.nodes["op"].long())
        given = [part.expand(len(kinds_CND), -1, -1) for part in _given(batch)]
        return torch.cat([kinds_CND, *given], dim=2) if given else kinds_CND


def _given(batch: GraphBatch) -> list[Tensor]:
    return [batch.nodes[name] for name in ("hyper", "position") if name in batch.nodes]


def side_by_side(x_CBD: Tensor, members: int) -> Tensor:
    """The copies of each member, one after the other in the features: `[M, B, C / M * D]`."""
    return torch.unflatten(x_CBD, 0, (-1, members)).movedim(0, 2).flatten(2)


def with_features(pooled_CBD: Tensor, batch: GraphBatch) -> Tensor:
    """Global features and paths behind the pooled nodes: `[C, B, D + graph]`."""
    given = [batch.graphs[name] for name in ("features", "paths") if name in batch.graphs]
    if not given:
        return pooled_CBD
    return torch.cat([pooled_CBD, *(part.expand(len(pooled_CBD), -1, -1) for part in given)], dim=2)
