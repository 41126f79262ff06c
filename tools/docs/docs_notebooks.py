"""A notebook as a page: its text and its code. Outputs are not kept in the repository."""

from __future__ import annotations

import json
from pathlib import Path

from docs_links import ROOT

__all__ = ["notebook_page"]


def notebook_page(path: Path) -> str:
    """Markdown of a notebook's cells, with a line that says where the notebook is."""
    notebook = json.loads(path.read_text())
    parts = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    where = f"This page is `{path.relative_to(ROOT)}`; Jupyter shows its outputs and figures."
    return "\n\n".join([parts[0], where, *parts[1:]]) + "\n"


def _cell(kind: str, source: str) -> str:
    return f"```python\n{source}\n```" if kind == "code" else source
