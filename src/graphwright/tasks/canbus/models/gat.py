"""A graph attention network that says whether a window holds an attack.

ids' embeddings ‖ features -> num_layers x [GAT or GATv2, elu, dropout] -> jumping knowledge over
all layers (Xu et al., ICML 2018, https://arxiv.org/abs/1806.03536) -> mean (‖ maximum) over the
nodes (‖ the window's statistics) -> 1 to 3 linear layers. After KD-GAT (arXiv 2507.19686), whose
published sizes are `published_gat`.

Nothing that was learnt about known ids holds in a vehicle whose ids are unknown. With statistics
and ids there is therefore a second, small head that reads the relative statistics alone
(`relative.py`), is trained on the same windows, and judges those most of whose ids are unknown.

Legend: B = windows, N = nodes, D = features, L = layers, S = statistics, R = relative ones.
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
from graphwright.tasks.canbus.models.inputs import MOST, UNKNOWN, WindowInputs
from graphwright.tasks.canbus.models.moments import confidence, moments
from graphwright.tasks.canbus.models.relative import RELATIVE, WindowStatistics
from graphwright.tasks.canbus.thresholds import benign_quantile

__all__ = ["GATModel", "GATOutput", "attack_probability", "attention_layer", "two_logits"]

_STRANGE_WIDTH = 32  # of the second head


@dataclass(frozen=True, eq=False)
class GATOutput:
    """Of one batch.

    Attributes:
        logits: `[B, 2]` benign and attack, or `[B, 1]` attack; in use those of the second head
            where most ids are unknown.
        nodes: `[N, D]` after jumping knowledge.
        graphs: `[B, D]` their means.
        strange: `[B, 2]` (or 1) logits of the second head, or None without one.
        unknown: `[B]` share of the nodes whose ids are unknown, or None without a second head.
    """

    logits: Tensor
    nodes: Tensor
    graphs: Tensor
    strange: Tensor | None = None
    unknown: Tensor | None = None


class GATModel(nn.Module):
    """Logits and embeddings of windows.

    Args:
        config: sizes.
        state: see `WindowInputs`.
    """

    unknown_place = 8  # of the share of unknown ids in a summary, where there are statistics

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
        self.stats = WindowStatistics(state) if config.window_stats else None
        width = self.dim * (2 if config.pool == "mean_max" else 1)
        self.head = _head(width + (0 if self.stats is None else self.stats.width), config)
        has_second = self.stats is not None and self.inputs.table is not None
        self.strange_head = _strange_head(config.logits) if has_second else None

    @property
    def summary_dim(self) -> int:
        """Width of `summary`."""
        return 8 + (0 if self.stats is None else 1 + self.stats.width)

    def forward(self, batch: GraphBatch) -> GATOutput:
        """Of every window."""
        graph = self.inputs.graph(batch)
        x_NF = self.inputs.node(batch.nodes["x"])
        index_N = self.inputs.index(batch.nodes["id"])
        return self.classify(
            with_self_loops(graph) if self.config.self_loops else graph,
            x_NF,
            index_N,
            batch.graphs["stats"] if self.stats is not None else None,
        )

    def classify(
        self, graph: Attends, x_NF: Tensor, index_N: Tensor | None, stats_BS: Tensor | None
    ) -> GATOutput:
        """The same from standardised features and vocabulary indices, on edges of any kind.

        Args:
            graph: of all windows.
            x_NF: standardised features.
            index_N: vocabulary indices, or None without ids.
            stats_BS: statistics as they are stored, or None for a model that reads none.
        """
        x, rate = self.inputs.embed(x_NF, index_N), self.config.dropout
        layers = []
        for layer in self.layers:
            x = dropout(elu(layer(x, graph)), rate, self.training)
            layers.append(x)
        nodes_ND = torch.cat(layers, dim=1) if self.jump is None else self.jump(layers)
        graphs_BD = graph.pool_mean(nodes_ND)
        read = [graphs_BD]
        if self.config.pool == "mean_max":
            read.append(graph.pool_max(nodes_ND))
        if self.stats is not None and stats_BS is not None:
            read.append(self.stats(stats_BS))
        logits = self.head(torch.cat(read, dim=1))
        if self.strange_head is None or index_N is None or self.stats is None or stats_BS is None:
            return GATOutput(logits, nodes_ND, graphs_BD)
        strange = self.strange_head(self.stats.relative(stats_BS))
        unknown_B = graph.pool_mean((index_N == UNKNOWN).to(x_NF.dtype)[:, None])[:, 0]
        if not self.training:
            logits = torch.where(unknown_B[:, None] > MOST, strange, logits)
        return GATOutput(logits, nodes_ND, graphs_BD, strange, unknown_B)

    @torch.no_grad()
    def move_threshold(self, benign: Iterable[GraphBatch], rate: float) -> float:
        """Take a quantile of the benign margins off the attack's logit, so that it becomes 0.5.

        The second head is moved by the same windows.

        Args:
            benign: batches of benign windows that training has not seen.
            rate: share of them that may lie above.

        Returns:
            What was taken off; 0 where there is no benign window.
        """
        margins, strange = [], []
        for batch in benign:
            output = self(batch)
            known_B = slice(None) if output.unknown is None else output.unknown <= MOST
            margins.append(_margin(output.logits)[known_B])
            if output.strange is not None:
                strange.append(_margin(output.strange))
        if self.strange_head is not None:
            _take_off(self.strange_head, strange, rate)
        return _take_off(self.head, margins, rate)

    def summary(self, batch: GraphBatch) -> Tensor:
        """`[B, 8]` for fusion, with statistics `[B, 9 + S + R]`.

        Attack probability, margin of the logits, entropy, confidence, moments of the embedding;
        share of unknown ids (0 without ids), standardised statistics.
        """
        output = self(batch)
        p_B = attack_probability(output.logits)
        margin_B = _margin(output.logits).clamp(-20, 20)
        entropy_B = -(torch.xlogy(p_B, p_B) + torch.xlogy(1 - p_B, 1 - p_B))
        scores_B4 = torch.stack([p_B, margin_B, entropy_B, confidence(p_B)], dim=1)
        parts = [scores_B4, moments(output.graphs)]
        if self.stats is not None:
            unknown_B = torch.zeros_like(p_B) if output.unknown is None else output.unknown
            parts += [unknown_B[:, None], self.stats(batch.graphs["stats"])]
        return torch.cat(parts, dim=1)


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


@torch.no_grad()
def _take_off(head: nn.Sequential, margins: list[Tensor], rate: float) -> float:
    """Move a head's last bias by the quantile of some margins, and say by how much."""
    if not sum(map(len, margins)):
        return 0.0
    shift = benign_quantile(torch.cat(margins).double().cpu().numpy(), rate)
    bias: Tensor = head[-1].bias  # type: ignore[assignment]
    bias[-1] -= shift
    return shift


def _strange_head(logits: int) -> nn.Sequential:
    width = _STRANGE_WIDTH
    return nn.Sequential(
        nn.Linear(len(RELATIVE), width), nn.ReLU(), nn.Linear(width, width // 2), nn.ReLU(),
        nn.Linear(width // 2, logits),
    )  # fmt: skip


def _head(dim: int, config: GATConfig) -> nn.Sequential:
    hidden = [config.fc_dim or dim] * (config.fc_layers - 1)
    parts: list[nn.Module] = []
    for a, b in pairwise([dim, *hidden]):
        parts += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)]
    return nn.Sequential(*parts, nn.Linear([dim, *hidden][-1], config.logits))
