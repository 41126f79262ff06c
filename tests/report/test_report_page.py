"""The HTML page, without a browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from graphwright.errors import RunError
from graphwright.report import page
from graphwright.report.load import load_report
from graphwright.report.page import write_figures, write_report
from graphwright.report.views import equivariance_tables, view_of

VOID = {"meta", "link", "wbr", "path", "rect", "circle"}


class Checker(HTMLParser):
    """Balanced tags, unique ids, links inside the page that lead somewhere, headings in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.levels: list[int] = []
        self.external: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(str(values["id"]))
        href = str(values.get("href") or values.get("src") or "#main")
        (self.targets if href.startswith("#") else self.external).append(href)
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def check(self) -> None:
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)
        assert {target[1:] for target in self.targets} <= set(self.ids)
        assert self.levels[0] == 1
        assert all(b <= a + 1 for a, b in zip(self.levels, self.levels[1:], strict=False))
        assert set(self.external) <= {"data:,"}


def test_the_page_of_one_run(make_run: Callable[..., Any], tmp_path: Path) -> None:
    out = write_report([make_run().path], tmp_path / "new" / "page.html")
    text = out.read_text()
    Checker(text).check()
    assert out.stat().st_size < 1_000_000
    assert "20.7× lower than the best baseline, GCN (0.4404)" in text
    for anchor in ("results", "learning", "predictions", "equivariance", "start-up", "data"):
        assert f'<section id="{anchor}"' in text
    assert text.count('class="own"') == 2
    assert text.count("<caption>") >= 5
    assert 'class="n bad"' not in text


def test_the_page_of_several_runs(make_run: Callable[..., Any], tmp_path: Path) -> None:
    runs = [make_run(seed=s, mae=0.02 + s * 1e-3).path for s in range(3)]
    runs += [make_run(model="gcn", mae=0.44).path, make_run("failed", model="tfn").path]
    text = write_report([*runs, runs[0]], tmp_path / "page.html").read_text()
    Checker(text).check()
    assert "3 configurations compared in 5 runs" in text
    assert "0.0210 ± 0.0010" in text
    assert text.count('<details class="run"') == 5
    assert "Validation MAE" in text


def test_many_runs_stay_below_a_megabyte(make_run: Callable[..., Any], tmp_path: Path) -> None:
    runs = [make_run(training__epochs=n).path for n in range(10, 37)]
    out = write_report(runs, tmp_path / "page.html")
    assert out.stat().st_size < 1_000_000
    text = out.read_text()
    Checker(text).check()
    assert "runs left out" in text
    assert 8 <= text.count('<details class="run"') <= 24
    assert text.count(" configurations compared") == 2


@pytest.mark.parametrize("kind", ["bare", "failed"])
def test_unfinished_runs_have_a_page(
    make_run: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    text = write_report([make_run(kind).path], tmp_path / "page.html").read_text()
    Checker(text).check()
    if kind == "failed":
        assert "&lt;NaN &amp; co&gt;" in text
        assert "Traceback" in text


def test_everything_is_escaped(make_run: Callable[..., Any], tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    run = make_run(data__source=evil, mae=0.5)
    run.json("provenance.json", {"command": [evil], evil: evil})
    run.json("startup.json", {"phases": [{"name": evil, "seconds": 1, "details": {evil: evil}}]})
    table = {
        "title": evil,
        "note": evil,
        "columns": [evil, "b"],
        "rows": [[evil, evil]],
        "highlight": evil,
    }
    run.metrics(
        tables=[table], equivariance={evil: {evil: evil}}, data={evil: evil, "splits": {evil: 1}}
    )
    run.status("failed", evil)
    events = run.path / "events.jsonl"
    events.write_text(events.read_text().replace("grad_norm", "<img src=x onerror=alert(1)>"))
    text = write_report([run.path], tmp_path / "page.html").read_text()
    Checker(text).check()
    assert "<img" not in text


def test_non_finite_results_are_shown_as_such(make_run: Callable[..., Any], tmp_path: Path) -> None:
    run = make_run()
    table = {
        "columns": ["model", "MAE"],
        "rows": [["painn", "NaN"], ["zero", 0.5]],
        "highlight": "painn",
    }
    run.metrics(metrics={"mae": "NaN"}, tables=[table])
    text = write_report([run.path], tmp_path / "page.html").read_text()
    assert "this model is of no use" in text
    assert '<td class="n bad">NaN</td>' in text


def test_figures_stand_alone_in_the_run_folder(make_run: Callable[..., Any]) -> None:
    run = make_run()
    paths = write_figures(load_report(run.path))
    names = {path.name for path in paths}
    assert {"loss.svg", "startup.svg", "predicted_x.svg", "ranking.svg", "lr.svg"} <= names
    for path in paths:
        root = ElementTree.parse(path).getroot()
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "prefers-color-scheme: dark" in path.read_text()
        assert path.stat().st_size < 60_000


def test_a_folder_that_cannot_be_written_still_has_a_page(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    run = make_run()
    (run.path / "figures").write_text("a file in the way")
    with pytest.raises(RunError):
        write_figures(load_report(run.path))
    assert write_report([run.path], tmp_path / "page.html").is_file()


def test_no_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing to report"):
        write_report([], tmp_path / "page.html")


def test_a_model_far_from_the_best_is_still_in_its_ranking(make_run: Callable[..., Any]) -> None:
    run = make_run()
    rows = [["painn", 0.9], *([f"m{i}", i / 100] for i in range(1, 20))]
    table = {"columns": ["model", "mae"], "rows": rows, "highlight": "painn"}
    run.metrics(metrics={"mae": 0.9}, tables=[table])
    ranking = view_of(load_report(run.path)).ranking
    assert ranking is not None
    assert "painn 0.90" in ranking.description
    assert "m1 0.01" in ranking.description
    assert ranking.description.count(";") == 6


def test_one_configuration_with_many_seeds_has_a_page(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    runs = [make_run(seed=seed, mae=0.02 + seed * 1e-3).path for seed in range(2)]
    text = write_report(runs, tmp_path / "page.html").read_text()
    Checker(text).check()
    assert "One configuration, 2 seeds" in text
    assert 'id="differences"' not in text


def test_different_tasks_are_not_ranked_against_each_other(
    make_run: Callable[..., Any], tmp_path: Path
) -> None:
    one, other = make_run(), make_run(model="gin")
    other.metrics(primary="tau", higher_is_better=True, metrics={"tau": 0.8}, tables=[])
    text = write_report([one.path, other.path], tmp_path / "page.html").read_text()
    assert '<figure class="ranking">' not in text


def test_equivariance_in_any_shape() -> None:
    assert equivariance_tables(None) == ()
    (flat,) = equivariance_tables({"max_error": 1e-7})
    assert flat.rows == (("max error", 1e-7),)
    nested, settings = equivariance_tables({"float32": {"rotation": 1e-7}, "rotations": 20})
    assert (nested.columns, settings.rows) == (("", "rotation"), (("rotations", 20),))
    (given,) = equivariance_tables({"columns": ["a"], "rows": [[1]]})
    assert given.rows == ((1,),)


def test_reporting_imports_no_torch() -> None:
    names = "page card compare"
    code = f"import sys; [__import__('graphwright.report.' + n) for n in {names.split()}]; "
    code += "assert not {'torch', 'lightning', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(page.__file__).parents[2])
