"""Configuration → run → configuration is a fixed point."""

from __future__ import annotations

from pathlib import Path

from contract_case import Case

from graphwright.config import io
from graphwright.config.presets import from_yaml, load_config
from graphwright.launch.execute import run_config
from graphwright.launch.local import create_run


def test_text_and_back(case: Case) -> None:
    text = io.to_yaml(case.config)
    again = from_yaml(text)
    assert again == case.config
    assert io.to_yaml(again) == text
    assert io.digest(again) == io.digest(case.config)


def test_config_to_run_to_config(case: Case, tmp_path: Path) -> None:
    loaded = load_config(case.run.config_path)
    assert loaded == case.config == run_config(case.run)
    again = create_run(loaded, tmp_path)
    assert again.config_path.read_bytes() == case.run.config_path.read_bytes()
    levels = case.run.path.relative_to(case.home / "runs").parent
    assert again.path.relative_to(tmp_path).parent == levels


def test_a_bundle_holds_the_same_configuration(case: Case) -> None:
    assert case.run.read_json("bundle/model.json")["config"] == io.to_dict(case.config)
