"""From structures to packed graphs: shifted to the mean of their points, and joined by edges.

Positions and targets are float64 on disk. A float64 model (the proof of equivariance to 1e-10)
would otherwise start from rounded coordinates, and beside the edges, 80 bytes a point at k = 10,
the 12 bytes a point that float32 would save are little; a batch is cast to the model's precision.
Edge features are not stored: they are functions of the positions, and must turn with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.fields import Field
from graphwright.data.packed import PackedGraphs
from graphwright.data.packed_writer import PackedWriter
from graphwright.nn.neighbors import knn_edges, radius_edges
from graphwright.tasks.geometry.data_config import GraphConfig
from graphwright.tasks.geometry.structures import StructureTable, point_means

__all__ = ["CHUNK_POINTS", "build_graphs", "build_store", "graph_fields"]

CHUNK_POINTS = 1 << 16
"""Points whose edges are sought at once, unless one structure alone has more."""


def graph_fields(table: StructureTable) -> list[Field]:
    """The fields of the graphs that a table becomes, with shapes, units and meanings."""
    unit, kind = table.position_unit, "relative to origin" if table.target_is_position else "as is"
    fields = [
        Field("pos", "node", "float64", (3,), unit, "position relative to origin"),
        Field("origin", "graph", "float64", (3,), unit, "mean of the points as they were given"),
        Field("name", "graph", "str", meaning="what the input calls the structure"),
    ]
    if table.z is not None:
        fields.append(Field("z", "node", "int16", meaning="atomic number"))
    if table.features is not None:
        width = table.features.shape[1]
        fields.append(Field("features", "node", "float64", (width,), meaning="invariant features"))
    if table.target is not None:
        meaning = f"{table.target_name or 'target'}, {kind}"
        fields.append(Field("target", "graph", "float64", (3,), table.target_unit, meaning))
    if table.group is not None:
        fields.append(Field("group", "graph", "int64", meaning="kept together by the split"))
    return fields


def build_store(
    table: StructureTable, folder: str | Path, *, graph: GraphConfig, overwrite: bool = False
) -> PackedGraphs:
    """Write the graphs of a table to a folder, in bounded memory, and open it.

    A target that is a position (`target_is_position`, also an attribute of the store) is shifted
    with the points; add `origin` to come back. Any other target is kept as it is.

    Args:
        table: structures without bad values.
        folder: where the store will be.
        graph: which points are joined; edges are directed, source row 0, target row 1.
        overwrite: replace a store that is there.

    Raises:
        DataError: the folder exists, a value is not finite, or the disk is full.
    """
    with PackedWriter(folder, graph_fields(table), _attributes(table, graph), overwrite) as writer:
        for chunk in _chunks(table, graph):
            writer.add_many(**chunk)
    return PackedGraphs.open(folder)


def build_graphs(table: StructureTable, *, graph: GraphConfig) -> PackedGraphs:
    """The same graphs as `build_store`, in memory: for input to predict on.

    Raises:
        DataError: a value is not finite.
    """
    chunks = list(_chunks(table, graph))
    values = _values(table)
    return PackedGraphs.from_arrays(
        node_counts=table.counts,
        edge_counts=np.concatenate([np.zeros(0, np.int64), *(c["edge_counts"] for c in chunks)]),
        edge_index=np.concatenate(
            [np.zeros((2, 0), np.int64), *(c["edge_index"] for c in chunks)], axis=1
        ),
        nodes=values["nodes"],
        graphs=values["graphs"],
        fields=graph_fields(table),
        attributes=_attributes(table, graph),
    )


def _attributes(table: StructureTable, graph: GraphConfig) -> dict[str, Any]:
    return {
        "target_name": table.target_name,
        "target_is_position": table.target_is_position,
        "graph": asdict(graph),
    }


def _chunks(table: StructureTable, graph: GraphConfig) -> Iterator[dict[str, Any]]:
    """What `PackedWriter.add_many` takes, for runs of whole structures."""
    start = 0
    while start < len(table):
        limit = table.offsets[start] + CHUNK_POINTS
        stop = max(start + 1, int(np.searchsorted(table.offsets, limit, side="right")) - 1)
        part = table.select(np.arange(start, stop))
        values = _values(part)
        edge_index, edge_counts = _edges(values["nodes"]["pos"], part.offsets, graph)
        yield {
            "node_counts": part.counts,
            "edge_counts": edge_counts,
            "edge_index": edge_index,
            **values,
        }
        start = stop


def _values(table: StructureTable) -> dict[str, dict[str, Any]]:
    """Fields of nodes and graphs."""
    origin_S3 = point_means(table.pos, table.offsets)
    nodes: dict[str, Any] = {"pos": table.pos - np.repeat(origin_S3, table.counts, axis=0)}
    if table.z is not None:
        nodes["z"] = table.z
    if table.features is not None:
        nodes["features"] = table.features
    graphs: dict[str, Any] = {"origin": origin_S3, "name": table.names.tolist()}
    if table.target is not None:
        shift = origin_S3 if table.target_is_position else 0.0
        graphs["target"] = table.target - shift
    if table.group is not None:
        graphs["group"] = table.group
    return {"nodes": nodes, "graphs": graphs}


def _edges(
    pos_N3: NDArray[np.float64], offsets: NDArray[np.int64], graph: GraphConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges [2,E], numbered from 0 in every structure, and how many each structure has [S]."""
    # float64: two neighbours that are equally far in float32 would change places under rotation
    pos, ptr = torch.from_numpy(pos_N3), torch.from_numpy(offsets)
    edges: Tensor
    if graph.kind == "knn":
        edges = knn_edges(pos, ptr, graph.k)
    else:
        edges = radius_edges(pos, ptr, graph.cutoff, graph.max_neighbors)
    edge_index: NDArray[np.int64] = edges.numpy()
    # edges are sorted by target, hence by structure
    owner_E = np.searchsorted(offsets, edge_index[1], side="right") - 1
    return edge_index - offsets[owner_E], np.bincount(owner_E, minlength=len(offsets) - 1)
