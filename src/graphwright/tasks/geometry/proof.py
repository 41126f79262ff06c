"""Proof of equivariance on trained weights, with edges rebuilt from the moved points."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.data.batch import GraphBatch
from graphwright.data.source import SampleSource
from graphwright.tasks.geometry.data_config import GraphConfig
from graphwright.tasks.geometry.graphs import build_graphs
from graphwright.tasks.geometry.metrics import random_rotations
from graphwright.tasks.geometry.structures import StructureTable
from graphwright.tasks.geometry.vector_model import VectorModel

__all__ = ["equivariance_report"]

ROTATIONS, REFLECTIONS, STRUCTURES, SEED = 20, 4, 16, 7
BOUNDS = {"float32": 1e-5, "float64": 1e-10}

Vectors = NDArray[np.float64]


def equivariance_report(
    model: VectorModel, source: SampleSource, graph: GraphConfig
) -> dict[str, Any]:
    """Largest relative errors under rotation, reflection, translation and permutation.

    The error of a transformation g is max_s |f(g x_s) - g f(x_s)| over structures s, relative to
    the root mean square length of the f(x_s): a structure whose vector vanishes by symmetry would
    make a ratio of its own meaningless.

    Args:
        model: trained; a copy is used.
        source: structures to try, the first 16.
        graph: how edges are built from points.

    Returns:
        A table: a row for each precision, a column for each kind of transformation, and the bound.
    """
    batch = source.batch(np.arange(min(STRUCTURES, len(source))))
    assert isinstance(batch, GraphBatch)
    table = _as_table(batch)
    rows = []
    for name, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        twin = copy.deepcopy(model).to("cpu", dtype).eval()
        errors = _errors(twin, table, graph, dtype)
        rows.append([name, *errors.values(), BOUNDS[name]])
    return {
        "title": "Largest relative error of equivariance",
        "note": f"{ROTATIONS} random rotations and {REFLECTIONS} reflections of {len(table)} "
        "structures, edges rebuilt; relative to the root mean square length of the predictions.",
        "columns": ["precision", *errors, "bound"],
        "rows": rows,
    }


def _errors(
    model: VectorModel, table: StructureTable, graph: GraphConfig, dtype: torch.dtype
) -> dict[str, float]:
    base = _predict(model, table, graph, dtype)
    size = float(np.sqrt(np.square(base).sum(1).mean())) or 1.0

    def largest(matrices: Vectors) -> float:
        errors = []
        for matrix in matrices:
            moved = _predict(model, _moved(table, matrix), graph, dtype)
            errors.append(np.linalg.norm(moved - base @ matrix.T, axis=1).max())
        return float(max(errors)) / size

    shift = np.random.default_rng(SEED).normal(size=3)
    shifted = _predict(model, _replaced(table, table.pos + shift), graph, dtype)
    permuted = _predict(model, _permuted(table), graph, dtype)
    return {
        "rotation": largest(random_rotations(ROTATIONS, SEED)),
        "reflection": largest(-random_rotations(REFLECTIONS, SEED + 1)),
        "translation": float(np.linalg.norm(shifted - base, axis=1).max()) / size,
        "permutation": float(np.linalg.norm(permuted - base, axis=1).max()) / size,
    }


@torch.inference_mode()
def _predict(
    model: VectorModel, table: StructureTable, graph: GraphConfig, dtype: torch.dtype
) -> Vectors:
    """Vectors relative to the mean of the points, float64 [S, 3]."""
    store = build_graphs(table, graph=graph)
    batch = store.batch(np.arange(len(store))).to("cpu", dtype=dtype)
    vectors: Vectors = model(batch).double().numpy()
    return vectors


def _as_table(batch: GraphBatch) -> StructureTable:
    def optional(name: str) -> Any:
        return batch.nodes[name].numpy() if name in batch.nodes else None

    return StructureTable(
        offsets=batch.node_ptr.numpy(),
        pos=batch.nodes["pos"].double().numpy(),
        names=np.array([str(i) for i in batch.index.tolist()]),
        z=optional("z"),
        features=optional("features"),
    )


def _replaced(table: StructureTable, pos: Vectors) -> StructureTable:
    return StructureTable(
        offsets=table.offsets, pos=pos, names=table.names, z=table.z, features=table.features
    )


def _moved(table: StructureTable, matrix: Vectors) -> StructureTable:
    return _replaced(table, table.pos @ matrix.T)


def _permuted(table: StructureTable) -> StructureTable:
    """The points of every structure in another order."""
    rng = np.random.default_rng(SEED)
    order = np.lexsort((rng.random(table.num_points), table.point_structure))
    return StructureTable(
        offsets=table.offsets,
        pos=table.pos[order],
        names=table.names,
        z=None if table.z is None else table.z[order],
        features=None if table.features is None else table.features[order],
    )
