"""`graphwright language …` and the data commands, on one run that was trained for a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from graphwright.cli import app
from graphwright.config.presets import resolve_preset
from graphwright.launch.local import train
from graphwright.runs.folder import RunFolder

SMALL = ("data.source.max_bytes=20000", "training.epochs=1", "tracking.mlflow=off")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def run(home: Path) -> RunFolder:
    config = resolve_preset("language/tiny", [*SMALL, "training.threads=1"])
    return train(config, runs_root=home / "runs", data_root=home / "data")


def call(*words: Any, **more: Any) -> Result:
    result = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False, **more)
    assert result.exit_code == 0, result.output
    return result


def test_a_text_goes_on_and_the_cache_changes_nothing(run: RunFolder) -> None:
    command = ("language", "generate", run.path, "--tokens", 80)
    text = call(*command, "--prompt", "The ").stdout_bytes
    assert text.startswith(b"The ")
    assert len(text) == len(b"The ") + 80 + 1  # bytes are the tokens
    assert text == call(*command, "--prompt", "The ").stdout_bytes
    assert text == call(*command, "--prompt", "The ", "--no-cache").stdout_bytes
    assert text == call(*command, "--prompt", "-", input="The ").stdout_bytes
    assert text != call(*command, "--prompt", "The ", "--seed", 1).stdout_bytes
    greedy = ("--temperature", 0, "--seed")
    assert call(*command, *greedy, 1).stdout_bytes == call(*command, *greedy, 2).stdout_bytes


def test_experts_are_told_as_matrices(run: RunFolder, tmp_path: Path) -> None:
    (layer,) = json.loads(call("language", "experts", run.path).stdout)
    assert len(layer["operators"]) == 2
    assert [len(row) for row in layer["operators"][0]] == [4, 4, 4, 4]
    assert len(layer["hyperedges"]) == len(layer["weights"][0]) == 6
    text = tmp_path / "text.txt"
    text.write_text("Return the sum.\n")
    averaged = json.loads(call("language", "experts", run.path, "--text", text).stdout)
    assert averaged == [layer]  # a static hypergraph does not look at the text


def test_a_text_is_scored(run: RunFolder, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Return the sum.\n\nReturn it.\n")
    lines = call("predict", run.path, text).stdout.splitlines()
    assert lines[0] == "id,nats,tokens,bytes,bits_per_byte"
    assert [line.split(",")[0] for line in lines[1:]] == ["line 1", "line 2", "line 3"]


def test_other_runs_and_texts_are_refused(run: RunFolder, home: Path, tmp_path: Path) -> None:
    config = resolve_preset(
        "geometry/tiny", ["data.source.count=20", "training.epochs=1", "tracking.mlflow=off"]
    )
    other = train(config, runs_root=home / "runs", data_root=home / "data")
    for command in ("generate", "experts"):
        result = CliRunner().invoke(app, ["language", command, str(other.path)])
        assert "geometry writes no text" in str(result.exception)
    missing = str(tmp_path / "no.txt")
    result = CliRunner().invoke(app, ["language", "experts", str(run.path), "--text", missing])
    assert "cannot be read" in str(result.exception)


def test_the_store_can_be_listed_and_looked_into(run: RunFolder, home: Path) -> None:
    roots = ("--data-root", home / "data")
    stores = [
        line for line in call("data", "list", *roots).stdout.splitlines() if "language" in line
    ]
    assert len(stores) == 1
    shown = call("data", "inspect", stores[0].split()[0]).stdout
    assert "bytes, 257 ids" in shown
    assert '"train": {"bytes":' in shown
    prepared = call("data", "prepare", "language/tiny", SMALL[0], *roots).stdout
    digests = [t.split()[1] for t in (shown + prepared).splitlines() if t.startswith("digest")]
    assert len(digests) == 2
    assert digests[0] == digests[1]
