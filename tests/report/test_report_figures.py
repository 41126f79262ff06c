"""Drawings: right geometry, readable without colour, small."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from graphwright.report.figures import Bar, Figure, bar_chart, scatter_chart
from graphwright.report.lines import Line, line_chart
from graphwright.report.predictions import Scatter

SVG = "{http://www.w3.org/2000/svg}"


def _paths(figure: Figure, class_: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(str(figure.svg))
    return [e for e in root.iter() if class_ in (e.get("class") or "").split()]


def _points(path: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = re.findall(r"-?[\d.]+", path.get("d") or "")
    return list(zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True))


def test_a_line_goes_where_its_values_are() -> None:
    figure = line_chart(
        "loss", "Loss", [Line(label="val", xs=[0, 1, 2], ys=[3.0, 2.0, 1.0])], x_label="epoch"
    )
    (path,) = _paths(figure, "line")
    (x0, y0), (x1, y1), (x2, y2) = _points(path)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)
    assert y2 > y0  # SVG counts downwards
    assert "log" not in figure.detail
    assert "val: 3 at epoch 0, 1 at epoch 2" in figure.description


def test_wide_ranges_get_a_log_scale() -> None:
    ys = [1.0, 0.1, 0.01]
    figure = line_chart("loss", "Loss", [Line(label="val", xs=[0, 1, 2], ys=ys)], x_label="epoch")
    (path,) = _paths(figure, "line")
    (_, y0), (_, y1), (_, y2) = _points(path)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)
    assert figure.detail == "log scale"


def test_non_finite_values_break_the_line_and_are_marked() -> None:
    ys = [1.0, 0.9, math.nan, 0.7, math.inf, 0.5]
    figure = line_chart("loss", "Loss", [Line(label="a", xs=range(6), ys=ys)], x_label="step")
    assert len(_paths(figure, "line")) == 1  # single points between gaps are dots
    assert len(_paths(figure, "point")) == 2
    assert len(_paths(figure, "not-finite")) == 2
    assert "2 values of a are not finite" in figure.description


@pytest.mark.parametrize("ys", [[], [math.nan, math.nan], [0.0], [5.0, 5.0], [-1.0, -1.0]])
def test_degenerate_curves_can_be_drawn(ys: list[float]) -> None:
    figure = line_chart("a", "A", [Line(label="a", xs=range(len(ys)), ys=ys)], x_label="epoch")
    assert "nan" not in str(figure.svg).lower().replace("not-finite", "")
    ElementTree.fromstring(str(figure.svg))


def test_long_curves_are_thinned_and_keep_their_peaks() -> None:
    ys = np.full(50_000, 2.0)
    ys[31_234] = 9.0
    figure = line_chart(
        "a", "A", [Line(label="a", xs=range(50_000), ys=ys.tolist())], x_label="step"
    )
    (path,) = _paths(figure, "line")
    heights = [y for _, y in _points(path)]
    assert len(heights) <= 402
    assert min(heights) < max(heights) - 100
    assert len(figure.svg) < 10_000


def test_end_labels_do_not_touch() -> None:
    lines = [Line(label=f"l{i}", xs=[0, 9], ys=[1.0, 1.0 + i * 1e-4], colour=i) for i in range(5)]
    lines.append(Line(label="short", xs=[0, 2], ys=[1.0, 1.0], colour=5))
    figure = line_chart("a", "A", lines, x_label="epoch")
    labels = _paths(figure, "end-label")
    heights = sorted(float(e.get("y") or 0) for e in labels if e.text != "short")
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 12.9
    (short,) = [e for e in labels if e.text == "short"]
    assert float(short.get("x") or 0) < 150  # beside its own end, not at the right edge


def test_colours_repeat_as_dashes() -> None:
    lines = [Line(label=str(i), xs=[0, 1], ys=[1.0, 2.0 + i], colour=i) for i in range(9)]
    drawn = _paths(line_chart("a", "A", lines, x_label="epoch"), "line")
    assert drawn[0].get("class") == "line c0"
    assert drawn[8].get("class") == "line c0 dashed"


def _scatter(target: list[float], predicted: list[float]) -> Scatter:
    return Scatter(
        name="x", label="dipole", unit="D", target=np.array(target), predicted=np.array(predicted)
    )


def test_scatter_has_equal_axes_and_an_identity_line() -> None:
    figure = scatter_chart(_scatter([0, 1, 2], [0, 1, 4]), title="dipole x", max_points=10)
    ((x0, y0), (x1, y1)) = _points(_paths(figure, "identity")[0])
    assert x1 - x0 == pytest.approx(y0 - y1, abs=0.11)
    (dots,) = _paths(figure, "dots")
    assert (dots.get("d") or "").count("h0") == 3
    assert figure.detail.startswith("MAE 0.667 D")
    assert "3 samples" in figure.description


def test_scatter_of_many_or_equal_points() -> None:
    rng = np.random.default_rng(0)
    many = rng.standard_normal(20_000).tolist()
    figure = scatter_chart(_scatter(many, many), title="a", max_points=500)
    assert len(figure.svg) < 12_000
    assert "500 of them drawn" in figure.description
    flat = scatter_chart(_scatter([2.0, 2.0], [2.0, 2.0]), title="a", max_points=9)
    assert "R²" not in flat.detail
    assert "nan" not in str(flat.svg)


def test_bars_are_to_scale_and_negative_ones_go_left() -> None:
    bars = [
        Bar(label="a", length=2.0, value="2"),
        Bar(label="b" * 90, length=-1.0, value="-1", strong=True),
    ]
    first, second = _paths(bar_chart("b", "B", bars), "bar")
    assert float(first.get("width") or 0) == pytest.approx(
        2 * float(second.get("width") or 0), abs=0.2
    )
    assert float(second.get("x") or 1) == 0
    assert _paths(bar_chart("b", "B", bars), "bar-label")[1].text.endswith("…")  # type: ignore[union-attr]


def test_figures_escape_what_they_are_given() -> None:
    figure = bar_chart("b", "<i>B</i>", [Bar(label="<script>", length=1.0, value='"x"')])
    assert "<script>" not in figure.svg
    assert ElementTree.fromstring(str(figure.svg)).get("aria-label", "").startswith("<i>B</i>")
