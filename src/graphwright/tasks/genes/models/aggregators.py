"""From the embeddings of one gene in every network to one embedding.

All four look at one gene of one cell at a time. They give the combined embedding and, where they
weigh, the weights of their options. Sum and mean take the networks one after the other and never
hold all of them.

Legend: R = rows (a gene in a cell), G = networks, D = features, K = options that are weighed,
H = heads, C = features of a head, D = H C.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from graphwright.errors import ConfigError
from graphwright.nn.recompute import in_blocks
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.norms import make_norm
from graphwright.tasks.genes.models.pair_mixer import PairMixer

__all__ = ["Aggregation", "CrossAttention", "NetworkMean", "NetworkSum", "make_mixer"]

Mixed = tuple[Tensor, Tensor | None]


class NetworkSum(nn.Module):
    """out = sum over the networks."""

    def option_names(self, networks: Sequence[str]) -> tuple[str, ...]:
        """Nothing is weighed."""
        return ()

    def forward(self, outputs: Iterable[Tensor]) -> Mixed:
        """G tensors `[R, D]` to one, and no weights."""
        total: Tensor | None = None
        for out_RD in outputs:
            total = out_RD if total is None else total + out_RD
        assert total is not None
        return total, None


class NetworkMean(nn.Module):
    """out = mean over the networks."""

    def option_names(self, networks: Sequence[str]) -> tuple[str, ...]:
        """Nothing is weighed."""
        return ()

    def forward(self, outputs: Iterable[Tensor]) -> Mixed:
        """G tensors `[R, D]` to one, and no weights."""
        total: Tensor | None = None
        count = 0
        for count, out_RD in enumerate(outputs, 1):  # noqa: B007 (the last count is used)
            total = out_RD if total is None else total + out_RD
        assert total is not None
        return total / count, None


class CrossAttention(nn.Module):
    """out = mean over g of MHA(x)_g, the tokens x_1 … x_G being one gene in all networks.

    Attention is linear in its values: the mean over g of what the networks hear is what the mean of
    their weights hears, so that values and output are made once a row instead of G times.

    Args:
        dim: D.
        heads: H.
        recompute: keep only the input for the backward pass.

    Raises:
        ConfigError: heads that do not divide D.
    """

    def __init__(self, dim: int, heads: int, *, recompute: bool = False) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"{heads} attention heads do not divide {dim} features",
                where="model.aggregation_heads",
                fix=f"use a divisor of {dim}",
            )
        self.heads, self.recompute = heads, recompute
        self.query_key = nn.Linear(dim, 2 * dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def option_names(self, networks: Sequence[str]) -> tuple[str, ...]:
        """The networks."""
        return tuple(networks)

    def forward(self, outputs: Iterable[Tensor]) -> Mixed:
        """G tensors `[R, D]` to one, and `[R, G]`: the mean attention that each network gets."""
        return in_blocks(self._mix, outputs, list(self.parameters()), again=self.recompute)

    def _mix(self, x_GRD: Tensor) -> tuple[Tensor, Tensor]:
        x_RGD = x_GRD.transpose(0, 1)
        split = torch.unflatten(self.query_key(x_RGD), 2, (2, self.heads, -1))
        query_RHGC, key_RHGC = split.permute(2, 0, 3, 1, 4)
        score_RHGG = query_RHGC @ key_RHGC.mT / math.sqrt(query_RHGC.shape[-1])
        weight_RHG = score_RHGG.softmax(3).mean(2)
        value_HCD = self.value.weight.view(self.heads, -1, x_GRD.shape[2])
        heard_RHC = torch.einsum("rhd,hcd->rhc", weight_RHG @ x_RGD, value_HCD)
        # weights sum to 1, so the values' bias is added once
        out_RD: Tensor = self.out(heard_RHC.flatten(1) + self.value.bias)
        return out_RD, weight_RHG.mean(1)


class Aggregation(nn.Module):
    """One of the mixers with the normalisation behind it.

    Args:
        mixer: with `option_names` and a `forward` from G tensors.
        norm: behind it, or None.
    """

    def __init__(self, mixer: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = norm

    @classmethod
    def of(cls, config: GeneInteractionConfig, networks: int) -> Aggregation:
        """As configured, for G networks."""
        dim = config.hidden_dim
        norm = make_norm(config.norm, dim) if config.aggregation_norm else None
        return cls(make_mixer(config, networks), norm)

    def option_names(self, networks: Sequence[str]) -> tuple[str, ...]:
        """What the K weights are weights of, given the names of the networks."""
        names: tuple[str, ...] = self.mixer.option_names(networks)  # type: ignore[operator]
        return names

    def forward(self, outputs: Iterable[Tensor]) -> Mixed:
        """G tensors `[R, D]` to one, and `[R, K]` or None; weights carry no gradient."""
        mixed, weight = self.mixer(outputs)
        out = mixed if self.norm is None else self.norm(mixed)
        return out, None if weight is None else weight.detach()


def make_mixer(config: GeneInteractionConfig, networks: int) -> nn.Module:
    """The aggregator without its normalisation."""
    dim = config.hidden_dim
    if config.aggregator == "sum":
        return NetworkSum()
    if config.aggregator == "mean":
        return NetworkMean()
    if config.aggregator == "cross_attention":
        return CrossAttention(dim, config.aggregation_heads, recompute=config.recompute)
    return PairMixer(networks, dim, config.bottleneck or dim, config.pair_depth)
