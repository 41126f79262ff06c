"""Mirrors from end to end, and trackers that are not there."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from graphwright.config import io


def test_mlflow_has_what_the_run_folder_has(cli, place, tiny) -> None:
    overrides = [text for text in tiny if not text.startswith("tracking.")]
    command = ("train", "geometry/tiny", *overrides, "tracking.mlflow=on", *place.roots)
    result = cli(*command)
    assert result.code == 0, result.err
    (run,) = place.run_folders()
    mirror = json.loads((run / "mirrors" / "mlflow.json").read_text())
    assert mirror
    with closing(sqlite3.connect(place.runs / "mlflow.db")) as database:
        ((status,),) = database.execute("SELECT status FROM runs").fetchall()
        names = {row[0] for row in database.execute("SELECT DISTINCT key FROM metrics")}
        params = dict(database.execute("SELECT key, value FROM params").fetchall())
    assert status == "FINISHED"
    expected = {"train/loss", "val/loss", "train/lr", "train/grad_norm", "test/mae"}
    assert expected <= names
    assert params["training.epochs"] == "2"
    assert params["model.name"] == "painn"
    assert len(params) >= len(io.flatten({"a": {"b": 1}}))


def test_asked_for_and_not_installed(cli, place, tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphwright.runs import mirror

    monkeypatch.setattr(mirror, "find_spec", lambda name: None)
    for override, package in (
        ("tracking.mlflow=on", "mlflow"),
        ("tracking.wandb=offline", "wandb"),
        ("tracking.tensorboard=true", "tensorboard"),
    ):
        result = cli("train", "geometry/tiny", *tiny, override, *place.roots)
        assert result.code == 2
        assert f"pip install 'graphwright[{package}]'" in result.err
        assert place.run_folders() == []
