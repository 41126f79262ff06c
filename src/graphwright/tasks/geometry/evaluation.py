"""A model's errors on held-out structures, as given and randomly rotated, beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.batch import GraphBatch
from graphwright.data.source import Subset
from graphwright.tasks.geometry.baselines import predict_hull_centroid, predict_zero
from graphwright.tasks.geometry.metrics import AXES, random_rotations, vector_metrics
from graphwright.tasks.geometry.sources import Rotated
from graphwright.training.task import Columns, Evaluation, Infer

__all__ = ["evaluate_vectors"]

# the rotations are part of the benchmark: the same for every model and seed
ROTATION_SEED = 20_260_101

Vectors = NDArray[np.float64]


def evaluate_vectors(
    infer: Infer, source: Subset, state: Mapping[str, Any], *, name: str, split: str
) -> Evaluation:
    """Errors as given and on randomly rotated structures, and every structure's prediction.

    A model that is not equivariant can live off an object's canonical pose; the rotated columns
    show what it knows without it.

    Args:
        infer: the trained model over a source.
        source: the split's structures.
        state: the task's fitted state.
        name: of the model, for the tables.
        split: name of the split.
    """
    batch = source.batch(np.arange(len(source)))
    assert isinstance(batch, GraphBatch)
    matrices = random_rotations(len(source), ROTATION_SEED)
    predictions = {
        name: (
            _vectors(infer(source), batch, state),
            _vectors(infer(Rotated(source, matrices)), batch, state, matrices),
        )
    }
    notes = _add_baselines(predictions, batch, matrices, state)
    target = batch.graphs["target"].double().numpy()
    rotated_target = np.einsum("sij,sj->si", matrices, target)
    angles = not state["target_is_position"]
    results = {
        row: (
            vector_metrics(given, target, angles=angles),
            vector_metrics(rotated, rotated_target, angles=angles),
        )
        for row, (given, rotated) in predictions.items()
    }
    report = _report(results, state, name=name, split=split, notes=notes)
    return Evaluation(report, _columns(source, batch, predictions[name][0], target, state, split))


def _vectors(
    columns: Columns, batch: GraphBatch, state: Mapping[str, Any], matrices: Vectors | None = None
) -> Vectors:
    """Predictions relative to the mean of the points, whatever frame they were given in."""
    vectors = np.stack([columns[f"predicted_{axis}"] for axis in AXES], axis=1)
    if not state["target_is_position"]:
        return vectors
    origin = batch.graphs["origin"].double().numpy()
    if matrices is not None:
        origin = np.einsum("sij,sj->si", matrices, origin)
    relative: Vectors = vectors - origin
    return relative


def _add_baselines(
    predictions: dict[str, tuple[Vectors, Vectors]],
    batch: GraphBatch,
    matrices: Vectors,
    state: Mapping[str, Any],
) -> list[str]:
    """Rows that need no training; returns what a reader must know about them."""
    offsets = batch.node_ptr.numpy()
    zero = predict_zero(offsets)
    predictions["centroid of the points" if state["target_is_position"] else "zero"] = (zero, zero)
    if not state["target_is_position"]:
        return []
    hull = predict_hull_centroid(batch.nodes["pos"].double().numpy(), offsets)
    # a hull turns with its points: no second computation
    rotated = np.einsum("sij,sj->si", matrices, hull.vectors)
    predictions["convex-hull centroid"] = (hull.vectors, rotated)
    flat = int(hull.degenerate.sum())
    return (
        [f"{flat} structures have no hull volume; there the hull predicts the mean of the points."]
        if flat
        else []
    )


def _report(
    results: Mapping[str, tuple[dict[str, float], dict[str, float]]],
    state: Mapping[str, Any],
    *,
    name: str,
    split: str,
    notes: list[str],
) -> dict[str, Any]:
    position, unit = state["target_is_position"], state["target_unit"]
    primary = "displacement_mean" if position else "mae"
    given, rotated = results[name]
    return {
        "task": "geometry",
        "split": split,
        "primary": f"rotated_{primary}",
        "higher_is_better": False,
        "metrics": {**given, **{f"rotated_{key}": value for key, value in rotated.items()}},
        "tables": [_table(results, name, split, unit, notes, angles=not position)],
        "scatter": {
            "target": [f"target_{axis}" for axis in AXES],
            "predicted": [f"predicted_{axis}" for axis in AXES],
            "label": state["target_name"] or "target",
            "unit": unit,
        },
    }


def _table(
    results: Mapping[str, tuple[dict[str, float], dict[str, float]]],
    name: str,
    split: str,
    unit: str,
    notes: list[str],
    *,
    angles: bool,
) -> dict[str, Any]:
    suffix = f" ({unit})" if unit else ""
    columns = {
        f"mean error, rotated{suffix}": (1, "displacement_mean"),
        f"MAE, rotated{suffix}": (1, "mae"),
        f"mean error{suffix}": (0, "displacement_mean"),
        f"95 % of errors below{suffix}": (0, "displacement_p95"),
        f"MAE{suffix}": (0, "mae"),
    }
    columns |= {f"MAE {axis}{suffix}": (0, f"mae_{axis}") for axis in AXES}
    if angles:
        columns["mean angle, rotated (°)"] = (1, "angle_mean_deg")
    note = [
        "Mean error is the mean length of the error vector; MAE is per component.",
        "Rotated: every structure turned by its own random rotation (fixed seed).",
        *notes,
    ]
    return {
        "title": f"Errors on the {split} split",
        "note": " ".join(note),
        "columns": ["model", *columns],
        "rows": [
            [row, *(pair[which].get(key) for which, key in columns.values())]
            for row, pair in results.items()
        ],
        "highlight": name,
    }


def _columns(
    source: Subset,
    batch: GraphBatch,
    predicted: Vectors,
    target: Vectors,
    state: Mapping[str, Any],
    split: str,
) -> Columns:
    """One row a structure, in the frame of the input."""
    origin = batch.graphs["origin"].double().numpy() if state["target_is_position"] else 0.0
    names = source.source.strings("name", source.indices)  # type: ignore[attr-defined]
    columns: Columns = {"id": np.array(names), "split": np.full(len(names), split)}
    for i, axis in enumerate(AXES):
        columns[f"target_{axis}"] = (target + origin)[:, i]
        columns[f"predicted_{axis}"] = (predicted + origin)[:, i]
    return columns
