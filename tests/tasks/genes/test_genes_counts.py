"""Parameter counts that a faithful model reproduces (specs/genes.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from graphwright.tasks.genes.build import build_model
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.aggregators import Aggregation
from graphwright.tasks.genes.models.pair_mixer import PairMixer

STATE = {
    "genes": ["A", "B", "C", "D", "E"],
    "networks": [
        {"name": "physical", "edges": 4, "symmetric": True},
        {"name": "regulatory", "edges": 6, "symmetric": False},
    ],
}
REFERENCE = GeneInteractionConfig(
    hidden_dim=8,
    num_layers=1,
    aggregator="sum",
    aggregation_norm=False,
    set_heads=2,
    set_layers=1,
    combination="gating",
)


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(weight.numel() for weight in module.parameters())


def test_gating_and_sum_part_by_part() -> None:
    model = build_model(REFERENCE, STATE)
    parts = {
        "embedding": count(model.inputs.embedding),
        "preprocessor": count(model.inputs.preprocessor),
        "convolutions": count(model.encoder),
        "local": count(model.local_head),
        "global aggregator": count(model.pool),
        "global predictor": count(model.global_head),
        "gate": count(model.gate),
    }
    assert parts == {
        "embedding": 40,
        "preprocessor": 160,
        "convolutions": 322,
        "local": 370,
        "global aggregator": 113,
        "global predictor": 81,
        "gate": 42,
    }
    assert count(model) == 1128


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"combination": "concat"}, 1086),
        ({"combination": "global"}, 716),
        ({"combination": "local"}, 40 + 160 + 322 + 370),
        ({"aggregator": "mean"}, 1128),
        (
            {"aggregator": "pairwise_interaction", "bottleneck": 4, "aggregation_norm": True},
            1509,
        ),
        ({"aggregator": "cross_attention", "aggregation_norm": True}, 1128 + 304),
        ({"norm": "compat"}, 1128),
    ],
)
def test_variants(changes: dict[str, object], expected: int) -> None:
    assert count(build_model(replace(REFERENCE, **changes), STATE)) == expected


def test_the_ridge_and_recomputation_train_nothing_more() -> None:
    assert count(build_model(replace(REFERENCE, base="ridge", recompute=True), STATE)) == 1128


def test_cross_attention_aggregator_alone() -> None:
    config = replace(REFERENCE, aggregator="cross_attention", aggregation_norm=True)
    assert count(Aggregation.of(config, 2)) == 304


@pytest.mark.parametrize(("inner", "expected"), [(64, 12_416), (32, 6_240)])
def test_the_network_of_one_pair(inner: int, expected: int) -> None:
    mixer = PairMixer(9, 64, inner)
    networks = count(mixer.first) + count(mixer.last)
    assert networks == 45 * expected
    assert count(mixer) == networks + (64 * 32 + 32) + (32 + 1)


def test_no_bottleneck_is_the_full_width() -> None:
    config = GeneInteractionConfig(aggregator="pairwise_interaction", bottleneck=None)
    mixer = Aggregation.of(config, 3).mixer
    assert isinstance(mixer, PairMixer)
    assert count(mixer.first) + count(mixer.last) == 6 * 12_416


def test_given_features_replace_the_embedding() -> None:
    state = {**STATE, "features": ["length", "essential", "gc"]}
    model = build_model(replace(REFERENCE, embedding="given"), state)
    assert model.inputs.features.shape == (5, 3)
    assert count(model) == 1128 - 40 - 8 * 8 + 3 * 8
