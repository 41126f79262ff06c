"""Every notebook runs from its first cell to its last, and is kept without outputs."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from graphwright.config.presets import TASKS

FOLDER = Path(__file__).resolve().parent.parent / "examples/notebooks"
NOTEBOOKS = [FOLDER / f"{task}.ipynb" for task in TASKS]
SECONDS = 300  # of one cell, on a busy machine


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_clean(path: Path) -> None:
    """Valid, explained, without outputs or counters, with the same cell ids each time."""
    notebook = json.loads(path.read_text())
    nbformat.validate(notebook)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len(texts) >= len(code) - 1, "code that nobody explains"
    assert "".join(texts[0]["source"]).startswith(f"# {path.stem}")
    for cell in code:
        compile("".join(cell["source"]), path.name, "exec")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own; it ends with a prediction and shows a figure."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own event loops
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in _data(output) for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs), _errors(outputs)
    assert list(tmp_path.glob("runs/**/bundle/model.json"))


def _data(output: Any) -> dict[str, Any]:
    return dict(output.get("data", {}))


def _errors(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stderr")
