"""Figures of a comparison: rows of dots, cost against quality, curves with bands."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.report.compare import Comparison, compare
from graphwright.report.costs import find_costs
from graphwright.report.dots import DotRow, difference_plot, dot_plot, ranking_plot
from graphwright.report.load import Series
from graphwright.report.overlay import overlay_curves, seed_band, single_curves
from graphwright.report.overview import pick_runs
from graphwright.report.page import write_report
from graphwright.report.spread import Spread
from graphwright.report.svg import marker
from graphwright.report.tradeoff import Point, pareto_front, tradeoff_plots


@pytest.fixture
def comparison(make_run: Callable[..., Any]) -> Comparison:
    runs = []
    for place, model in enumerate(("painn", "egnn", "gcn")):
        for seed in range(3):
            run = make_run(model=model, seed=seed)
            run.metrics(0.02 * (1 + place) + seed / 1e4, parameters=1000 * (3 - place))
            runs.append(run.path)
    return compare(runs)


def _colours(comparison: Comparison) -> dict[str, int]:
    return {group.letter: i for i, group in enumerate(comparison.groups)}


def _parts(figure: Any, class_: str) -> list[Any]:
    root = ElementTree.fromstring(str(figure.svg))
    return [e for e in root.iter() if class_ in (e.get("class") or "").split()]


def test_every_seed_is_a_dot(comparison: Comparison) -> None:
    figure = ranking_plot(comparison.boards[0], _colours(comparison))
    assert figure is not None
    assert len(_parts(figure, "seed")) == 9
    assert [e.text for e in _parts(figure, "letter") if e.text] == ["A", "B", "C"]
    assert "A painn 0.02010 ± 0.00010" in figure.description
    assert figure.detail == "left is better"
    # the baselines of these runs are 20 times worse: beside them all would be one point
    assert "baseline" not in figure.description


def test_near_baselines_stand_in_the_ranking(make_run: Callable[..., Any]) -> None:
    runs = [make_run(mae=0.3).path, make_run(model="egnn", mae=0.5).path]
    board = compare(runs).boards[0]
    figure = ranking_plot(board, {"A": 0, "B": 1})
    assert figure is not None
    assert "GCN (baseline) 0.44" in figure.description
    assert board.baseline_words() == (
        "Better than the best baseline, GCN (0.4404): A. Not better: B."
    )


def test_differences_are_filled_where_they_are_clear(comparison: Comparison) -> None:
    figure = difference_plot(comparison.paired[0], _colours(comparison))
    assert len(_parts(figure, "middle")) == 2
    assert all("strong" in e.get("class") for e in _parts(figure, "middle"))
    assert "B egnn +0.02, clear" in figure.description
    assert len(_parts(figure, "zero")) == 2


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_beats_a_point_of_the_front(pairs: list[tuple[int, int]]) -> None:
    points = [
        Point(letter=str(i), label="", colour=0, cost=c, spread=Spread(q, None, 1))
        for i, (c, q) in enumerate(pairs)
    ]
    front = pareto_front(points, higher_is_better=True)
    for point in points:
        beaten = any(
            o.cost <= point.cost
            and o.spread.mean >= point.spread.mean
            and (o.cost, o.spread.mean) != (point.cost, point.spread.mean)
            for o in points
        )
        same = [(p.cost, p.spread.mean) for p in front]
        assert ((point.cost, point.spread.mean) in same) == (not beaten)


def test_costs_are_drawn_against_quality(comparison: Comparison) -> None:
    costs = find_costs(comparison.groups)
    figures = tradeoff_plots(comparison.boards[0], costs, _colours(comparison))
    # all took equally long: only the size tells them apart
    assert [figure.title for figure in figures] == ["MAE by size"]
    assert len(_parts(figures[0], "filled")) == 3  # each is better than all that are smaller
    assert figures[0].description.startswith("On the Pareto front: C gcn, B egnn, A painn.")
    heights = [e.get("d") for e in _parts(figures[0], "mark")]
    assert len(set(heights)) == 3


def test_times_are_drawn_in_a_unit_that_fits(comparison: Comparison) -> None:
    (time,) = [cost for cost in find_costs(comparison.groups) if cost.key == "time"]
    assert time.text("A") == "30 min 34 s"
    assert time.drawn().name == "time (min)"
    assert time.drawn().values["A"] == pytest.approx(1834.2 / 60)


def test_bands_hold_every_seed() -> None:
    def series(*values: float) -> Series:
        return Series(name="loss", steps=(), epochs=tuple(range(len(values))), values=values)

    seeds = [series(3.0, 2.0, 1.0), series(5.0, math.nan), series(4.0, 4.0)]
    band = seed_band(seeds, [one.epochs for one in seeds])
    assert list(band.middle) == [4.0, 3.0, 1.0]
    assert list(band.low) == [3.0, 2.0, 1.0]
    assert list(band.high) == [5.0, 4.0, 1.0]
    assert seed_band(seeds[:1], [(0, 1, 2)]).low == ()
    long = Series(name="loss", steps=(), epochs=tuple(range(999)), values=(1.0,) * 999)
    thin = seed_band([long], [long.epochs], 50)
    assert (len(thin.xs), thin.xs[0], thin.xs[-1]) == (50, 0, 998)


def test_curves_are_one_line_and_one_band_a_configuration(comparison: Comparison) -> None:
    figures = {f.name: f for f in overlay_curves(comparison.groups, _colours(comparison))}
    loss = figures["overlay_val_loss"]
    assert [e.get("data-label") for e in _parts(loss, "line")] == ["C", "B", "A"]
    assert len(_parts(loss, "band")) == 3
    assert len({e.get("stroke-dasharray") for e in _parts(loss, "line")}) == 3
    assert "overlay_lr" not in figures  # the same everywhere
    panels = single_curves(comparison.groups, _colours(comparison))
    assert [panel.title for panel in panels] == ["A  painn", "B  egnn", "C  gcn"]
    assert len(_parts(panels[0], "other")) == 2


def test_shapes_are_closed_and_differ() -> None:
    shapes = {marker(kind, 10.0, 10.0, 5.0) for kind in range(8)}
    assert len(shapes) == 8
    assert all(shape.startswith("M") and shape.endswith("Z") for shape in shapes)
    assert marker(8, 0, 0, 5) == marker(1, 0, 0, 5)  # with the colour of the first, another shape


def test_dots_without_any_range_can_be_drawn() -> None:
    figure = dot_plot("a", "A", [DotRow(label="x", value="1", centre=1.0, dots=[1.0])], zero=True)
    assert "nan" not in str(figure.svg).lower()


def test_every_group_has_a_run_before_any_has_two(comparison: Comparison) -> None:
    chosen = pick_runs(comparison.groups, 4)
    assert [(group.letter, report.seed) for group, report in chosen] == [
        ("A", 0),
        ("A", 1),
        ("B", 0),
        ("C", 0),
    ]


def test_what_is_left_out_is_said(
    make_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(model=m, seed=s, mae=0.02) for m in ("painn", "egnn") for s in range(3)]
    monkeypatch.setattr("graphwright.report.page.MOST_BYTES", 300_000)
    text = write_report([run.path for run in runs], tmp_path / "page.html").read_text()
    assert len(text.encode()) <= 300_000
    shown = text.count('<details class="run"')
    assert 2 <= shown < 6
    assert f"{shown} of 6 runs are shown in full" in text
    left = re.search(r"The (\d+) runs left out", text)
    assert left is not None
    assert int(left[1]) == 6 - shown
