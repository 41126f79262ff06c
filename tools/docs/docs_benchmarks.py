"""Tables of the benchmarks, from the files that tools/run_benchmarks.py writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs_links import ROOT

__all__ = ["benchmark_tables"]

FOLDER = ROOT / "docs/benchmarks"


_SCALES = {"s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))}
_LEGEND = (
    "**×** is how many times faster, or smaller, ours is than the peer (below 1: slower, or "
    "larger); ✓ stands where the results of both were compared first, and are equal."
)


def benchmark_tables(_: str = "", folder: Path = FOLDER) -> str:
    """One section for each file, as Markdown; a sentence where there is none."""
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    if not records:
        return "None has been measured yet: `python tools/run_benchmarks.py`."
    return "\n\n".join([_LEGEND, *map(_section, records)])


def _section(record: Mapping[str, Any]) -> str:
    before, after = record["load"]
    when = f"{record['date']}, load {before:g} before and {after:g} after, {record['seconds']:g} s"
    # what all rows say is said once
    notes = [str(row.get("note") or "") for row in record["rows"]]
    shared = notes[0] if len(notes) > 1 and len(set(notes)) == 1 else ""
    rows = ["| case | ours | peer | × | |", "|:---|---:|---:|---:|---|"]
    rows += [
        _row(row, "" if shared else note) for row, note in zip(record["rows"], notes, strict=True)
    ]
    about = " ".join(filter(None, [record["about"], shared and f"({shared}.)"]))
    place = f"<small>`{record['command']}`, {when}. {_machine(record['machine'])}</small>"
    return "\n\n".join([f"## {record['name']}", about, "\n".join(rows), place])


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, "
        f"{machine['system']}, Python {machine['python']}, torch {machine['torch']}"
    )


def _row(row: Mapping[str, Any], note: str) -> str:
    ratio = "" if row.get("ratio") is None else f"**{_ratio(row['ratio'])}**"
    equal = {True: "✓", False: "**not equal**", None: ""}[row.get("equal")]
    case = f"`{row['case']}`"
    if note:
        case += f"<br><small>{note}</small>".replace("|", "\\|")
    ours, peer = (_quantity(row.get(which), row["unit"]) for which in ("ours", "peer"))
    return "| " + " | ".join([case, ours, peer, ratio, equal]) + " |"


def _quantity(value: float | None, unit: str) -> str:
    """With its unit, seconds in the unit that fits, on one line."""
    if value is None:
        return ""
    scales = _SCALES.get(unit, ((1.0, unit),))
    scale, name = next((one for one in scales if abs(value) >= one[0]), scales[-1])
    return f"{_number(value / scale)} {name}".strip().replace(" ", "&nbsp;")


def _ratio(value: float) -> str:
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
