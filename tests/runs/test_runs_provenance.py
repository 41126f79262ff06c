"""Provenance: facts of the machine and the commit, without importing anything heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from graphwright.runs.files import read_json, write_json_atomic
from graphwright.runs.provenance import collect


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    facts = collect(["graphwright", "train", "x"], {"data_digest": "abc", "seed": 3})
    assert facts["command"] == ["graphwright", "train", "x"]
    assert datetime.fromisoformat(facts["start"]).tzinfo is not None
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["cores"]["usable"] >= 1
    assert facts["memory_bytes"] > 2**28
    assert list(facts["versions"]) == [
        "graphwright", "torch", "torch-geometric", "lightning", "numpy",
    ]  # fmt: skip
    assert facts["versions"]["numpy"]
    assert facts["git"] is None
    assert (facts["data_digest"], facts["seed"]) == ("abc", 3)
    write_json_atomic(tmp_path / "provenance.json", facts)
    assert read_json(tmp_path / "provenance.json") == json.loads(json.dumps(facts))


def test_packages_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphwright.runs.provenance._PACKAGES", ("no-such-package",))
    assert collect([], {})["versions"] == {"no-such-package": None}


def test_commit_and_dirty_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    assert collect([], {})["git"] is None  # no commit yet
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("x")
    assert collect([], {})["git"] == {"commit": commit, "dirty": False}
    (tmp_path / "a").write_text("2")
    assert collect([], {})["git"] == {"commit": commit, "dirty": True}


def test_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", "")
    assert collect([], {})["git"] is None


def test_the_room_is_light() -> None:
    code = (
        "import sys, graphwright.runs.index, graphwright.runs.provenance, graphwright.runs.mirror,"
        " graphwright.runs.mirrors.follow; graphwright.runs.provenance.collect([], {});"
        "heavy = {'torch', 'numpy', 'mlflow', 'wandb', 'tensorboard', 'pydantic', 'hydra'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
