"""The command line in this process and in others, and one finished tiny run to work with."""

from __future__ import annotations

import os
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
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import find_runs

TINY = (
    "tracking.mlflow=off",
    "training.threads=1",
    "training.log_every=1",
    "training.epochs=2",
    "data.source.count=40",
    "model.hidden_dim=8",
)


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A runs root and a data root."""

    home: Path

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def roots(self) -> tuple[str, ...]:
        """The options that name both."""
        return ("--runs-root", str(self.runs), "--data-root", str(self.data))

    def files(self) -> set[Path]:
        """Every file and folder here."""
        return set(self.home.rglob("*"))

    def run_folders(self) -> list[Path]:
        return [found.path for found in find_runs(self.runs)]


@dataclass(frozen=True)
class Finished(Place):
    """A place with a finished run."""

    run: RunFolder


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`graphwright ARGUMENTS` in this process."""

    def call(*arguments: object) -> Result:
        code: object = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """`graphwright ARGUMENTS` in a process of its own."""

    def call(*arguments: object, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "graphwright", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,  # type: ignore[call-overload]
        )

    return call


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing is here yet."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides for a training of half a second."""
    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A finished run that all tests share; nobody may change it."""
    home = tmp_path_factory.mktemp("finished")
    config = resolve_preset("geometry/tiny", TINY)
    run = train(config, runs_root=home / "runs", data_root=home / "data")
    return Finished(home, run)


@pytest.fixture
def structures() -> Callable[..., Path]:
    """Writes a user's own `.npz` of three clouds of points."""

    def write(path: Path, **arrays: np.ndarray) -> Path:
        pos = np.random.default_rng(3).normal(size=(60, 3))
        given = {"pos": pos, "offsets": np.array([0, 15, 40, 60]), **arrays}
        np.savez(path, **given)
        return path

    return write
