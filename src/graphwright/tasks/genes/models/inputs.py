"""What every gene starts from: a learned embedding or given features, and the preprocessor.

Legend: N = genes, F = given features, D = features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphwright.errors import ConfigError
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.norms import make_norm

__all__ = ["GeneInputs"]

_EPS = 1e-5  # of a feature that all genes share


class GeneInputs(nn.Module):
    """Embedding or features, then twice [linear, norm, relu, dropout]; standardised if `signed`.

    The linear maps have no bias: the normalisation brings its own.

    Args:
        config: width, norm, dropout, and whether features are given.
        num_genes: N.
        num_features: F; 0 where the data bring none.

    Attributes:
        features: buffer `[N, F]`, zero until the data fill it, where they are given.

    Raises:
        ConfigError: features are wanted and there are none.
    """

    def __init__(self, config: GeneInteractionConfig, num_genes: int, num_features: int) -> None:
        super().__init__()
        dim, given = config.hidden_dim, config.embedding == "given"
        if given and not num_features:
            raise ConfigError(
                "model.embedding=given, but the data bring no features of genes",
                where="model.embedding",
                fix="use model.embedding=learned",
            )
        self.signed = config.signed
        self.embedding = None if given else nn.Embedding(num_genes, dim)
        if given:
            self.register_buffer("features", torch.zeros(num_genes, num_features))
        self.features: Tensor
        self.preprocessor = nn.Sequential(
            *_block(num_features if given else dim, config), *_block(dim, config)
        )

    def forward(self) -> Tensor:
        """`[N, D]` of the wild type."""
        start_NF = self.features if self.embedding is None else self.embedding.weight
        x_ND: Tensor = self.preprocessor(start_NF)
        x_ND = x_ND.to(start_NF.dtype)  # of full precision under autocast as well
        if not self.signed:
            return x_ND
        # over all genes of the wild type, which every batch has: not over a batch
        spread_D, mean_D = torch.std_mean(x_ND, dim=0, correction=0)
        return (x_ND - mean_D) / (spread_D + _EPS)


def _block(in_dim: int, config: GeneInteractionConfig) -> list[nn.Module]:
    dim = config.hidden_dim
    linear = nn.Linear(in_dim, dim, bias=False)
    return [linear, make_norm(config.norm, dim), nn.ReLU(), nn.Dropout(config.dropout)]
