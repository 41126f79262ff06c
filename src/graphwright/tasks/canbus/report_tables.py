"""Tables and words of a canbus report (`metrics.json` in docs/run_folder.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphwright.tasks.canbus.metrics import METRICS
from graphwright.tasks.canbus.verdicts import Measured, Scope

__all__ = ["behind_parts", "flat_metrics", "folder_table", "result_rows", "summary_table"]

Rows = Mapping[str, Measured]
Results = Sequence[tuple[Scope, Rows]]

HEADINGS = {
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
    "MCC": "mcc",
    "AUROC": "auroc",
    "AP": "ap",
    "FPR": "fpr",
    "false alarms/h": "false_alarms_per_hour",
    "events caught": "",
    "median time to alarm (s)": "median_time_to_alarm_s",
}
MARGIN = 0.005  # F1 by which a part alone may be better before it is told


def summary_table(rows: Rows, *, model: str, split: str, note: str) -> dict[str, Any]:
    """Means over the folders, the model's row first."""
    return {
        "title": f"Mean over the folders of the {split} split",
        "note": note,
        "columns": ["model", *HEADINGS],
        "rows": [[name, *_cells(measured)] for name, measured in rows.items()],
        "highlight": model,
    }


def folder_table(
    title: str, results: Results, *, model: str, note: str, heading: str
) -> dict[str, Any]:
    """A row for each model in each scope, scope by scope.

    Args:
        title, note: of the table.
        results: scopes of one folder and their rows.
        model: whose rows are marked.
        heading: "attack" or "capture": what a scope is.
    """
    lines = []
    for scope, rows in results:
        name = (scope.capture if heading == "capture" else scope.attack) or "all"
        lines += [[row, name, *_cells(measured)] for row, measured in rows.items()]
    return {
        "title": title,
        "note": note,
        "columns": ["model", heading, *HEADINGS],
        "rows": lines,
        "highlight": model,
    }


def behind_parts(results: Results, *, model: str, parts: Sequence[str]) -> dict[str, Any]:
    """Where a part alone has an F1 more than 0.005 above the model's; no rows: nowhere."""
    lines = []
    for scope, rows in results:
        own = rows[model].windows["f1"]
        best = max(parts, key=lambda part: _or_low(rows[part].windows["f1"]))
        value = rows[best].windows["f1"]
        if value - own > MARGIN:
            lines.append([scope.key, own, best, value, value - own])
    found = f"{len(lines)} of {len(results)} folders and captures"
    return {
        "title": "Where a part alone is better",
        "note": f"F1 of a part is more than {MARGIN} above that of {model} in {found}.",
        "columns": ["where", f"F1 of {model}", "best part", "its F1", "difference"],
        "rows": lines,
        "highlight": None,
    }


def flat_metrics(
    rows: Rows, *, model: str, calibrated: str | None, prefix: str
) -> dict[str, float]:
    """The model's own numbers by name, `prefix_…` for calibrated ones; undefined ones left out.

    Args:
        rows: of one scope.
        model, calibrated: names of the model's rows.
        prefix: before every name, such as `test_01…/`.
    """
    found: dict[str, Any] = {}
    for row, kind in ((model, ""), (calibrated, "prefix_")):
        if row is not None:
            numbers = rows[row].numbers()
            found |= {f"{prefix}{kind}{name}": value for name, value in numbers.items()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def result_rows(results: Iterable[tuple[Scope, Rows]]) -> list[dict[str, Any]]:
    """Every number of every row in every scope, for who compares runs; undefined is None."""
    return [
        {
            "folder": scope.folder,
            "attack": scope.attack,
            "capture": scope.capture,
            "model": row,
            **{name: _defined(value) for name, value in measured.numbers().items()},
        }
        for scope, rows in results
        for row, measured in rows.items()
    ]


def _cells(measured: Measured) -> list[Any]:
    numbers = measured.numbers()
    caught = f"{measured.alarms.caught} of {measured.alarms.events}"
    if not measured.alarms.events:
        caught = ""
    unjudged = all(math.isnan(measured.windows[name]) for name in METRICS)
    return [
        None if unjudged else _defined(numbers[key]) if key else caught or None
        for key in HEADINGS.values()
    ]


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_low(value: float) -> float:
    return -math.inf if math.isnan(value) else value
