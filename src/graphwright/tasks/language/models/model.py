"""A causal language model of layers of coupled experts.

Legend: B = rows, L = positions, E = experts, D = width, V = vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import dropout, layer_norm, linear

from graphwright.nn.expert_combine import ExpertCoupler
from graphwright.nn.linear_cross_entropy import linear_cross_entropy
from graphwright.nn.routing import Router
from graphwright.tasks.language.model_configs import DenseConfig, ExpertsConfig
from graphwright.tasks.language.models.couplers import build_coupler
from graphwright.tasks.language.models.experts import LayerCache, StackedExperts
from graphwright.tasks.language.models.matching import dense_ffn_dim
from graphwright.tasks.language.models.positions import Rotation

__all__ = ["CoupledLayer", "DenseLayer", "KVCache", "LanguageModel", "token_losses"]

KVCache = list[LayerCache]  # one for each layer

_INIT_SD = 0.02  # of all weights and embeddings (Radford et al., 2019)


class CoupledLayer(nn.Module):
    """out = x + coupler(stack over e of expert_e(x)).

    Args:
        config: of the model.
    """

    def __init__(self, config: ExpertsConfig) -> None:
        super().__init__()
        self.experts = _experts(config, config.num_experts, config.ffn_dim)
        self.coupler: ExpertCoupler = build_coupler(config)
        self.router = _router(config)

    def forward(
        self, x_BLD: Tensor, rotation: Rotation | None, cache: LayerCache | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next `[B, L, D]`, and the router's load-balance loss (0 without one)."""
        if self.router is None:
            made_BLED = self.experts(x_BLD, rotation, cache)
            return x_BLD + self.coupler(made_BLED), x_BLD.new_zeros(())
        dim = x_BLD.shape[2]
        routing = self.router(layer_norm(x_BLD, (dim,)).view(-1, dim))
        made_BLKD = self.experts(x_BLD, rotation, cache, routing)
        chosen_BLK = routing.experts_TK.view(*x_BLD.shape[:2], -1)
        return x_BLD + self.coupler(made_BLKD, chosen_BLK), routing.balance


class DenseLayer(nn.Module):
    """One ordinary pre-norm block, for the controls without experts."""

    def __init__(self, config: DenseConfig, ffn_dim: int) -> None:
        super().__init__()
        self.experts = _experts(config, 1, ffn_dim)

    def forward(
        self, x_BLD: Tensor, rotation: Rotation | None, cache: LayerCache | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next `[B, L, D]`, and 0."""
        return self.experts(x_BLD, rotation, cache)[:, :, 0], x_BLD.new_zeros(())


class LanguageModel(nn.Module):
    """Embedding, layers, LayerNorm, output layer.

    Args:
        config: sizes, and what joins the experts.
        vocab_size: V.
        length: positions that a training window has; with learned positions the most there are.
    """

    def __init__(self, config: ExpertsConfig, vocab_size: int, length: int) -> None:
        super().__init__()
        self.config, self.length = config, length
        self.embedding = nn.Embedding(vocab_size, config.embed_dim)
        learned = config.position == "learned"
        self.positions = nn.Embedding(length, config.embed_dim) if learned else None
        self.layers = nn.ModuleList(_layers(config, length))
        self.norm = nn.LayerNorm(config.embed_dim)
        self.head = None if config.tie_head else nn.Linear(config.embed_dim, vocab_size, bias=False)
        self._initialise()

    def forward(self, tokens_BL: Tensor, cache: KVCache | None = None) -> tuple[Tensor, Tensor]:
        """Hidden rows before the output layer, and the sum of load-balance losses.

        Args:
            tokens_BL: int64.
            cache: of `new_cache`; the tokens are then those that follow the ones it has seen.

        Returns:
            `[B, L, D]` and a scalar.
        """
        start = cache[0].used if cache else 0
        stop = start + tokens_BL.shape[1]
        x_BLD = self.embedding(tokens_BL)
        if self.positions is not None:
            x_BLD = x_BLD + self.positions.weight[start:stop]
        rotation = None
        if self.positions is None:
            head_dim = self.config.embed_dim // self.config.num_heads
            rotation = Rotation(start, stop, head_dim, x_BLD)
        x_BLD = dropout(x_BLD, self.config.dropout, self.training)
        balance = x_BLD.new_zeros(())
        for number, layer in enumerate(self.layers):
            x_BLD, term = layer(x_BLD, rotation, cache[number] if cache else None)
            balance = balance + term
        return self.norm(x_BLD), balance

    def logits(self, hidden_BLD: Tensor) -> Tensor:
        """Scores of the next token `[B, L, V]`."""
        return linear(hidden_BLD, self.output_weight)

    def losses(self, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of every token but the first, in nats `[B, T-1]`, and the load-balance loss."""
        return token_losses(self, tokens_BT)

    @property
    def output_weight(self) -> Tensor:
        """Weights of the output layer `[V, D]`."""
        return self.embedding.weight if self.head is None else self.head.weight

    def new_cache(self, rows: int, capacity: int) -> KVCache:
        """Room for keys and values of `capacity` positions of `rows` texts."""
        weight = self.embedding.weight
        head_dim = self.config.embed_dim // self.config.num_heads
        experts = 1 if isinstance(self.config, DenseConfig) else self.config.num_experts
        shape = (rows, experts * self.config.num_heads, capacity, head_dim)
        return [LayerCache(weight.new_empty(shape), weight.new_empty(shape)) for _ in self.layers]

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2 and not name.endswith("adjacency_logits"):
                # what is added to the stream is smaller, the more layers add to it
                inner = 2 * len(self.layers) if ("project" in name or "narrow" in name) else 1
                nn.init.normal_(parameter, std=_INIT_SD / inner**0.5)
            elif ".experts." in name:
                nn.init.zeros_(parameter)


def token_losses(model: nn.Module, tokens_BT: Tensor) -> tuple[Tensor, Tensor]:
    """`LanguageModel.losses` of a model that may be compiled (a wrapper's forward is compiled, its
    other methods are not)."""
    hidden_BLD, balance = model(tokens_BT[:, :-1])
    target_BL = tokens_BT[:, 1:]
    weight_VD: Tensor = model.output_weight  # type: ignore[assignment]
    losses_R = linear_cross_entropy(hidden_BLD.flatten(0, 1), weight_VD, target_BL.flatten())
    return losses_R.view(target_BL.shape), balance


def _experts(config: ExpertsConfig, number: int, ffn_dim: int) -> StackedExperts:
    return StackedExperts(number, config.embed_dim, config.num_heads, ffn_dim, config.dropout)


def _router(config: ExpertsConfig) -> Router | None:
    if not config.top_k:
        return None
    return Router(config.embed_dim, config.num_experts, config.top_k, renormalize=config.top_k > 1)


def _layers(config: ExpertsConfig, length: int) -> list[nn.Module]:
    if not isinstance(config, DenseConfig):
        return [CoupledLayer(config) for _ in range(config.num_layers)]
    ffn_dim = dense_ffn_dim(config, length, CoupledLayer, DenseLayer)
    return [DenseLayer(config, ffn_dim) for _ in range(config.num_layers)]
