"""Differences seed by seed: their numbers, their intervals, and what is said of them."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from graphwright.report.compare import Comparison, compare
from graphwright.report.difference import _interval
from graphwright.report.page import write_report

# much of the noise is common to both: only the pairs show the difference
GOOD = (0.020, 0.030, 0.025)
WORSE = (0.0232, 0.0330, 0.0281)


@pytest.fixture
def compared(make_run: Callable[..., Any]) -> Callable[..., Comparison]:
    def make(**maes: tuple[float, ...]) -> Comparison:
        runs = [
            make_run(model=model, seed=seed, mae=mae)
            for model, values in maes.items()
            for seed, mae in enumerate(values)
        ]
        return compare([run.path for run in runs])

    return make


def test_a_difference_is_taken_on_each_seed(compared: Callable[..., Comparison]) -> None:
    (paired,) = compared(painn=GOOD, egnn=WORSE).paired
    pair = paired.pairs["B", "A"]
    values = [b - a for a, b in zip(GOOD, WORSE, strict=True)]
    assert pair.values == pytest.approx(values)
    assert (pair.mean, pair.sd) == pytest.approx(
        (statistics.fmean(values), statistics.stdev(values))
    )
    expected = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (pair.low, pair.high) == pytest.approx(expected)
    assert pair.clear  # though the groups' own spreads overlap by far
    assert paired.pairs["A", "B"].mean == -pair.mean
    assert paired.statements() == ["painn is better than egnn."]


def test_noise_is_no_difference(compared: Callable[..., Comparison]) -> None:
    (paired,) = compared(painn=GOOD, egnn=(0.031, 0.022, 0.029)).paired
    assert not paired.pairs["B", "A"].clear
    assert paired.statements() == ["No difference is larger than the seeds' spread."]
    assert paired.rows()[0][-2:] == ["3", "no"]
    assert paired.matrix()[0][1:] == ["", paired.matrix()[0][2]]
    assert "*" not in paired.matrix()[0][2]


def test_higher_can_be_better(make_run: Callable[..., Any]) -> None:
    runs = [make_run(model=m, seed=s) for m in ("painn", "egnn") for s in range(2)]
    for place, run in enumerate(runs):
        run.metrics(mae=(0.8, 0.9, 0.1, 0.2)[place], higher_is_better=True)
    (paired,) = compare([run.path for run in runs]).paired
    assert paired.letters == ("A", "B")
    assert paired.statements() == ["painn is better than egnn."]


def test_from_five_seeds_on_seeds_are_drawn_again(compared: Callable[..., Comparison]) -> None:
    rng = np.random.default_rng(0)
    base, shift = rng.uniform(0.02, 0.03, 5), rng.normal(0.001, 0.0005, 5)
    comparison = compared(painn=tuple(base), egnn=tuple(base + shift))
    (paired,) = comparison.paired
    pair = paired.pairs["B", "A"]
    # all 5^5 resamples: the bootstrap-t interval without any chance
    every = np.array(list(itertools.product(shift, repeat=5)))
    every = every[np.ptp(every, axis=1) > 0]
    t = (every.mean(1) - shift.mean()) / (every.std(1, ddof=1) / np.sqrt(5))
    error = shift.std(ddof=1) / np.sqrt(5)
    low, high = shift.mean() - np.quantile(t, [0.975, 0.025]) * error
    assert pair.low == pytest.approx(low, abs=0.15 * (high - low))
    assert pair.high == pytest.approx(high, abs=0.15 * (high - low))
    assert "bootstrap-t over seeds" in paired.note
    assert comparison.to_json() == comparison.to_json()
    assert comparison.to_json()["paired"][0]["pairs"][0]["interval"] == "bootstrap_t"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    for count in (3, 5, 8):
        hits = [low <= 0 <= high for low, high in map(_interval, rng.normal(size=(300, count)))]
        # 300 trials of 95 %: four standard errors are 5 %
        assert np.mean(hits) == pytest.approx(0.95, abs=0.05)


def test_what_is_said_of_the_best(compared: Callable[..., Comparison]) -> None:
    worse = {f"m{i}": tuple(v + 0.1 * (i + 1) for v in WORSE) for i in range(4)}
    near = (0.031, 0.022, 0.029)
    (paired,) = compared(painn=GOOD, egnn=near, **worse).paired
    assert paired.verdict() == (
        "A is better than C to F by more than the seeds' spread; they do not tell it from B."
    )
    (even,) = compared(painn=GOOD, egnn=near).paired
    assert even.verdict() == "The seeds do not tell A from B."


def test_of_many_configurations_only_those_with_the_best_are_paired(
    make_run: Callable[..., Any],
) -> None:
    runs = [
        make_run(seed=seed, mae=0.02 + n / 1000 + seed / 1e5, training__epochs=n)
        for n in range(1, 19)
        for seed in range(2)
    ]
    (paired,) = compare([run.path for run in runs]).paired
    assert not paired.complete
    assert {reference for letter, reference in paired.pairs if letter != "A"} == {"A"}
    assert len(paired.rows()) == 17
    assert len(paired.statements()) == 1


def test_runs_without_common_seeds_or_data_have_no_pairs(make_run: Callable[..., Any]) -> None:
    apart = [make_run(), make_run(seed=1), make_run(model="egnn", seed=2)]
    assert compare([run.path for run in apart]).paired == ()
    other = [make_run(model="gcn", seed=s, data__source="other") for s in range(2)]
    assert compare([run.path for run in (*apart, *other)]).paired == ()


def test_pairs_and_costs_are_told_everywhere(make_run: Callable[..., Any], tmp_path: Any) -> None:
    runs = [
        make_run(model=model, seed=seed, mae=mae)
        for model, maes in (("painn", GOOD), ("egnn", WORSE))
        for seed, mae in enumerate(maes)
    ]
    paths = [run.path for run in runs]
    comparison = compare(paths)
    columns, rows = comparison.costs
    assert columns == ["", "configuration", "parameters", "samples per s", "time"]
    assert rows[0][:3] == ["A", "painn", "581,251"]
    text, tree = comparison.to_text(), comparison.to_json()
    assert "Paired differences in mae" in text
    assert "painn is better than egnn." in text
    assert "samples per s" in text
    assert tree["paired"][0]["pairs"][0]["clear"] is True
    page = write_report(paths, tmp_path / "page.html").read_text()
    assert "What each configuration costs" in page
    assert "A is better than B by more than the seeds&#39; spread." in page
    assert "Every pair" not in page  # of two, the table says it
