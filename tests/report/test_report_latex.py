"""LaTeX tables: escaping, numbers, structure, and what a comparison puts into them."""

from __future__ import annotations

import doctest
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from graphwright.cli import app
from graphwright.report import boards, latex, overview, spread
from graphwright.report.compare import compare
from graphwright.report.latex import latex_cell, latex_escape, latex_table

# what LaTeX gives a meaning to, unless a backslash stands before it
SPECIAL = re.compile(r"(?<!\\)[&%#_]")


@pytest.mark.parametrize("module", [latex, spread, overview, boards])
def test_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def _balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


@given(st.text(alphabet=st.sampled_from('ab \\&%$#_{}~^<>|"–…−±×τ²\n'), max_size=30))
def test_any_text_is_escaped(text: str) -> None:
    shown = latex_escape(text)
    assert SPECIAL.search(shown) is None
    assert _balanced(shown)
    assert "\n" not in shown
    # every $ that is not escaped opens or closes a formula
    assert len(re.findall(r"(?<!\\)\$", shown)) % 2 == 0


@pytest.mark.parametrize(
    ("text", "bold", "shown"),
    [
        ("0.0943 ± 0.0036", False, r"$0.0943 \pm 0.0036$"),
        ("0.0943 ± 0.0036", True, r"$\mathbf{0.0943} \pm \mathbf{0.0036}$"),
        ("1,234,567", False, r"$1{,}234{,}567$"),
        ("+2.5e-4 to +0.033", False, r"$+2.5 \times 10^{-4}$ to $+0.033$"),
        ("−0.00163", False, r"$-0.00163$"),
        ("+0.01*", False, r"$+0.01^{*}$"),
        ("0.46 ± 0.01 (n=3)", False, r"$0.46 \pm 0.01\ (n=3)$"),
        ("egnn_64", True, r"\textbf{egnn\_64}"),
        ("–", False, "--"),
        ("0, 1, 2", False, "0, 1, 2"),
        ("1 min 9 s", False, "1 min 9 s"),
    ],
)
def test_cells(text: str, bold: bool, shown: str) -> None:
    assert latex_cell(text, bold=bold) == shown


def test_a_table_has_all_its_parts() -> None:
    table = latex_table(
        ["", "F1 ↑"], [["a_b", "0.5 ± 0.1"], ["c", "–"]], caption="50 %", label="x", bold={(0, 1)}
    )
    lines = [line.strip() for line in table.splitlines()]
    assert lines[0] == r"\begin{table}[t]"
    assert lines[-1] == r"\end{table}"
    assert r"\caption{50 \%}" in lines
    assert r"\begin{tabular}{lr}" in lines
    assert r"& F1 $\uparrow$ \\" in lines
    assert r"a\_b & $\mathbf{0.5} \pm \mathbf{0.1}$ \\" in lines
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]


def _runs(make_run: Callable[..., Any]) -> list[Path]:
    return [
        make_run(model=model, seed=seed, mae=mae + seed / 1e4).path
        for model, mae in (("painn", 0.02), ("egnn_wide", 0.05), ("gcn", 0.4))
        for seed in range(3)
    ]


def test_a_comparison_in_latex(make_run: Callable[..., Any]) -> None:
    text = compare(_runs(make_run)).to_latex()
    assert text.startswith(r"% \usepackage{booktabs}")
    assert r"A & painn & $\mathbf{0.02010} \pm \mathbf{0.00010}$ & $3$ \\" in text
    assert r"MAE $\downarrow$" in text
    assert "egnn\\_wide" in text
    assert "finished" not in text  # states and seeds are for the terminal
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 4
    for kinds, body in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", text, re.DOTALL):
        for line in body.splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(kinds) - 1
    assert _balanced(text)


def test_the_command_writes_latex(make_run: Callable[..., Any], tmp_path: Path) -> None:
    names = list(map(str, _runs(make_run)))
    out = tmp_path / "table.tex"
    done = CliRunner().invoke(app, ["compare", *names, "--format", "latex", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text() == compare(names).to_latex()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_takes_it(make_run: Callable[..., Any], tmp_path: Path) -> None:
    body = compare(_runs(make_run)).to_latex()
    head = "\\documentclass{article}\\usepackage{booktabs}\\usepackage[T1]{fontenc}"
    (tmp_path / "t.tex").write_text(f"{head}\\begin{{document}}{body}\\end{{document}}")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
