"""Help, lists and configurations answer at once, without torch."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from graphwright.config.presets import load_config, resolve_preset

_COMMANDS = (
    ["--help"],
    ["train", "--help"],
    ["predict", "--help"],
    ["data", "prepare", "--help"],
    ["list"],
)


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
def test_torch_is_not_imported(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from graphwright.cli import main\n"
        "main(sys.argv[1:])\n"
        "heavy = {'torch', 'lightning', 'matplotlib', 'scipy', 'mlflow'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("arguments", _COMMANDS[:2], ids=" ".join)
def test_help_takes_less_than_300_ms(arguments: list[str]) -> None:
    """Processor time, the least of several: help waits for nothing, and others may be busy."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "graphwright", *arguments]
        subprocess.run(command, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.3


def test_list(cli) -> None:
    result = cli("list")
    names = [line.split()[0] for line in result.out.splitlines()]
    assert result.code == 0
    assert "geometry/scans" in names
    assert cli("list", "geometry").out.splitlines()[0].startswith("geometry/scans")
    assert all(len(line.split(maxsplit=1)) == 2 for line in result.out.splitlines())


def test_show_config_is_what_would_be_saved(cli, tmp_path: Path) -> None:
    result = cli("train", "geometry/tiny", "training.epochs=7", "--show-config")
    assert result.code == 0
    assert yaml.safe_load(result.out)["training"]["epochs"] == 7
    saved = tmp_path / "saved.yaml"
    saved.write_text(result.out)
    assert load_config(saved) == resolve_preset("geometry/tiny", ["training.epochs=7"])
    again = cli("train", "--config", saved, "model.hidden_dim=4", "--show-config")
    assert yaml.safe_load(again.out)["model"]["hidden_dim"] == 4


def test_dry_run_writes_nothing(cli, place) -> None:
    result = cli("train", "geometry/tiny", "model=egnn", "--dry-run", *place.roots)
    assert result.code == 0
    assert str(place.runs / "geometry" / "scans" / "center_of_mass" / "egnn") in result.out
    assert "digest" in result.out
    assert place.files() == set()


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["trian"], ["train", "--fast-dev-run", "0"]],
    ids=" ".join,
)
def test_wrong_usage_exits_2(cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert "Error" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("no_color", [False, True])
def test_colours_on_a_terminal_can_be_switched_off(no_color: bool) -> None:
    reader, writer = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    environment |= {"TERM": "xterm", **({"NO_COLOR": "1"} if no_color else {})}
    command = [sys.executable, "-m", "graphwright", "train", "geometry/none"]
    done = subprocess.run(command, stderr=writer, env=environment, check=False)
    text = os.read(reader, 10_000).decode()
    os.close(reader)
    os.close(writer)
    assert done.returncode == 2
    assert "no such preset" in text
    assert ("\x1b[" in text) is not no_color


def test_a_reader_that_leaves_early_is_no_failure(finished, structures, tmp_path: Path) -> None:
    """As in `graphwright predict … | head -1`."""
    count = 20_000
    pos = np.random.default_rng(0).normal(size=(2 * count, 3))
    path = structures(tmp_path / "many.npz", pos=pos, offsets=np.arange(0, 2 * count + 1, 2))
    command = [sys.executable, "-m", "graphwright", "predict", str(finished.run.path), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("id,")
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert "Traceback" not in error
    assert "Exception" not in error


def test_version(cli) -> None:
    result = cli("--version")
    assert result.code == 0
    assert "0.1.0" in result.out
