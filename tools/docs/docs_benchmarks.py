"""Tables of the benchmarks, from the files that tools/run_benchmarks.py writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_links import ROOT

__all__ = ["benchmark_tables"]

FOLDER = ROOT / "docs/benchmarks"


def benchmark_tables(_: str = "", folder: Path = FOLDER) -> str:
    """One section for each file, as Markdown; a sentence where there is none."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not records:
        return "None has been measured yet: `python tools/run_benchmarks.py`."
    return "\n\n".join(_section(record) for record in records)


def _section(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    place = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}"
    )
    before, after = record["load"]
    when = f"{record['date']}, load {before:g} before and {after:g} after, {record['seconds']:g} s"
    rows = ["| case | ours | peer | unit | ratio | equal | |", "|---|---|---|---|---|---|---|"]
    rows += [_row(row) for row in record["rows"]]
    parts = [f"## {record['name']}", record["about"], "\n".join(rows)]
    return "\n\n".join([*parts, f"{when}. {place}. `{record['command']}`"])


def _row(row: Mapping[str, Any]) -> str:
    ratio = "" if row.get("ratio") is None else f"{row['ratio']:.2f}"
    equal = {True: "yes", False: "**no**", None: ""}[row.get("equal")]
    cells = [f"`{row['case']}`", _number(row["ours"]), _number(row.get("peer")), row["unit"]]
    cells += [ratio, equal, str(row.get("note", "")).replace("|", "\\|")]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
