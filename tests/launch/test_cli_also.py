"""Several runs as one answer: mean and spread, and what does not go together."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from graphwright.config.presets import resolve_preset
from graphwright.errors import BundleError, DataError, RunError
from graphwright.launch.agreement import check_same_task, combine, distinct_runs
from graphwright.launch.local import train
from graphwright.launch.use import Predictions, predict
from graphwright.runs.folder import RunFolder


@pytest.fixture(scope="module")
def seeds(finished, tiny, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """The run that all tests share, and two more seeds."""
    home = tmp_path_factory.mktemp("seeds")
    more = [
        train(
            resolve_preset("geometry/tiny", [*tiny, f"seed={seed}"]),
            runs_root=home / "runs",
            data_root=finished.data,
        )
        for seed in (1, 2)
    ]
    return [finished.run, *more]


def test_mean_and_spread_of_three_seeds(cli, finished, seeds, structures, tmp_path: Path) -> None:
    path = structures(tmp_path / "mine.npz")
    also = [word for run in seeds[1:] for word in ("--also", run.path)]
    result = cli("predict", seeds[0].path, path, *also, *finished.roots)
    assert result.code == 0, result.err
    rows = list(csv.DictReader(io.StringIO(result.out)))
    alone_RS = np.stack([predict(run.path, path).columns["predicted_x"] for run in seeds])
    assert alone_RS.std(0).min() > 0
    expected = {"predicted_x": alone_RS.mean(0), "predicted_x_sd": alone_RS.std(0, ddof=1)}
    for name, values in expected.items():
        np.testing.assert_allclose([float(row[name]) for row in rows], values, rtol=1e-12)
    assert [row["id"] for row in rows] == ["mine:0", "mine:1", "mine:2"]


def test_one_run_is_as_ever(cli, finished, structures, tmp_path: Path) -> None:
    path = structures(tmp_path / "mine.npz")
    result = cli("predict", finished.run.path, path, *finished.roots)
    assert "_sd" not in result.out


def test_the_same_run_twice_is_refused(cli, finished, structures, tmp_path: Path) -> None:
    path = structures(tmp_path / "mine.npz")
    twice = ("--also", finished.run.path)
    result = cli("predict", finished.run.path, path, *twice, *finished.roots)
    assert result.code == 2
    assert "named twice" in result.err
    with pytest.raises(RunError, match="twice"):
        distinct_runs([Path("a"), Path("b/../a")])


def test_a_run_that_is_not_there(cli, finished, structures, tmp_path: Path) -> None:
    path = structures(tmp_path / "mine.npz")
    result = cli("predict", finished.run.path, path, "--also", "nothing", *finished.roots)
    assert result.code == 2
    assert "nothing" in result.err


def test_another_task_is_refused() -> None:
    check_same_task({Path("a"): "nas", Path("b"): "nas"})
    with pytest.raises(BundleError, match=r"a run of nas, and a is one of genes") as caught:
        check_same_task({Path("a"): "genes", Path("b"): "nas"})
    assert caught.value.where == "b"


def _answer(names: list[str], **columns: list[float]) -> Predictions:
    return Predictions(names, {name: np.array(v) for name, v in columns.items()}, [])


def test_what_needs_the_whole_input_is_made_from_the_means() -> None:
    answers = {
        Path("a"): _answer(["x", "y", "z"], value=[3.0, 2.0, 1.0], rank=[1, 2, 3]),
        Path("b"): _answer(["x", "y", "z"], value=[0.0, 2.0, 3.0], rank=[3, 2, 1]),
    }

    def finish(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        order = np.argsort(np.argsort(-columns["value"]))
        return {**columns, "rank": order + 1}

    together = combine(answers, finish).columns
    assert together["value"].tolist() == [1.5, 2.0, 2.0]
    assert together["rank"].tolist() == [3, 1, 2]
    np.testing.assert_allclose(together["value_sd"], [3 / np.sqrt(2), 0, np.sqrt(2)])


def test_other_columns_and_other_samples_are_refused() -> None:
    one = _answer(["x", "y"], value=[1.0, 2.0])
    with pytest.raises(BundleError, match="different columns: value; and score"):
        combine({Path("a"): one, Path("b"): _answer(["x", "y"], score=[1.0, 2.0])}, dict)
    with pytest.raises(DataError, match="2 samples and 0 rejected rows; here 1 and 0"):
        combine({Path("a"): one, Path("b"): _answer(["x"], value=[1.0])}, dict)
