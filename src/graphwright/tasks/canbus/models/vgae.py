"""A variational graph autoencoder of benign traffic, after Kipf & Welling.

"Variational Graph Auto-Encoders", 2016, https://arxiv.org/abs/1611.07308.

Encoder: ids' embeddings ‖ features -> [attention, batch normalisation, elu] for each of hidden_dims
-> mean and log variance of a latent vector for each node. Decoder: the same layers backwards, then
a linear layer to the features. From the latent vector also: which id the node has, and which ids
followed it (multi-hot). The encoder sees unknown ids where training hides them, the id that it has
to tell is always the true one. Without ids (`id_free`) both are left out.

The score of a window is made of the nodes' errors (`score.py`). With statistics, how far its
relative ones (`relative.py`) are from those of benign windows is a second score: the larger anomaly
counts, and where most ids are unknown the second one alone, for no error means anything there.

Legend: B = windows, N = nodes, E = edges, F = features, Z = latent, V = vocabulary, P = parts,
S = statistics, R = relative ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, dropout, elu

from graphwright.data.batch import GraphBatch
from graphwright.errors import ConfigError
from graphwright.nn.across_ranks import SharedBatchNorm
from graphwright.nn.attention_graph import with_self_loops
from graphwright.nn.edges import SortedEdges
from graphwright.nn.graph_attention import Attends
from graphwright.tasks.canbus.model_configs import VGAEConfig
from graphwright.tasks.canbus.models.gat import attention_layer
from graphwright.tasks.canbus.models.inputs import MOST, UNKNOWN, WindowInputs
from graphwright.tasks.canbus.models.moments import confidence, moments
from graphwright.tasks.canbus.models.relative import WindowStatistics
from graphwright.tasks.canbus.models.score import CompositeScore, Distance

__all__ = ["VGAEModel", "VGAEOutput", "node_errors"]

_LOG_VARIANCE = 10.0  # bounds of log sigma^2, so that its exponential stays finite


@dataclass(frozen=True, eq=False)
class VGAEOutput:
    """Of one batch; what follows "ids" is None without ids.

    Attributes:
        graph: what pools the nodes.
        features: `[N, F]` standardised, what is to be reconstructed.
        reconstructed: `[N, F]`.
        mean, log_variance: `[N, Z]` of the latent vectors.
        largest: `[N]` largest squared error of a node's features, or None.
        ids: `[N]` vocabulary indices.
        id_logits: `[N, V]`.
        neighbours: `[N, V]` 1 for each id that followed.
        neighbour_logits: `[N, V]`.
    """

    graph: Attends
    features: Tensor
    reconstructed: Tensor
    mean: Tensor
    log_variance: Tensor
    largest: Tensor | None = None
    ids: Tensor | None = None
    id_logits: Tensor | None = None
    neighbours: Tensor | None = None
    neighbour_logits: Tensor | None = None


class VGAEModel(nn.Module):
    """Reconstructions of windows, and how unlike benign ones they are.

    Args:
        config: sizes.
        state: see `WindowInputs`; "teacher_latent" is the latent width of the teacher where one is
            distilled (`distill.py`), which adds the projection to it.

    Attributes:
        projection: of the latent means to the teacher's, or None. Of no use after training.

    Raises:
        ConfigError: a width that the heads do not divide.
    """

    def __init__(self, config: VGAEConfig, state: Mapping[str, Any]) -> None:
        super().__init__()
        if odd := [dim for dim in config.hidden_dims if dim % config.heads]:
            raise ConfigError(
                f"{config.heads} heads do not divide a width of {odd[0]}",
                where="model.hidden_dims",
                fix="take multiples of model.heads",
            )
        self.config, hidden = config, config.hidden_dims
        self.inputs = WindowInputs(
            state, config.embedding_dim, config.unknown_rate, config.edge_features
        )
        self.encoder = self._stack([self.inputs.width, *hidden])
        self.to_latent = nn.Linear(hidden[-1], 2 * config.latent_dim)
        self.decoder = self._stack([config.latent_dim, *reversed(hidden)])
        self.to_features = nn.Linear(hidden[0], self.inputs.node.width)
        size = 0 if self.inputs.table is None else len(self.inputs.table)
        self.id_head = nn.Linear(config.latent_dim, size) if size else None
        self.neighbour_head = _neighbour_head(config, size) if size else None
        kinds = (4 if size else 2) + config.largest_error
        # How far a latent vector lies from the prior ranks windows worse than any error does.
        self.composite = CompositeScore(parts=2 * kinds, left_out=(1, 1 + kinds))
        self.stats = WindowStatistics(state) if config.window_stats else None
        self.distance = Distance() if config.window_stats else None
        wanted = state.get("teacher_latent", 0)
        self.projection = nn.Linear(config.latent_dim, wanted) if wanted else None

    def _stack(self, widths: list[int]) -> nn.ModuleList:
        kind, heads = self.config.attention, self.config.heads
        return nn.ModuleList(
            _Normed(attention_layer(kind, a, b, heads, self.inputs.edge_dim), b)
            for a, b in pairwise(widths)
        )

    def forward(self, batch: GraphBatch) -> VGAEOutput:
        """Of every window; latent vectors are drawn in training and their means otherwise."""
        graph = self.inputs.graph(batch)
        index_N = self.inputs.index(batch.nodes["id"])
        neighbours = None
        if index_N is not None and self.inputs.table is not None:
            neighbours = _successors(graph.edges, index_N, len(self.inputs.table))
        x_NF = self.inputs.node(batch.nodes["x"])
        return self.reconstruct(with_self_loops(graph), x_NF, index_N, neighbours)

    def reconstruct(
        self, graph: Attends, x_NF: Tensor, index_N: Tensor | None, neighbours: Tensor | None
    ) -> VGAEOutput:
        """The same from standardised features and vocabulary indices, on edges of any kind.

        Args:
            graph: with one self loop at each node.
            x_NF: standardised features.
            index_N: vocabulary indices, or None without ids.
            neighbours: `[N, V]` multi-hot of the ids that followed, or None without ids.
        """
        x, rate = self.inputs.embed(x_NF, index_N), self.config.dropout
        for layer in self.encoder:
            x = dropout(layer(x, graph), rate, self.training)
        mean_NZ, log_NZ = self.to_latent(x).chunk(2, dim=1)
        log_NZ = log_NZ.clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
        latent_NZ = mean_NZ
        if self.training:
            latent_NZ = mean_NZ + (log_NZ / 2).exp() * torch.randn_like(mean_NZ)
        x = latent_NZ
        for layer in self.decoder:
            x = layer(x, graph)
        reconstructed = self.to_features(x)
        largest_N = None
        if self.config.largest_error:
            largest_N = (reconstructed - x_NF).square().amax(1)
        told = (graph, x_NF, reconstructed, mean_NZ, log_NZ, largest_N)
        if self.id_head is None or self.neighbour_head is None:
            return VGAEOutput(*told)
        heads = self.id_head(latent_NZ), neighbours, self.neighbour_head(latent_NZ)
        return VGAEOutput(*told, index_N, *heads)

    @property
    def summary_dim(self) -> int:
        """S of `summary`."""
        return 2 + len(self.composite.mean) + 8

    def parts(self, output: VGAEOutput) -> Tensor:
        """`[B, P]`: mean, then largest error of a window's nodes, for each kind of error."""
        errors_NP = torch.stack(list(node_errors(output).values()), dim=1)
        return torch.cat([output.graph.pool_mean(errors_NP), output.graph.pool_max(errors_NP)], 1)

    def score(self, batch: GraphBatch) -> Tensor:
        """`[B]` calibrated composite of the parts; larger is less like benign traffic."""
        return self.composite(self.parts(self(batch)))  # type: ignore[no-any-return]

    def anomaly(self, batch: GraphBatch) -> Tensor:
        """`[B]` in 0..1, 0.5 at the threshold of the benign data."""
        output = self(batch)
        score_B = self.composite(self.parts(output))
        return self.judged(output, score_B, batch.graphs.get("stats"))

    def judged(self, output: VGAEOutput, score_B: Tensor, stats_BS: Tensor | None) -> Tensor:
        """Anomaly of windows with these scores and statistics."""
        anomaly_B = self.composite.anomaly(score_B)
        if self.distance is None or self.stats is None or stats_BS is None:
            return anomaly_B
        distance_B = self.distance(self.stats.relative(stats_BS))
        larger_B = torch.maximum(anomaly_B, distance_B)
        if output.ids is None:
            return larger_B
        unknown_N1 = (output.ids == UNKNOWN).to(anomaly_B.dtype)[:, None]
        unknown_B = output.graph.pool_mean(unknown_N1)[:, 0]
        return torch.where(unknown_B > MOST, distance_B, larger_B)

    def relative(self, batch: GraphBatch) -> Tensor:
        """`[B, R]` standardised relative statistics (of a model that reads them)."""
        assert self.stats is not None
        return self.stats.relative(batch.graphs["stats"])

    def summary(self, batch: GraphBatch) -> Tensor:
        """`[B, 2 + P + 8]` for fusion.

        anomaly, its confidence, standardised parts, moments of the window's latent mean and of its
        latent variance.
        """
        output = self(batch)
        parts_BP = self.parts(output)
        anomaly_B = self.judged(output, self.composite(parts_BP), batch.graphs.get("stats"))
        scores_B2 = torch.stack([anomaly_B, confidence(anomaly_B)], dim=1)
        latent_BZ = output.graph.pool_mean(output.mean)
        spread_BZ = output.graph.pool_mean(output.log_variance)
        standard_BP = self.composite.standardise(parts_BP)
        return torch.cat([scores_B2, standard_BP, moments(latent_BZ), moments(spread_BZ)], dim=1)


def node_errors(output: VGAEOutput) -> dict[str, Tensor]:
    """Errors of each node `[N]`: "features", "kl", with ids "id" and "neighbours", and "largest".

    Mean squared error over F; mean over Z of the divergence from a standard normal; cross entropy
    of the true id; binary cross entropy, mean over V; largest squared error over F, where the model
    keeps it.
    """
    square_NF = (output.reconstructed - output.features).square()
    log_NZ = output.log_variance
    kl_NZ = 0.5 * (output.mean.square() + log_NZ.exp() - 1 - log_NZ)
    errors = {"features": square_NF.mean(1), "kl": kl_NZ.mean(1)}
    if output.ids is not None and output.id_logits is not None:
        errors["id"] = cross_entropy(output.id_logits, output.ids, reduction="none")
    if output.neighbours is not None and output.neighbour_logits is not None:
        logits, truth = output.neighbour_logits, output.neighbours
        binary_NV = binary_cross_entropy_with_logits(logits, truth, reduction="none")
        errors["neighbours"] = binary_NV.mean(1)
    if output.largest is not None:
        errors["largest"] = output.largest
    return errors


class _Normed(nn.Module):
    """elu(batch norm(attention))."""

    def __init__(self, attention: nn.Module, width: int) -> None:
        super().__init__()
        self.attention, self.norm = attention, SharedBatchNorm(width)

    def forward(self, x_ND: Tensor, graph: Attends) -> Tensor:
        return elu(self.norm(self.attention(x_ND, graph)))


def _neighbour_head(config: VGAEConfig, size: int) -> nn.Module:
    dim = config.neighbour_dim
    if not dim:
        return nn.Linear(config.latent_dim, size)
    return nn.Sequential(nn.Linear(config.latent_dim, dim), nn.ELU(), nn.Linear(dim, size))


def _successors(edges: SortedEdges, index_N: Tensor, size: int) -> Tensor:
    """`[N, V]`: 1 where an id with that index followed the node's id."""
    found_NV = torch.zeros(len(index_N), size, device=index_N.device)
    found_NV[edges.source, index_N[edges.target]] = 1
    return found_NV
