"""`graphwright predict`, `genes rank` and `genes networks` on a trained run."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from graphwright.cli import main
from graphwright.config.presets import resolve_preset
from graphwright.launch.local import train
from graphwright.launch.use import predict
from graphwright.runs.folder import RunFolder

TINY = (
    "tracking.mlflow=off",
    "training.threads=1",
    "training.epochs=1",
    "data.source.sets=120",
    "model.hidden_dim=8",
)


@dataclass(frozen=True)
class Place:
    """Where two runs with other seeds are, and how to call a command."""

    home: Path
    runs: list[RunFolder]

    @property
    def roots(self) -> tuple[str, ...]:
        return ("--runs-root", str(self.home / "runs"), "--data-root", str(self.home / "data"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    home = tmp_path_factory.mktemp("genes")
    roots = {"runs_root": home / "runs", "data_root": home / "data"}
    overrides = [[*TINY, "seed=0"], [*TINY, "seed=1", "model.aggregator=cross_attention"]]
    runs = [train(resolve_preset("genes/tiny", each), **roots) for each in overrides]
    return Place(home, runs)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: object) -> tuple[int, str, str]:
        code: object = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return call


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    path = tmp_path / "sets.tsv"
    path.write_text("gene1\tgene2\tgene3\nG0001\tG0002\t\nG0003\tG0004\tG0050\nG0001\tGG0002\t\n")
    return path


def test_predict(cli, place: Place, sets: Path) -> None:
    code, out, err = cli("predict", place.runs[0].path, sets, *place.roots)
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["id"] for row in rows] == ["G0001+G0002", "G0003+G0004+G0050"]
    assert list(rows[0])[1:3] == ["interaction", "effect_redundancy"]
    assert "rejected line 4: unknown gene 'GG0002', nearest: G0002" in err
    code, quick, _ = cli("predict", place.runs[0].path, sets, "--no-explain", *place.roots)
    assert code == 0
    answers = list(csv.DictReader(io.StringIO(quick)))
    assert [list(row) for row in answers] == [["id", "interaction"]] * 2
    assert [row["interaction"] for row in answers] == [row["interaction"] for row in rows]


def test_predict_with_two_seeds(cli, place: Place, sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "answers.csv"
    one, two = (run.path for run in place.runs)
    code, _, err = cli("predict", one, sets, "--also", two, "-o", out, *place.roots)
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    alone = [predict(run, sets, explain=False).columns["interaction"] for run in (one, two)]
    mean, sd = np.mean(alone, axis=0), np.std(alone, axis=0, ddof=1)
    np.testing.assert_allclose([float(row["interaction"]) for row in rows], mean)
    np.testing.assert_allclose([float(row["interaction_sd"]) for row in rows], sd)
    text = (tmp_path / "answers.csv.rejected.csv").read_text()
    rejected = list(csv.DictReader(io.StringIO(text)))
    assert [row["where"] for row in rejected] == ["line 4"]


def test_rank_is_what_predict_says(cli, place: Place, tmp_path: Path) -> None:
    run = place.runs[0].path
    command = ("genes", "rank", run, "--genes", "G0001", "G0002", "--against", "all")
    code, out, err = cli(*command, "--top", 5, "--format", "tsv", *place.roots)
    assert code == 0, err
    assert "78 sets with G0001 and G0002 in" in err
    rows = list(csv.DictReader(io.StringIO(out), delimiter="\t"))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    again = predict(run, [["G0001", "G0002", row["gene"]] for row in rows], explain=False)
    np.testing.assert_allclose(
        [float(row["interaction"]) for row in rows], again.columns["interaction"], atol=1e-5
    )


def test_rank_to_json_with_two_seeds(cli, place: Place, tmp_path: Path) -> None:
    out = tmp_path / "ranked.json"
    one, two = (run.path for run in place.runs)
    command = ("genes", "rank", one, "--genes", "G0001", "--also", two, "--against", "G0005,G1x")
    code, shown, err = cli(*command, "--format", "json", "-o", out, *place.roots)
    assert code == 0, err
    assert shown == ""
    found = json.loads(out.read_text())
    assert [row["gene"] for row in found["ranking"]] == ["G0005"]
    assert found["ranking"][0]["sd"] > 0
    assert found["rejected"][0]["name"] == "G1x"
    assert "rejected G1x" in err


def test_an_unknown_gene_is_a_users_mistake(cli, place: Place) -> None:
    code, _, err = cli("genes", "rank", place.runs[0].path, "--genes", "G00001", *place.roots)
    assert code == 2
    assert "unknown gene 'G00001', nearest: G0000, G0001" in err


def test_networks(cli, place: Place, sets: Path) -> None:
    code, out, err = cli("genes", "networks", place.runs[1].path, sets, *place.roots)
    assert code == 0, err
    assert out.splitlines()[0].split() == ["network", "mean", "|effect|", "mean", "effect"]
    assert "mean weights of layer 1" in out
    assert "rejected line 4" in err
    code, out, _ = cli(
        "genes", "networks", place.runs[1].path, sets, "--format", "json", *place.roots
    )
    found = json.loads(out)
    whole = predict(place.runs[1].path, sets).columns
    for place_, one in enumerate(found["sets"]):
        for name, effect in one["effects"].items():
            assert effect == pytest.approx(whole[f"effect_{name}"][place_], abs=1e-6)
        for layer in one["layer_weights"]:
            assert sum(layer.values()) == pytest.approx(1, abs=1e-5)
    assert len(found["sets"]) == 2


def test_networks_of_a_model_that_does_not_weigh(cli, place: Place, sets: Path) -> None:
    command = ("genes", "networks", place.runs[0].path, sets)
    code, out, _ = cli(*command, *place.roots)
    assert code == 0
    assert "mean weights" not in out
    code, table, _ = cli(*command, "--format", "tsv", *place.roots)
    head, *lines = [line.split("\t") for line in table.splitlines()]
    assert head[:3] == ["set", "interaction", "redundancy"]
    assert len(lines) == 2


def test_another_tasks_run_is_refused(cli, place: Place, sets: Path, tmp_path: Path) -> None:
    overrides = ["training.epochs=1", "data.source.count=20", "tracking.mlflow=off"]
    config = resolve_preset("geometry/tiny", overrides)
    other = train(config, runs_root=tmp_path / "runs", data_root=tmp_path / "data")
    code, _, err = cli("genes", "networks", other.path, sets, *place.roots)
    assert code == 2
    assert "a run of geometry, not of genes" in err
    code, _, err = cli("predict", place.runs[0].path, sets, "--also", other.path, *place.roots)
    assert code == 2
    assert "this is a run of geometry" in err


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from graphwright.cli import main\n"
        "main(['genes', sys.argv[1], '--help'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    for command in ("rank", "networks"):
        done = subprocess.run(
            [sys.executable, "-c", code, command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "graphwright genes" in done.stdout
