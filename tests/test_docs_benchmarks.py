"""The way of a benchmark's figures: from its last line into a file, from there onto the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docs_blocks import ROOT

GOOD = '''"""Making a batch: ours against theirs."""
import json, sys
if __name__ == "__main__":
    assert sys.argv[1:] == ["--json", "--repeats", "5"], sys.argv
    print("a table for people")
    rows = [{"case": "a", "unit": "s", "ours": 0.12345, "peer": 0.5, "ratio": 4.05, "equal": True},
            {"case": "b", "unit": "MB", "ours": 12345.6, "peer": None, "ratio": None,
             "note": "of all"}]
    print(json.dumps({"name": "good", "threads": 2, "rows": rows}))
'''
BAD = 'if __name__ == "__main__":\n    raise SystemExit("no data here")\n'
SILENT = 'if __name__ == "__main__":\n    print("done")\n'


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools/docs")
    monkeypatch.syspath_prepend(ROOT / "tools")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three benchmarks, two of which fail, and a module that is none."""
    made = tmp_path / "benchmarks"
    made.mkdir()
    for name, text in {"good": GOOD, "bad": BAD, "silent": SILENT, "_harness": "x = 1"}.items():
        (made / f"{name}.py").write_text(text)
    return made


def _run(folder: Path, *words: str) -> tuple[int, Path]:
    from run_benchmarks import main

    out = folder.parent / "out"
    return main([*words, "--folder", str(folder), "--out", str(out), "--", "--repeats", "5"]), out


def test_all_are_run_and_failures_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that fails leaves the figures that it had; the others go on."""
    (folder.parent / "out").mkdir()
    (folder.parent / "out/bad.json").write_text("{}")
    code, out = _run(folder)
    told = capsys.readouterr().err
    assert code == 1
    assert "bad: exit code 1: no data here" in told
    assert "silent: its last line is no JSON object with rows" in told
    assert (out / "bad.json").read_text() == "{}"
    record: dict[str, Any] = json.loads((out / "good.json").read_text())
    assert record["about"] == "Making a batch: ours against theirs."
    assert record["machine"]["cores"] >= 1
    assert len(record["load"]) == 2
    assert record["rows"][0]["ours"] == 0.12345


def test_one_by_name(folder: Path) -> None:
    """And a name that is none is refused before anything runs."""
    code, out = _run(folder, "good")
    assert code == 0
    assert [path.name for path in out.iterdir()] == ["good.json"]
    with pytest.raises(SystemExit):
        _run(folder, "god")


def test_tables(folder: Path) -> None:
    """From the files to the page; where there are none, it says so."""
    from docs_benchmarks import benchmark_tables

    assert "None has been measured yet" in benchmark_tables(folder=folder.parent / "empty")
    text = benchmark_tables(folder=_run(folder, "good")[1])
    assert "## good" in text
    assert "| `a` | 123&nbsp;ms | 500&nbsp;ms | **4.05** | ✓ |" in text
    assert "| `b`<br><small>of all</small> | 12,346&nbsp;MB |  |  |  |" in text
    assert "`python benchmarks/good.py --json --repeats 5`" in text


def test_kept_figures_can_be_shown() -> None:
    """Whatever is committed in docs/benchmarks makes a page."""
    from docs_benchmarks import benchmark_tables

    assert benchmark_tables().strip()
