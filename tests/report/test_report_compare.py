"""Comparing runs: what is one group, what differs, what the numbers are."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphwright.errors import RunError
from graphwright.report.compare import compare
from graphwright.report.load import load_report
from graphwright.report.spread import Spread, spread_texts


def test_runs_that_differ_in_their_seed_only_are_one_group(make_run: Callable[..., Any]) -> None:
    maes = [0.02, 0.03, 0.025]
    runs = [make_run(seed=s, mae=mae, tracking__wandb_name=f"s{s}") for s, mae in enumerate(maes)]
    comparison = compare([run.path for run in runs])
    (group,) = comparison.groups
    spread = group.metrics["mae"]
    assert spread.mean == pytest.approx(statistics.fmean(maes))
    assert spread.sd == pytest.approx(statistics.stdev(maes))
    assert (group.seeds, group.state, str(spread)) == ("0, 1, 2", "finished", "0.0250 ± 0.0050")
    assert comparison.differences == {}
    assert "differ in nothing but the seed" in comparison.to_text()


def test_groups_are_sorted_best_first_and_failures_go_last(make_run: Callable[..., Any]) -> None:
    runs = [
        make_run("failed", model="tfn"),
        make_run(model="gcn", mae=0.44),
        make_run(model="painn", mae=0.02, training__epochs=80),
    ]
    comparison = compare([run.path for run in runs])
    assert [group.label for group in comparison.groups] == ["painn", "gcn", "tfn"]
    assert comparison.differences == {
        "training.epochs": (80, 60, 60),
        "model.name": ("painn", "gcn", "tfn"),
    }
    assert comparison.metrics[0] == "mae"
    assert comparison.metrics[-1] == "mae_z"
    assert comparison.rows()[2][2] == "–"


def test_settings_name_groups_that_share_a_folder(make_run: Callable[..., Any]) -> None:
    runs = [make_run(), make_run(training__epochs=5, model__hidden_dim=8), make_run()]
    comparison = compare([run.path for run in runs])
    labels = {group.label for group in comparison.groups}
    assert labels == {"epochs=60", "epochs=5"}
    twice = next(group for group in comparison.groups if len(group.reports) == 2)
    assert twice.metrics["mae"].sd is None  # one seed trained twice is no spread over seeds


LEVELS = ("modality", "dataset", "learning_type", "model_size", "training_mode")


def leveled(make_run: Callable[..., Any], *levels: str, **more: Any) -> Path:
    """A run whose folders are words of its configuration, without its task's name."""
    run = make_run(**more)
    config = {**run.config, "task": "canbus", **dict(zip(LEVELS, levels, strict=True))}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    folder = run.path.parents[3].joinpath("elsewhere", *levels, run.path.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(run.path, folder))


def test_labels_are_the_levels_that_tell_runs_apart(make_run: Callable[..., Any]) -> None:
    runs = [
        leveled(make_run, "automotive", "set04", "fusion", "student", "all_samples", mae=0.01),
        leveled(make_run, "automotive", "set04", "classifier", "student", "all_samples", mae=0.02),
        leveled(make_run, "automotive", "set04", "classifier", "teacher", "all_samples", mae=0.03),
    ]
    assert load_report(runs[1]).name == "automotive/set04/classifier/student/all_samples/run_000"
    labels = [group.label for group in compare(runs).groups]
    assert labels == ["fusion/student", "classifier/student", "classifier/teacher"]
    more = leveled(
        make_run, "automotive", "set04", "fusion", "student", "all_samples", training__epochs=7
    ).rename(runs[0].with_name("run_001"))
    labels = [group.label for group in compare([*runs, more]).groups]
    assert len(set(labels)) == 4
    assert set(labels) >= {"fusion/student, epochs=60", "fusion/student, epochs=7"}
    (alone,) = compare(runs[:1]).groups
    assert alone.label == "automotive/set04/fusion/student/all_samples"


def test_main_metrics_are_shown_and_others_when_asked_for(make_run: Callable[..., Any]) -> None:
    runs = [make_run(), make_run(model="egnn", mae=0.05)]
    comparison = compare([run.path for run in runs])
    assert comparison.columns()[2:-4] == ["mae"]
    assert "5 more metrics: --metrics all" in comparison.to_text()
    assert comparison.chosen("all") == comparison.metrics
    names = comparison.chosen("mse, displacement")
    assert "displacement" in comparison.to_markdown(names)
    assert "mae_x" not in comparison.to_text(names)
    with pytest.raises(RunError, match="did you mean displacement"):
        comparison.chosen("displacment")
    for run in runs:
        metrics = json.loads((run.path / "metrics.json").read_text())
        run.metrics(**{**metrics, "main": ["mae", "mse", "never"]})
    assert compare([run.path for run in runs]).main == ("mae", "mse")


def test_text_and_markdown_hold_every_number(make_run: Callable[..., Any]) -> None:
    runs = [
        make_run(),
        make_run(model="egnn", mae=0.0536),
        make_run("failed", model="egnn", seed=1),
    ]
    comparison = compare([run.path for run in runs])
    for shown in (comparison.to_text(), comparison.to_markdown()):
        assert "0.0213" in shown
        assert "0.0536" in shown
        assert "1 finished, 1 failed" in shown
        assert "model.name" in shown
    assert "| --- |" in comparison.to_markdown()


def test_json_is_json_even_with_a_diverged_run(make_run: Callable[..., Any]) -> None:
    run = make_run(seed=1)
    run.metrics(metrics={"mae": "NaN"})
    comparison = compare([make_run().path, run.path])
    tree = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert tree["groups"][0]["metrics"]["mae"] == {"mean": "NaN", "sd": None, "count": 2}
    assert [r["seed"] for r in tree["runs"]] == [0, 1]
    assert tree["primary"] == {"mae": False}


def test_runs_with_unreadable_configurations_stand_alone(make_run: Callable[..., Any]) -> None:
    runs = [make_run("bare"), make_run("bare")]
    for run in runs:
        (run.path / "config.yaml").write_text("- not\n- a mapping\n")
    comparison = compare([run.path for run in runs])
    assert len(comparison.groups) == 2
    assert len({group.label for group in comparison.groups}) == 2


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(RunError, match="nothing to compare"):
        compare([])


@pytest.mark.parametrize(
    ("spread", "shown"),
    [
        (Spread(0.0224, 0.0011, 3), "0.0224 ± 0.0011"),
        (Spread(51.3, 2.44, 3), "51.3 ± 2.4"),
        (Spread(12000.0, 340.0, 3), "12,000 ± 340"),
        (Spread(1.5, 0.0, 2), "1.5 ± 0"),
        (Spread(math.nan, None, 2), "NaN"),
        (Spread(0.5, None, 1), "0.5"),
    ],
)
def test_the_spread_decides_the_decimals(spread: Spread, shown: str) -> None:
    assert str(spread) == shown


def test_a_column_has_the_same_decimals_but_loses_no_spread() -> None:
    column = [Spread(0.92867, 0.0057, 3), Spread(0.91, 0.017, 3), Spread(0.7, 0.0000123, 3), None]
    assert spread_texts(column) == [
        "0.9287 ± 0.0057",
        "0.9100 ± 0.0170",
        "0.700000 ± 0.000012",
        "–",
    ]
    assert spread_texts([Spread(0.02131, None, 1), Spread(0.4839, None, 1)]) == ["0.0213", "0.4839"]
    assert spread_texts([Spread(12.0, 0.0, 3), Spread(7.0, 0.0, 3)]) == ["12 ± 0", "7 ± 0"]
    assert spread_texts([Spread(math.nan, None, 2), Spread(1e-9, 1e-12, 3)])[0] == "NaN"


def test_results_of_other_data_are_no_rivals(make_run: Callable[..., Any]) -> None:
    runs = [make_run(seed=s, mae=0.02) for s in range(2)]
    runs += [make_run(model="egnn", seed=s, mae=0.03 + s / 1e4) for s in range(2)]
    runs += [make_run(model="gcn", seed=s, mae=0.4, data__source="other") for s in range(2)]
    comparison = compare([run.path for run in runs])
    assert [group.label for group in comparison.groups] == ["painn", "egnn", "gcn"]
    assert [len(board.groups) for board in comparison.boards] == [2, 1]
    assert [board.where for board in comparison.boards] == ["source=qm7", "source=other"]
    assert comparison.bold("mae") == {"A"}  # one configuration alone is not the best of anything
    assert "on the same data" in comparison.bold_note
    rival = compare([run.path for run in runs[:4]]).boards[0].baselines[0]
    assert rival[0] == "GCN"
    assert rival[1].mean == pytest.approx(0.4404)


def test_what_the_seeds_do_not_tell_from_the_best_is_bold(make_run: Callable[..., Any]) -> None:
    maes = {"painn": (0.020, 0.030), "egnn": (0.021, 0.0302), "gcn": (0.060, 0.0701)}
    runs = [
        make_run(model=model, seed=seed, mae=mae)
        for model, values in maes.items()
        for seed, mae in enumerate(values)
    ]
    comparison = compare([run.path for run in runs])
    assert comparison.bold("mae") == {"A", "B"}
    assert comparison.bold("angle") == frozenset()  # nobody knows which way is better
    assert "**0.0250 ± 0.0071**" in comparison.to_markdown()
    assert "**" not in comparison.to_text()


def test_names_of_variants_label_their_groups(make_run: Callable[..., Any]) -> None:
    runs = [make_run(), make_run(seed=1), make_run(model="egnn", mae=0.05)]
    paths = [run.path for run in runs]
    names = {paths[0]: "ours", paths[1]: "ours", paths[2]: "theirs"}
    assert [g.label for g in compare(paths, names=names).groups] == ["ours", "theirs"]
    # a name that does not tell, or not all, is no label
    assert compare(paths, names=dict.fromkeys(paths, "same")).groups[0].label == "painn"
    assert compare(paths, names={paths[0]: "ours"}).groups[0].label == "painn"
    lr = [make_run(training__epochs=n).path for n in (3, 4)]
    both = {**names, lr[0]: "ours", lr[1]: "ours"}
    labels = {group.label for group in compare([*paths, *lr], names=both).groups}
    assert labels == {"ours, epochs=60", "ours, epochs=3", "ours, epochs=4", "theirs"}


def test_more_groups_than_letters(make_run: Callable[..., Any]) -> None:
    runs = [make_run("bare", training__epochs=n) for n in range(1, 29)]
    letters = [group.letter for group in compare([run.path for run in runs]).groups]
    assert letters[0] == "A"
    assert letters[25:28] == ["Z", "A1", "B1"]
