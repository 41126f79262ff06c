"""A sweep is planned first, repeats nothing, and says what failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphwright.errors import ConfigError, RunError
from graphwright.launch.sweep.folder import runs_of_sweep
from graphwright.launch.sweep.plan import SweepPlan, planned_runs, read_plan
from graphwright.launch.sweep.run import run_sweep

FAST = (
    "tracking.mlflow=off",
    "training.epochs=1",
    "training.threads=1",
    "loading.batch_size=8",
)
PLAN = SweepPlan(
    name="small",
    preset="geometry/tiny",
    overrides=(*FAST, "data.source.count=20"),
    variants={"painn": (), "egnn": ("model=egnn",)},
    seeds=(3,),
)


def test_every_combination_is_planned_once() -> None:
    plan = SweepPlan(
        name="grid",
        preset="geometry/tiny",
        overrides=("training.epochs=1,2", "training.optimizer.lr=range(1,3)"),
        variants={"a": ("model=egnn",), "b": ("model=painn",)},
        seeds=(0, 5),
    )
    runs = planned_runs(plan)
    found = {
        (r.variant, r.config.seed, r.config.training.epochs, r.config.training.optimizer.lr)
        for r in runs
    }
    assert len(runs) == len(found) == 16
    assert [run.config.seed for run in runs[:8]] == [0] * 8
    assert runs[0].overrides == (
        "training.epochs=1", "training.optimizer.lr=1", "model=egnn", "seed=0"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("training.epochs=1,1",), "two runs are the same"),
        (("training.epohs=1,2",), "did you mean training.epochs"),
        (("training.epochs=interval(1,3)",), "an interval has no end of values"),
        (("epochs==[3",), "not an override"),
    ],
)
def test_a_plan_that_makes_no_sense(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned_runs(SweepPlan(name="bad", preset="geometry/tiny", overrides=overrides))


def test_a_plan_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "couplers.yaml"
    path.write_text(
        "preset: geometry/tiny\nseeds: 3\noverrides: [training.epochs=1]\n"
        "variants:\n  one: []\n  two: [model=egnn]\n"
    )
    assert read_plan(path) == SweepPlan(
        name="couplers",
        preset="geometry/tiny",
        overrides=("training.epochs=1",),
        variants={"one": (), "two": ("model=egnn",)},
        seeds=(0, 1, 2),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: [", "cannot be read"),
        ("- a", "a plan is a mapping"),
        ("prest: geometry/tiny", "did you mean preset"),
        ("seeds: 2", "preset: is required"),
        ("preset: geometry/tiny\nseeds: 0", "seeds: how many"),
        ("preset: geometry/tiny\nseeds: [1, 1]", "seeds: how many"),
        ("preset: geometry/tiny\noverrides: training.epochs=1", "overrides: a list"),
        ("preset: geometry/tiny\nvariants: [a]", "variants: a mapping"),
        ("preset: geometry/tiny\nvariants: {a: 3}", "variants.a: a list"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_plan(path)


def test_the_plan_is_there_before_the_first_run_and_nothing_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = {name: tmp_path / name for name in ("sweeps_root", "runs_root", "data_root")}
    with monkeypatch.context() as patched:
        patched.setattr("graphwright.launch.sweep.run.run_all", lambda *a, **k: pytest.fail("ran"))
        with pytest.raises(pytest.fail.Exception):
            run_sweep(PLAN, **roots)
    plan = json.loads((tmp_path / "sweeps_root/small/plan.json").read_text())
    assert [run["variant"] for run in plan["runs"]] == ["painn", "egnn"]
    assert not (tmp_path / "runs_root").exists()

    first = run_sweep(PLAN, workers=2, **roots)
    assert first.failures == []
    assert list(runs_of_sweep(first.folder)) == [run.absolute() for run in first.finished]
    before = sorted(tmp_path.glob("runs_root/**/events.jsonl"))
    assert len(before) == 2
    again = run_sweep(PLAN, **roots)
    assert again.finished == first.finished
    assert sorted(tmp_path.glob("runs_root/**/events.jsonl")) == before

    other = SweepPlan(name="small", preset="geometry/tiny", overrides=FAST)
    with pytest.raises(RunError, match="another plan"):
        run_sweep(other, **roots)


def test_a_failure_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = SweepPlan(
        name="half",
        preset="geometry/tiny",
        overrides=FAST,
        variants={
            "good": ("data.source.count=20",),
            "bad": ("data.source=file", "data.source.path=missing.npz"),
        },
    )
    roots = {name: tmp_path / name for name in ("sweeps_root", "runs_root", "data_root")}
    done = run_sweep(plan, **roots)
    assert len(done.finished) == 1
    assert ["missing.npz" in outcome.error for outcome in done.failures] == [True]
    assert [bool(row["run"]) for row in json.loads((done.folder / "result.json").read_text())] == [
        True,
        False,
    ]
    with pytest.raises(RunError, match=r"there is no result\.json"):
        runs_of_sweep(tmp_path)
