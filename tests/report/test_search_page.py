"""The page of an architecture search, from a folder that nothing was searched for."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from graphwright.errors import RunError
from graphwright.report.bands import Band, band_chart
from graphwright.report.search import render_search, write_search_report

TEXT = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|<none>~2|"


def curve(end: float) -> dict[str, Any]:
    middle = ["NaN", *(end + 5 / (i + 1) for i in range(29))]
    low = ["NaN", *(value - 0.1 for value in middle[1:])]
    return {"median": middle, "low": low, "high": middle, "final": [end]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    line = {"rank": 1, "architecture": TEXT, "value": 91.6, "predicted": 91.0, "sd": 0.2}
    regret = [{"metric": name, "values": [1.0, 0.5, *[0.0] * 28]} for name in ("val", "test")]
    results = {
        "kind": "nas_search",
        "metric": "val",
        "test_metric": "test",
        "higher_is_better": True,
        "strategy": "predictor",
        "predictor": "dag_ensemble",
        "evaluated": 30,
        "failed": 1,
        "training_s": 61.0,
        "best": {**line, "number": 29, "round": 2, "origin": "predicted"},
        "best_so_far": ["NaN", *(80 + i / 3 for i in range(29))],
        "regret": regret,
        "top": [{**line, "number": 29, "round": 2, "origin": "predicted", "test_value": 94.0}],
        "rounds": [
            {"round": i, "asked": 10, "failed": 0, "kendall_tau": tau, "choosing_s": 1.0}
            for i, tau in enumerate((None, 0.4, 0.6))
        ],
        "failures": [{"number": 3, "architecture": TEXT, "reason": "exit code 1\n<b>boom</b>"}],
        "baselines": [
            {
                "name": name,
                "seeds": 20,
                "best_so_far": curve(80),
                "regret": [curve(0.2), curve(0.3)],
            }
            for name in ("random", "regularised_evolution", "fr_nas")
        ],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "config.yaml").write_text("task: nas_search\n")
    return tmp_path


def figures(page: str) -> list[ElementTree.Element]:
    return [
        ElementTree.fromstring(svg)
        for svg in re.findall(r"<svg class=\"chart\".*?</svg>", page, re.S)
    ]


def test_page(folder: Path) -> None:
    """Self-contained; every figure readable without colour and with ears."""
    page = write_search_report(folder).read_text()
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    assert "prefers-color-scheme: dark" in page
    assert "<b>boom" not in page
    assert "&lt;none&gt;" in page
    drawings = figures(page)
    assert len(drawings) == 4  # best, τ, and regret in two metrics
    for svg in drawings:
        assert svg.get("role") == "img"
        assert svg.get("aria-label")
    assert "Mean τ" in page
    assert "0.50" in page


def test_lines_differ_without_colour(folder: Path) -> None:
    """Every line has dashes of its own, and its name at its end."""
    drawing = figures(render_search(folder))[0]
    space = "{http://www.w3.org/2000/svg}"
    lines = [p for p in drawing.iter(f"{space}path") if (p.get("class") or "").startswith("line")]
    assert len(lines) == 4
    assert len({line.get("stroke-dasharray") for line in lines}) == 4
    labels = [t for t in drawing.iter(f"{space}text") if "end-label" in (t.get("class") or "")]
    names = {"this search", "random", "regularised evolution", "fr nas"}
    assert {label.text for label in labels} == names
    heights = sorted(float(label.get("y", 0)) for label in labels)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 13.9
    assert all(0 < height <= 300 for height in heights)


def test_log_chart_with_zeros() -> None:
    """A regret of zero has a place, and the caption says so."""
    figure = band_chart(
        "r", "Regret", [Band(label="a", middle=[3.0, 0.5, 0.0])], x_label="trained", log=True
    )
    assert "zero is drawn at the bottom" in figure.detail
    assert "NaN" not in figure.svg
    empty = band_chart("r", "R", [Band(label="a", middle=[math.nan])], x_label="x", log=True)
    assert "No finite values" in empty.svg


def test_without_baselines(folder: Path) -> None:
    """A real search has no table, no regret and nothing to compare with."""
    results = json.loads((folder / "results.json").read_text())
    results |= {"baselines": [], "regret": [], "test_metric": "", "best": None, "top": []}
    results["failures"], results["best_so_far"] = [], ["NaN"] * 30
    (folder / "results.json").write_text(json.dumps(results))
    page = render_search(folder)
    assert 'id="regret"' not in page
    assert "No training has given a value" in page


def test_other_results_are_refused(folder: Path) -> None:
    """A folder of something else."""
    (folder / "results.json").write_text("{}")
    with pytest.raises(RunError, match="not the results of a search"):
        render_search(folder)
