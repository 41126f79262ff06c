"""A graph attention network that says whether a window holds an attack.

ids' embeddings ‖ features -> num_layers x [GAT or GATv2, elu, dropout] -> jumping knowledge over
all layers (Xu et al., ICML 2018, https://arxiv.org/abs/1806.03536) -> mean over the nodes -> 1 to 3
linear layers. After KD-GAT (arXiv 2507.19686), whose published sizes are `published_gat`.

Legend: B = windows, N = nodes, D = features, L = layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, elu

from graphwright.data.batch import GraphBatch
from graphwright.nn.attention_graph import with_self_loops
from graphwright.nn.graph_attention import Attends, GATConv, GATv2Conv
from graphwright.tasks.canbus.model_configs import Attention, GATConfig
from graphwright.tasks.canbus.models.inputs import WindowInputs
from graphwright.tasks.canbus.models.moments import confidence, moments
from graphwright.tasks.canbus.thresholds import benign_quantile

__all__ = ["GATModel", "GATOutput", "attack_probability", "attention_layer", "two_logits"]


@dataclass(frozen=True, eq=False)
class GATOutput:
    """Of one batch.

    Attributes:
        logits: `[B, 2]` benign and attack, or `[B, 1]` attack.
        nodes: `[N, D]` after jumping knowledge.
        graphs: `[B, D]` their means.
    """

    logits: Tensor
    nodes: Tensor
    graphs: Tensor


class GATModel(nn.Module):
    """Logits and embeddings of windows.

    Args:
        config: sizes.
        state: see `WindowInputs`.
    """

    summary_dim = 8

    def __init__(self, config: GATConfig, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.inputs = WindowInputs(
            state, config.embedding_dim, config.unknown_rate, config.edge_features
        )
        width = config.heads * config.head_dim
        widths = [self.inputs.width, *[width] * config.num_layers]
        self.layers = nn.ModuleList(
            attention_layer(config.attention, a, b, config.heads, self.inputs.edge_dim)
            for a, b in pairwise(widths)
        )
        self.jump = _JumpLSTM(width, config.num_layers) if config.jumping == "lstm" else None
        self.dim = width if self.jump is not None else width * config.num_layers
        self.head = _head(self.dim, config)

    def forward(self, batch: GraphBatch) -> GATOutput:
        """Of every window."""
        graph = self.inputs.graph(batch)
        x_NF = self.inputs.node(batch.nodes["x"])
        index_N = self.inputs.index(batch.nodes["id"])
        return self.classify(
            with_self_loops(graph) if self.config.self_loops else graph, x_NF, index_N
        )

    def classify(self, graph: Attends, x_NF: Tensor, index_N: Tensor | None) -> GATOutput:
        """The same from standardised features and vocabulary indices, on edges of any kind."""
        x, rate = self.inputs.embed(x_NF, index_N), self.config.dropout
        layers = []
        for layer in self.layers:
            x = dropout(elu(layer(x, graph)), rate, self.training)
            layers.append(x)
        nodes_ND = torch.cat(layers, dim=1) if self.jump is None else self.jump(layers)
        graphs_BD = graph.pool_mean(nodes_ND)
        return GATOutput(self.head(graphs_BD), nodes_ND, graphs_BD)

    @torch.no_grad()
    def move_threshold(self, benign: Iterable[GraphBatch], rate: float) -> float:
        """Take a quantile of the benign margins off the attack's logit, so that it becomes 0.5.

        Args:
            benign: batches of benign windows that training has not seen.
            rate: share of them that may lie above.

        Returns:
            What was taken off; 0 where there is no benign window.
        """
        margins = [_margin(self(batch).logits) for batch in benign]
        if not margins:
            return 0.0
        shift = benign_quantile(torch.cat(margins).double().cpu().numpy(), rate)
        bias: Tensor = self.head[-1].bias  # type: ignore[assignment]
        bias[-1] -= shift
        return shift

    def summary(self, batch: GraphBatch) -> Tensor:
        """`[B, 8]` for fusion.

        Attack probability, margin of the logits, entropy, confidence, moments of the embedding.
        """
        output = self(batch)
        p_B = attack_probability(output.logits)
        margin_B = _margin(output.logits).clamp(-20, 20)
        entropy_B = -(torch.xlogy(p_B, p_B) + torch.xlogy(1 - p_B, 1 - p_B))
        scores_B4 = torch.stack([p_B, margin_B, entropy_B, confidence(p_B)], dim=1)
        return torch.cat([scores_B4, moments(output.graphs)], dim=1)


class _JumpLSTM(nn.Module):
    """Each node's own mixture of its layers, weighted by a bidirectional LSTM over them.

    Hidden size L D / 2 in each direction, then one linear score a layer and a softmax.
    """

    def __init__(self, dim: int, num_layers: int) -> None:
        super().__init__()
        hidden = num_layers * dim // 2
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True, batch_first=True)
        self.score = nn.Linear(2 * hidden, 1)

    def forward(self, layers: list[Tensor]) -> Tensor:
        """L tensors `[N, D]` to `[N, D]`."""
        x_NLD = torch.stack(layers, dim=1)
        weight_NL1: Tensor = self.score(self.lstm(x_NLD)[0]).softmax(1)
        return (x_NLD * weight_NL1).sum(1)


def attention_layer(
    kind: Attention, in_dim: int, width: int, heads: int, edge_dim: int
) -> nn.Module:
    """A GAT or GATv2 whose heads beside each other have the given width."""
    layer = GATConv if kind == "gat" else GATv2Conv
    return layer(in_dim, width // heads, heads, edge_dim)


def two_logits(logits: Tensor) -> Tensor:
    """`[B, 2]` of benign and attack; a single logit is one against a benign logit of 0."""
    if logits.shape[1] == 2:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def _margin(logits: Tensor) -> Tensor:
    """`[B]`: how far the attack's logit is above the benign one."""
    logits_B2 = two_logits(logits)
    return logits_B2[:, 1] - logits_B2[:, 0]


def attack_probability(logits: Tensor) -> Tensor:
    """`[B]` from one or two logits."""
    return two_logits(logits).softmax(1)[:, 1]


def _head(dim: int, config: GATConfig) -> nn.Sequential:
    hidden = [config.fc_dim or dim] * (config.fc_layers - 1)
    parts: list[nn.Module] = []
    for a, b in pairwise([dim, *hidden]):
        parts += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)]
    return nn.Sequential(*parts, nn.Linear([dim, *hidden][-1], config.logits))
