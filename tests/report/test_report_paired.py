"""Differences seed by seed: their numbers, their intervals, and what is said of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from graphwright.report.compare import Comparison, compare
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


def test_from_eight_seeds_on_seeds_are_drawn_again(compared: Callable[..., Comparison]) -> None:
    rng = np.random.default_rng(0)
    base, shift = rng.uniform(0.02, 0.03, 10), rng.normal(0.001, 0.0005, 10)
    comparison = compared(painn=tuple(base), egnn=tuple(base + shift))
    (paired,) = comparison.paired
    pair = paired.pairs["B", "A"]
    reference = stats.bootstrap((shift,), np.mean, method="percentile", rng=1)
    assert pair.low == pytest.approx(reference.confidence_interval.low, rel=0.05)
    assert pair.high == pytest.approx(reference.confidence_interval.high, rel=0.05)
    assert "bootstrap over seeds" in paired.note
    assert comparison.to_json() == comparison.to_json()


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
    assert "painn is better than egnn." in page
    assert "What each configuration costs" in page
    assert "Every pair" not in page  # of two, the table says it
