"""Who listens to whom: what a trained model's couplers have learnt.

Legend: E = experts, G = convolutions of a coupler, H = hyperedges.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphwright.nn.expert_combine import StaticWeightsCoupler
from graphwright.nn.expert_graph import ExpertGraphCoupler
from graphwright.nn.hypergraph import HypergraphCoupler
from graphwright.tasks.language.models.model import CoupledLayer, LanguageModel

__all__ = ["analyze_expert_communication", "edge_weight_metrics"]


@torch.no_grad()
def analyze_expert_communication(
    model: LanguageModel, tokens_BL: Tensor | None = None
) -> list[dict[str, Any]]:
    """What the coupler of every layer does, in plain lists.

    Args:
        model: its layers have couplers, or the list is empty.
        tokens_BL: text to look at; gates that depend on the tokens are then averaged over them.

    Returns:
        For each layer `operators` `[G, E, E]` (how much expert i hears of expert j), and, where
        it has them, `adjacency` `[G, E, E]`, `hyperedges` with `weights` `[G, H]`, or `weights`
        `[E]` of static experts.
    """
    seen = _what_couplers_see(model, tokens_BL)
    found = []
    for number, layer in enumerate(_coupled(model)):
        coupler = layer.coupler
        routed = layer.router is not None  # a token's own graph; the whole one is shown
        made = None if routed else seen.get(number)
        entry: dict[str, Any] = {"operators": coupler.operators(made).tolist()}
        if isinstance(coupler, ExpertGraphCoupler):
            entry["adjacency"] = coupler.adjacency().tolist()
        elif isinstance(coupler, HypergraphCoupler):
            entry["hyperedges"] = [list(members) for members in coupler.hyperedges]
            entry["weights"] = coupler.edge_weights().tolist()
        elif isinstance(coupler, StaticWeightsCoupler):
            entry["weights"] = coupler.weights().tolist()
        found.append(entry)
    return found


@torch.no_grad()
def edge_weight_metrics(model: LanguageModel) -> dict[str, Tensor]:
    """Learnt hyperedge weights by name, for their course over the training: the weight of the
    hyperedge of experts 0 and 2 in the first convolution of the first layer is
    `hyperedge_weight/layer0_conv0/0-2`. Empty where nothing of that kind is learnt."""
    found = {}
    for number, layer in enumerate(_coupled(model)):
        coupler = layer.coupler
        if not isinstance(coupler, HypergraphCoupler) or not _learns(coupler):
            continue
        for conv, weights_H in enumerate(coupler.edge_weights()):
            for members, weight in zip(coupler.hyperedges, weights_H, strict=True):
                edge = "-".join(map(str, members))
                found[f"hyperedge_weight/layer{number}_conv{conv}/{edge}"] = weight
    return found


def _learns(coupler: HypergraphCoupler) -> bool:
    return any("hyperedge_weights" in name for name, _ in coupler.named_parameters())


def _coupled(model: LanguageModel) -> list[CoupledLayer]:
    return [layer for layer in model.layers if isinstance(layer, CoupledLayer)]


def _what_couplers_see(model: LanguageModel, tokens_BL: Tensor | None) -> dict[int, Tensor]:
    """Input of every coupler for a text, by layer."""
    seen: dict[int, Tensor] = {}
    if tokens_BL is None:
        return seen
    hooks = [
        layer.experts.register_forward_hook(
            lambda _module, _inputs, made, number=number: seen.update({number: made})
        )
        for number, layer in enumerate(_coupled(model))
    ]
    try:
        model.eval()(tokens_BL)
    finally:
        for hook in hooks:
            hook.remove()
    return seen
