"""The local head: how far the company of a gene moves it from where it stands alone.

Zhang, Zou & Ma, "Hyper-SAGNN", ICLR 2020, https://arxiv.org/abs/1911.02613, as in DANGO
(https://www.biorxiv.org/content/10.1101/2020.11.26.400739); ReZero: Bachlechner et al., UAI 2021,
https://arxiv.org/abs/2003.04887.

Legend: B = gene sets, P = deleted genes, S = largest set, H = heads, C = features of a head,
D = H C.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphwright.errors import ConfigError
from graphwright.tasks.genes.models.gene_sets import PaddedSets

__all__ = ["SetAttentionHead", "SetAttentionLayer"]

_FIRST_BETA = 0.01


class SetAttentionLayer(nn.Module):
    """out_i = x_i + β (W sum_{j != i} α_ij V x_j + w); α_i = softmax over j != i of q_i · k_j / √C.

    A gene without company has nothing to attend to and stays as it is: out = x.

    Args:
        dim: D.
        heads: H.

    Raises:
        ConfigError: heads that do not divide D.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"{heads} attention heads do not divide {dim} features",
                where="model.set_heads",
                fix=f"use a divisor of {dim}",
            )
        self.heads = heads
        self.projections = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.beta = nn.Parameter(torch.tensor(_FIRST_BETA))

    def forward(self, x_BSD: Tensor, present_BS: Tensor) -> Tensor:
        """`[B, S, D]`; slots that are not present are never attended to."""
        split = self.projections(x_BSD).unflatten(2, (3, self.heads, -1))
        query_BHSC, key_BHSC, value_BHSC = split.permute(2, 0, 3, 1, 4)
        score_BHSS = query_BHSC @ key_BHSC.mT / math.sqrt(query_BHSC.shape[-1])
        itself_SS = torch.eye(x_BSD.shape[1], dtype=torch.bool, device=x_BSD.device)
        company_BSS = present_BS[:, None, :] & ~itself_SS
        # not -inf: a gene without company would divide zero by zero
        hidden_BHSS = score_BHSS.masked_fill(
            ~company_BSS[:, None], torch.finfo(score_BHSS.dtype).min
        )
        weight_BHSS = hidden_BHSS.softmax(3) * company_BSS[:, None]
        heard_BSD = self.out((weight_BHSS @ value_BHSC).transpose(1, 2).flatten(2))
        return torch.where(company_BSS.any(2, keepdim=True), x_BSD + self.beta * heard_BSD, x_BSD)


class SetAttentionHead(nn.Module):
    """score = mean over the set of w · (dynamic - static)² + b; any size >= 1.

    static = tanh(W x + b) knows one gene, dynamic is it after L attention layers between the genes
    of the set. The order of the genes has no effect.

    Args:
        dim: D.
        heads: of each layer.
        layers: L.
    """

    def __init__(self, dim: int, heads: int, layers: int) -> None:
        super().__init__()
        self.static = nn.Linear(dim, dim)
        self.layers = nn.ModuleList(SetAttentionLayer(dim, heads) for _ in range(layers))
        self.score = nn.Linear(dim, 1)

    def forward(self, gene_PD: Tensor, sets: PaddedSets) -> Tensor:
        """Interaction `[B, 1]` from the wild-type embeddings of the deleted genes."""
        static_PD = self.static(gene_PD).tanh()
        dynamic_BSD = sets.pad(gene_PD)
        for layer in self.layers:
            dynamic_BSD = layer(dynamic_BSD, sets.present_BS)
        moved_BSD = (dynamic_BSD - sets.pad(static_PD)).square()
        return sets.mean(self.score(moved_BSD).squeeze(2))[:, None]
