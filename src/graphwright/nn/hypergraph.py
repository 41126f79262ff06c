"""Convolution over a small static hypergraph that stands at every token.

Feng et al., "Hypergraph Neural Networks", AAAI 2019, https://arxiv.org/abs/1809.09401 and Bai et
al., "Hypergraph Convolution and Hypergraph Attention", https://arxiv.org/abs/1901.08150 (eq. 9):

    X' = P X Θ + b,   P = D⁻¹ H W B⁻¹ Hᵀ   (`paper`)

with the incidence H, hyperedge weights W = diag(w), sizes B = diag(Hᵀ 1) and degrees D =
diag(H w); the inverse of a zero is zero. PyTorch Geometric's `HypergraphConv` (2.8) has the weights
in D only: P = D⁻¹ H B⁻¹ Hᵀ (`pyg`). As the hypergraph is static, P is one E x E matrix and a
convolution is one batched product and one linear map, whatever the number of hyperedges.

Legend: T = tokens, E = experts (nodes), H = hyperedges, D = features, G = convolutions,
K = experts that a token was routed to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from graphwright.errors import ConfigError, nearest
from graphwright.nn.expert_combine import ExpertCoupler
from graphwright.nn.expert_exchange import exchange, mix_experts
from graphwright.nn.hyperedges import incidence_matrix, make_hyperedges

__all__ = ["Convention", "Form", "HypergraphConv", "HypergraphCoupler", "propagation"]

Convention = Literal["paper", "pyg"]
Form = Literal["between", "every", "linear"]

_LEAST = 1e-6  # of a learnt weight: softplus alone underflows to 0, and a degree with it
_RAW_ONE = math.log(math.expm1(1 - _LEAST))  # softplus of it, plus _LEAST, is 1


def propagation(incidence_EH: Tensor, weight_H: Tensor, convention: Convention) -> Tensor:
    """P `[…, E, E]` of the module's docstring, differentiable in the weights.

    Args:
        incidence_EH: `[…, E, H]` of ones and zeros.
        weight_H: w, positive.
        convention: where w enters.
    """
    size_H, degree_E = incidence_EH.sum(-2), incidence_EH @ weight_H
    share_H = _inverse(size_H) * weight_H if convention == "paper" else _inverse(size_H)
    sent_EE = (incidence_EH * share_H[..., None, :]) @ incidence_EH.mT
    return _inverse(degree_E)[..., None] * sent_EE


def _inverse(x: Tensor) -> Tensor:
    """1 / x, and 0 with a zero gradient for 0."""
    return torch.where(x == 0, 0, torch.where(x == 0, 1, x).reciprocal())


class HypergraphConv(nn.Module):
    """X' = P X Θ + b at every token; starts like PyG's (Glorot weights, b = 0).

    Args:
        num_experts: E.
        dim: D.
        hyperedges: each with its members, as `make_hyperedges` gives them.
        convention: `paper` or `pyg`.
        learnable: whether the hyperedges have weights to be learnt; otherwise all are 1.

    Attributes:
        linear: Θ and b.
        hyperedge_weights: `[H]` if learnable, w before the softplus that keeps it positive (its
            start is w = 1); otherwise None.
        incidence: H `[E, H]`, constant.
    """

    def __init__(
        self,
        num_experts: int,
        dim: int,
        hyperedges: Sequence[Sequence[int]],
        *,
        convention: Convention = "paper",
        learnable: bool = True,
    ) -> None:
        super().__init__()
        self.convention = convention
        self.linear = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        members = incidence_matrix(hyperedges, num_experts)
        self.register_buffer("incidence", members, persistent=False)
        self.incidence: Tensor
        raw = nn.Parameter(torch.full((len(hyperedges),), _RAW_ONE)) if learnable else None
        self.register_parameter("hyperedge_weights", raw)
        self.hyperedge_weights: nn.Parameter | None

    def weights(self) -> Tensor:
        """w `[H]`, positive."""
        if self.hyperedge_weights is None:
            return self.incidence.new_ones(self.incidence.shape[1])
        return softplus(self.hyperedge_weights) + _LEAST

    def operator(self, experts_TK: Tensor | None = None) -> Tensor:
        """P `[E, E]`; with routing `[T, K, K]`, each token's own.

        Routed, a hyperedge is those of its members that the token has, and counts where they are
        two or more: all pairs of E experts become all pairs of the K.

        Args:
            experts_TK: which experts a token has.
        """
        members = self.incidence
        if experts_TK is not None:
            members = members[experts_TK]
            members = members * (members.sum(1, keepdim=True) >= 2)
        # under autocast, degrees of many hyperedges would be rounded
        with torch.autocast(members.device.type, enabled=False):
            return propagation(members, self.weights(), self.convention)

    def forward(self, x_TED: Tensor) -> Tensor:
        """`[T, E, D]` to `[T, E, D]`."""
        out: Tensor = self.linear(mix_experts(self.operator(), x_TED))
        return out

    def extra_repr(self) -> str:
        """The sizes, for `print(model)`."""
        experts, hyperedges = self.incidence.shape
        return f"experts={experts}, hyperedges={hyperedges}, convention={self.convention}"


class HypergraphCoupler(ExpertCoupler):
    """G hypergraph convolutions, mean over the experts, readout (the HGNN coupler).

    The mean of a convolution without a nonlinearity behind it is a weighted mean of what goes in,
    so the last convolution of the form `between` and all of `linear` work on one row a token
    instead of E, with the same result.

    Args:
        num_experts: E.
        dim: D.
        hyperedges: a strategy's name or a list, see `make_hyperedges`. Where it gives none, there
            are no convolutions: the readout of the mean.
        num_convs: G.
        convention: `paper` or `pyg`.
        learnable: whether each convolution learns the weights of its hyperedges.
        form: `between`: x ← x + GELU(conv(x)), the last x + conv(x); with one convolution there is
            thus no nonlinearity before the mean. `every`: the GELU behind the last, too. `linear`:
            x ← conv(x), which comes down to E scalars and one linear map (see `collapsed`).

    Attributes:
        convs: the G convolutions, or none.

    Raises:
        ConfigError: an unknown convention or form, G < 1, or bad hyperedges.
    """

    def __init__(
        self,
        num_experts: int,
        dim: int,
        hyperedges: str | Sequence[Sequence[int]] = "all_pairs",
        *,
        num_convs: int = 2,
        convention: Convention = "paper",
        learnable: bool = True,
        form: Form = "between",
    ) -> None:
        super().__init__(num_experts, dim)
        _check(convention, get_args(Convention), "hypergraph convention")
        _check(form, get_args(Form), "form of hypergraph convolutions")
        if num_convs < 1:
            raise ConfigError(f"{num_convs} convolutions", fix="at least 1, or the mean coupler")
        self.form, self.hyperedges = form, make_hyperedges(hyperedges, num_experts)
        made = (
            HypergraphConv(
                num_experts, dim, self.hyperedges, convention=convention, learnable=learnable
            )
            for _ in range(num_convs if self.hyperedges else 0)
        )
        self.convs = nn.ModuleList(made)

    def pool(self, x_TED: Tensor, experts_TK: Tensor | None) -> Tensor:
        """The convolutions and the mean over the experts: `[T, D]`."""
        convs = self._convs()
        mixes = [conv.operator(experts_TK) for conv in convs]
        if not convs:
            return x_TED.mean(1)
        if self.form == "linear":
            return _linear_mean(x_TED, convs, mixes)
        last = len(convs) if self.form == "every" else len(convs) - 1
        for conv, mix in zip(convs[:last], mixes[:last], strict=True):
            x_TED = exchange(x_TED, mix, conv.linear.weight, conv.linear.bias)
        return x_TED.mean(1) if self.form == "every" else _last_mean(x_TED, convs[-1], mixes[-1])

    @torch.no_grad()
    def operators(self, x_BLED: Tensor | None = None) -> Tensor:
        """P of each convolution, `[G, E, E]`, or `[0, E, E]` without hyperedges."""
        none = next(self.parameters()).new_empty(0, self.num_experts, self.num_experts)
        return torch.stack([conv.operator() for conv in self._convs()]) if self.convs else none

    @torch.no_grad()
    def edge_weights(self) -> Tensor:
        """w of each convolution, `[G, H]`, in the order of `hyperedges`."""
        none = next(self.parameters()).new_empty(0, 0)
        return torch.stack([conv.weights() for conv in self._convs()]) if self.convs else none

    @torch.no_grad()
    def collapsed(self) -> Tensor:
        """c `[E]`: the form `linear` is the readout of an affine map of sum_e c_e x_e.

        Raises:
            ValueError: the form is another one, or there are no hyperedges.
        """
        if self.form != "linear" or not self.convs:
            raise ValueError("only the linear form with hyperedges comes down to E scalars")
        return _collapse([conv.operator() for conv in self._convs()])[0]

    def _convs(self) -> list[HypergraphConv]:
        return [conv for conv in self.convs if isinstance(conv, HypergraphConv)]


def _last_mean(x_TED: Tensor, conv: HypergraphConv, mix: Tensor) -> Tensor:
    """Mean over the experts of x + P x Θ + b, as two weighted means of x."""
    heard = mix.mean(-2)
    rows = torch.stack([torch.full_like(heard, 1 / x_TED.shape[1]), heard], -2)
    mean_TD, heard_TD = mix_experts(rows, x_TED).unbind(1)
    return mean_TD + linear(heard_TD, conv.linear.weight, conv.linear.bias)


def _linear_mean(x_TED: Tensor, convs: list[HypergraphConv], mixes: list[Tensor]) -> Tensor:
    """Mean over the experts of G convolutions in a row, as one weighted mean of x."""
    scalars, sums = _collapse(mixes)
    out_TD = mix_experts(scalars[..., None, :], x_TED)[:, 0]
    for conv, total in zip(convs, sums, strict=True):
        out_TD = linear(out_TD, conv.linear.weight) + total[..., None] * conv.linear.bias
    return out_TD


def _collapse(mixes: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Mean of P_G … P_1 over its rows `[…, E]`, and how often each convolution's bias counts."""
    first = mixes[0]
    row = first.new_full(first.shape[:-1], 1 / first.shape[-1])[..., None, :]
    sums = []
    for mix in reversed(mixes):
        sums.append(row.sum((-2, -1)))
        row = row @ mix
    return row[..., 0, :], sums[::-1]


def _check(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        fix = f"one of {', '.join(known)}"
        raise ConfigError(f"{value}: no such {what}{nearest(value, known)}", fix=fix)
