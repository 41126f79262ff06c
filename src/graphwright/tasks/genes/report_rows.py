"""The tables of an evaluation, in the form that `metrics.json` keeps (docs/run_folder.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphwright.tasks.genes.bootstrap import Interval
from graphwright.tasks.genes.replicates import Ceiling

__all__ = ["ceiling_table", "interval_table", "main_table", "size_table"]

Results = Mapping[str, Mapping[str, float]]  # metrics by the name of the row

_SCORES = {"Pearson r": "pearson", "Spearman ρ": "spearman", "MSE": "mse", "MAE": "mae"}
_CALLS = {"AUROC": "auroc", "average precision": "average_precision"}
_TITLES = {"pearson": "Pearson r", "average_precision": "average precision"}


def main_table(
    results: Results, model: str, split: str, *, calls: bool, notes: Sequence[str]
) -> dict[str, Any]:
    """One row for the model and each null."""
    shown = _CALLS if calls else _SCORES
    what = "Calls" if calls else "Interactions"
    rows: list[list[Any]] = [
        [name, *(measured[key] for key in shown.values())] for name, measured in results.items()
    ]
    if calls:
        notes = [*notes, "Average precision of an order at random: the share of calls."]
        rows.append(["share of calls", None, results[model]["prevalence"]])
    return {
        "title": f"{what} of the {split} sets",
        "note": " ".join(notes),
        "columns": ["model", *shown],
        "rows": rows,
        "highlight": model,
    }


def interval_table(
    results: Results, spreads: Mapping[str, Interval], model: str, metric: str, *, how: str
) -> dict[str, Any]:
    """Each row's metric between its bounds, and how far the model is above it."""
    own = results[model][metric]
    rows: list[list[Any]] = []
    for name, measured in results.items():
        bounds = spreads[name]
        lead: list[float | None] = [None, None, None]
        if name != model:
            lead = [own - measured[metric], bounds.above_low, bounds.above_high]
        rows.append([name, measured[metric], bounds.low, bounds.high, *lead])
    title = _TITLES[metric]
    return {
        "title": f"How sure: {title}",
        "note": f"95 % intervals over {how}; the model's lead on the same resamples. They tell of "
        "this test split alone, not of other seeds.",
        "columns": ["model", "value", "low", "high", "model's lead", "lead low", "lead high"],
        "rows": rows,
        "highlight": model,
    }


def size_table(
    found: Mapping[int, tuple[int, Results]], model: str, *, calls: bool
) -> dict[str, Any]:
    """Sets of each size apart.

    Args:
        found: by size: how many sets there are, and the metrics of each row.
        model: name of the model's row.
        calls: which metrics there are.
    """
    shown = _CALLS if calls else _SCORES
    rows = [
        [f"{name}, {size} genes", count, *(measured[key] for key in shown.values())]
        for size, (count, results) in found.items()
        for name, measured in results.items()
    ]
    return {
        "title": "By size of the set",
        "note": "Model and nulls are those of the whole split.",
        "columns": ["model", "sets", *shown],
        "rows": rows,
        "highlight": None,
    }


def ceiling_table(ceiling: Ceiling) -> list[dict[str, Any]]:
    """What noise leaves possible; none where nothing is known.

    A table of its own, so that nobody takes it for a null.
    """
    if ceiling.agreement is None:
        return []
    # none where the noise is known without repeats
    count, known = ceiling.count or None, "Estimated from repeats" if ceiling.count else "Known"
    rows = [
        ["two measurements of a set", ceiling.agreement, ceiling.noise, count],
        ["perfect predictor", ceiling.perfect, None, count],
    ]
    return [
        {
            "title": "Replicate ceiling" if ceiling.count else "Noise ceiling",
            "note": f"{known}: {ceiling.how} The perfect predictor is that of "
            "labels measured once.",
            "columns": ["", "Pearson r", "sd of a measurement", "sets"],
            "rows": rows,
            "highlight": None,
        }
    ]
