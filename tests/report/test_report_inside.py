"""Matrices as heat maps, many metrics of one kind as one figure, checks as tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphwright.report.curves import family_curves, learning_curves
from graphwright.report.load import load_report
from graphwright.report.matrices import Matrix, heat_map, heat_maps, parse_matrices
from graphwright.report.page import write_figures, write_report

ENTRY = {
    "title": "Layer 0",
    "rows": ["e0", "e1"],
    "columns": ["e0", "e1"],
    "values": [[0.5, -0.25], ["NaN", 1.0]],
}


def test_cells_are_as_dark_as_their_numbers() -> None:
    (figure,) = heat_maps(parse_matrices([ENTRY]))
    shades = [float(s) for s in re.findall(r'fill-opacity="([\d.]+)"', figure.svg)]
    assert shades == pytest.approx([0.275, 0.1375, 0.0, 0.55], abs=1e-3)
    assert figure.svg.count('class="cell below"') == 1
    assert re.findall(r'class="cell-value"[^>]*>([^<]+)<', figure.svg) == ["0.5", "-0.25", "–", "1"]
    assert figure.description == "e0: 0.5, -0.25; e1: NaN, 1"


def test_all_matrices_of_a_run_share_their_shades() -> None:
    pale = {**ENTRY, "values": [[0.1, 0.1], [0.1, 0.1]]}
    figures = heat_maps(parse_matrices([ENTRY, pale]))
    assert "0.055" in figures[1].svg
    assert [figure.name for figure in figures] == ["matrix_0", "matrix_1"]


def test_large_matrices_have_no_numbers() -> None:
    names = tuple(f"e{i}" for i in range(16))
    matrix = Matrix(title="m", rows=names, columns=names, values=((1.0,) * 16,) * 16)
    assert "cell-value" not in heat_map("m", matrix, 1.0).svg


@pytest.mark.parametrize(
    "entry", ["text", None, [3], [{"values": []}], [{**ENTRY, "rows": ["one"]}]], ids=str
)
def test_entries_that_are_no_matrices_are_left_out(entry: object) -> None:
    assert parse_matrices(entry) == ()


def test_a_run_shows_what_is_inside(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run()
    run.metrics(
        matrices=[ENTRY], checks={"causality": {"holds": True, "largest change before": 1e-7}}
    )
    with (run.path / "events.jsonl").open("a") as stream:
        for epoch in range(3):
            for member in ("0-1", "0-2"):
                name = f"val_hyperedge_weight/layer0_conv1/{member}"
                record = {"step": epoch + 1, "epoch": epoch, "time": 1.0, "name": name}
                stream.write(json.dumps({**record, "value": 1 + 0.1 * epoch}) + "\n")
    report = load_report(run.path)
    (figure,) = family_curves(report)
    assert figure.title == "Hyperedge weight layer0 conv1"
    curves = learning_curves(report)
    assert not [f for f in (*curves.main, *curves.more) if "hyperedge" in f.name]
    page = write_report([run.path], tmp_path / "page.html").read_text()
    for text in ("Inside the model", "Layer 0", figure.title, "Checks on the trained", "Causality"):
        assert text in page
    names = {path.name for path in write_figures(report)}
    assert {"matrix_0.svg", "val_hyperedge_weight_layer0_conv1.svg"} <= names


def test_one_value_is_no_curve(make_run: Callable[..., Any]) -> None:
    run = make_run()
    with (run.path / "events.jsonl").open("a") as stream:
        record = {"step": 1, "epoch": 0, "time": 1.0, "name": "val_weight/a", "value": 1.0}
        stream.write(json.dumps(record) + "\n")
    assert family_curves(load_report(run.path)) == ()
