"""Presets, overrides and saved files become checked configurations, or clear errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from graphwright.config import io
from graphwright.config.presets import from_yaml, load_config, preset_names, resolve_preset
from graphwright.config.schema import TrainingConfig
from graphwright.errors import ConfigError


def geometry_presets() -> list[str]:
    return [name for name, _ in preset_names("geometry")]


@pytest.mark.parametrize("name", geometry_presets())
def test_every_preset_is_a_fixed_point(name: str) -> None:
    config = resolve_preset(name)
    text = io.to_yaml(config)
    again = from_yaml(text)
    assert again == config
    assert io.to_yaml(again) == text
    assert io.digest(again) == io.digest(config)


def test_overrides_of_every_kind() -> None:
    config: Any = resolve_preset(
        "geometry/tiny",
        [
            "training.epochs=7",
            "training.optimizer.lr=1e-4",
            "training.optimizer.betas=[0.5,0.9]",
            "tracking.wandb_tags=[a,b]",
            "tracking.wandb_name=null",
            "model=gcn",
            "model.hidden_dim=32",
        ],
    )
    assert config.training.epochs == 7
    assert config.training.optimizer.lr == 1e-4
    assert config.training.optimizer.betas == (0.5, 0.9)
    assert config.tracking.wandb_tags == ("a", "b")
    assert (config.model.name, config.model.hidden_dim) == ("gcn", 32)
    assert from_yaml(io.to_yaml(config)) == config


def test_naming_the_presets_own_model_keeps_its_settings() -> None:
    config: Any = resolve_preset("geometry/tiny")
    same: Any = resolve_preset("geometry/tiny", [f"model={config.model.name}"])
    assert same == config


def test_a_swap_keeps_what_describes_the_data() -> None:
    config: Any = resolve_preset("geometry/scans", ["model=egnn"])
    assert (config.model.cutoff, config.model.pool) == (0.5, "mean")
    chosen: Any = resolve_preset("geometry/scans", ["model=egnn", "model.cutoff=2.0"])
    assert chosen.model.cutoff == 2.0


def test_nested_sections_are_swapped_too() -> None:
    config: Any = resolve_preset(
        "geometry/tiny", ["data.source=file", "data.source.path=a.npz", "data.source.target=com"]
    )
    assert (config.data.source.kind, config.data.source.path) == ("file", "a.npz")
    with pytest.raises(ConfigError, match=r"data\.source=fil: choose one of scans, file, did you"):
        resolve_preset("geometry/tiny", ["data.source=fil"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainig.epochs=5", "trainig.epochs: no such key, did you mean training.epochs?"),
        ("model.hiden_dim=5", "model.hiden_dim: no such key, did you mean model.hidden_dim?"),
        ("hidden_dim=5", "did you mean model.hidden_dim?"),
        ("training.epochs=five", "training.epochs='five': input should be a valid integer"),
        ("training.epochs=0", "training.epochs=0: input should be greater than 0"),
        ("training.epochs=1.5", "training.epochs=1.5: input should be a valid integer"),
        ("training.compile=1", "training.compile=1: input should be a valid boolean"),
        ("training.precision=half", "training.precision=half: choose one of 32"),
        ("training.precision=16-mixd", "did you mean 16-mixed?"),
        ("model=pain", "model=pain: choose one of painn, egnn, gcn, tfn, did you mean painn?"),
        ("training.epochs=1,2", "one run takes one value"),
        ("training.epochs", "not an override"),
        ("+training.epoch=3", "training.epoch: no such key, did you mean training.epochs?"),
        ("training=5", "training=5"),
        ("training.optimizer.lr=nan", "finite"),
        ("data.split.val=0.6 data.split.test=0.5", "leaves nothing to train on"),
    ],
)
def test_wrong_overrides_are_explained(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve_preset("geometry/tiny", override.split())
    assert message in str(raised.value)


def test_unknown_preset_and_task_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean qm7"):
        resolve_preset("geometry/qm8")
    with pytest.raises(ConfigError, match="did you mean geometry"):
        resolve_preset("geometri/qm7")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs: 3", "epohcs: 3"), "training.epohcs: no such key, did you mean epochs?"),
        (("task: geometry", "task: geometri"), "did you mean geometry?"),
        (("task: geometry\n", ""), "task: is required and missing"),
        (("schema_version: 1", "schema_version: 99"), "schema version 99"),
        (("name: painn", "name: pain"), "model=pain: choose one of"),
        (("count: 60", "count: many"), "data.source.count='many'"),
        (("seed: 0\n", "seed: [\n"), "not valid YAML"),
    ],
)
def test_wrong_files_are_explained(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = io.to_yaml(resolve_preset("geometry/tiny"))
    assert change[0] in text
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value) or "fix:" in str(raised.value)


def test_file_that_is_no_mapping_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(path)
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_config(path)


def test_saved_file_takes_overrides(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(io.to_yaml(resolve_preset("geometry/tiny")))
    assert load_config(path, ["seed=3"]).seed == 3


def test_hydra_leaves_no_trace() -> None:
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    resolve_preset("geometry/tiny", ["seed=1"])
    assert "graphwright_preset.yaml" not in ConfigStore.instance().repo
    assert not GlobalHydra.instance().is_initialized()


def test_diff_digest_and_flatten() -> None:
    a, b = resolve_preset("geometry/tiny"), resolve_preset("geometry/tiny", ["seed=4"])
    assert io.diff(a, b) == {"seed": (0, 4)}
    assert io.digest(a) != io.digest(b)
    assert io.flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_configurations_are_frozen_and_plain() -> None:
    config = TrainingConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.epochs = 3  # type: ignore[misc]
    with pytest.raises(ConfigError, match="plain values"):
        io.to_dict(dataclasses.replace(config, epochs=object()))  # type: ignore[arg-type]
