"""Presets, run paths, and configurations that make no sense."""

from __future__ import annotations

import dataclasses

import pytest

from graphwright.config import io
from graphwright.config.presets import from_yaml, preset_names, resolve_preset
from graphwright.errors import ConfigError
from graphwright.launch.local import with_reference
from graphwright.tasks.genes.recipes import VARIANTS

PRESETS = [name for name, _ in preset_names("genes")]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_reloads_equal(name: str) -> None:
    config = resolve_preset(name)
    assert from_yaml(io.to_yaml(config)) == config
    assert dict(preset_names("genes"))[name].strip()


def test_the_default_needs_no_files() -> None:
    assert PRESETS[0] == "genes/planted"
    assert resolve_preset("genes") == resolve_preset("genes/planted")
    assert resolve_preset("genes").data.source.kind == "planted"


@pytest.mark.parametrize(
    ("preset", "overrides", "levels"),
    [
        ("genes/tiny", [], "genes/planted/random/gin_sum_gating"),
        ("genes/tiny", ["model.conv=gatv2", "model.combination=local"], "/gatv2_sum_local"),
        ("genes/tiny", ["model.base=ridge"], "/gin_sum_gating_ridge"),
        ("genes/tiny", ["data.split.by=gene_disjoint"], "genes/planted/gene_disjoint/"),
        ("genes/digenic", ["data.source.path=a/b c.v2.tsv.gz"], "genes/b_c/random/"),
        ("genes/trigenic_calls", [], "/pair_disjoint/"),
    ],
)
def test_levels(preset: str, overrides: list[str], levels: str) -> None:
    assert levels in "/".join(resolve_preset(preset, overrides).levels())


@pytest.mark.parametrize(
    ("preset", "overrides", "message"),
    [
        ("genes/tiny", ["data.split.val=0.6", "data.split.test=0.5"], "leaves nothing to train"),
        ("genes/tiny", ["data.split.test=0"], "data.split.test=0"),
        ("genes/tiny", ["model.hidden_dim=15"], "model.set_heads=2"),
        ("genes/tiny", ["model.conv=gatv2", "model.conv_heads=3"], "model.conv_heads=3"),
        (
            "genes/tiny",
            ["model.aggregator=cross_attention", "model.aggregation_heads=3"],
            "model.aggregation_heads=3",
        ),
        ("genes/tiny", ["model.embedding=given"], "no features"),
        ("genes/digenic", ["data.source.columns.label=''"], "data.source.columns.label"),
        ("genes/digenic", ["data.networks.path=''"], "data.networks.path"),
        ("genes/tiny", ["model.agregator=sum"], "did you mean model.aggregator"),
        ("genes/tiny", ["data.split.by=pairs"], "pair_disjoint"),
    ],
)
def test_what_makes_no_sense_is_named(preset: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_preset(preset, overrides)
    assert message in str(caught.value)


def test_heads_that_are_not_used_may_be_anything() -> None:
    config = resolve_preset("genes/tiny", ["model.conv_heads=3", "model.aggregation_heads=3"])
    assert config.problems() == []


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_a_reference_is_another_shape_with_the_same_training(name: str) -> None:
    config = resolve_preset("genes/tiny", ["model.hidden_dim=24"])
    other = with_reference(config, name)
    assert dataclasses.replace(other, model=config.model) == config
    assert other.model.hidden_dim == 24
    for key, value in VARIANTS[name].items():
        assert getattr(other.model, key) == value


def test_an_unknown_reference_is_an_error() -> None:
    with pytest.raises(ConfigError):
        with_reference(resolve_preset("genes/tiny"), "transformer")
