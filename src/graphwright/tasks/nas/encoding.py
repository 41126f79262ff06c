"""What models see: graphs of vocabulary indices and scaled numbers, all made in one pass.

Legend: A = architectures, N = nodes, E = edges, T = metrics, H = hyperparameters, F = features,
K = paths.

Fields of the graphs, and so of every batch:

- nodes `op` int64 [N]: place in the vocabulary, 0 for a type that it does not have;
- nodes `hyper` float32 [N, 2H]: scaled hyperparameters, then whether the node has each;
- nodes `position` float32 [N, 2]: scaled longest path from the input, and to the output;
- nodes `level` int64 [N]: 0 for operations and 1 for cells of a network;
- graphs `features` float32 [A, F], `paths` float32 [A, K];
- graphs `target`, `valid` float32 [A, T]: transformed labels, 0 where there is none, and 1 or 0.

A field is there where the data have it and the configuration asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray
from graphwright.tasks.nas.arch import UNKNOWN, Cells
from graphwright.tasks.nas.columns import ColumnScaler
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.features import (
    computed_features,
    fit_features,
    graph_features,
    scaled_features,
    table_features,
)
from graphwright.tasks.nas.labels import Labels
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.paths import path_encoding, path_statistics, path_vocabulary, prune
from graphwright.tasks.nas.virtual_node import VIRTUAL, with_virtual_node

__all__ = ["encode", "fit_encoding"]

# edges up to which the ends of edges are kept as batches need them, and not in half of the memory
_READY_EDGES = 1 << 20


@dataclass(frozen=True, eq=False)
class _Graphs:
    """Graphs over a vocabulary on their way to a model.

    Attributes:
        cells: as the model will see them, but for the virtual node.
        nodes: fields of the nodes of `cells` as the store has them: `level`, `attr`.
        types: type name of every code.
        clean: whether they were pruned.
    """

    cells: Cells
    nodes: dict[str, NDArray[Any]]
    types: tuple[str, ...]
    clean: bool

    @cached_property
    def pruned(self) -> Cells:
        """Without `none` operations and what is on no path."""
        return self.cells if self.clean else prune(self.cells, self.types)


def fit_encoding(loaded: Loaded, train: IndexArray, config: NasConfig) -> dict[str, Any]:
    """Everything that is learnt from the training architectures before training, as JSON.

    Args:
        loaded: architectures.
        train: places of those that are trained on `[A]`.
        config: graph and label options.

    Raises:
        DataError: a metric has no valid training label, or there are too many paths.
    """
    graph, types = config.data.graph, _types(loaded, train)
    types += (VIRTUAL,) if graph.virtual_node else ()
    graphs = _prepare(loaded, train, types, prune_nodes=graph.prune)
    state: dict[str, Any] = {"space": loaded.layout.space, "vocabulary": list(types)}
    state["hyperparameters"] = _fit_hyperparameters(loaded, train)
    if graph.positions:
        scaler = ColumnScaler.fit(_positions(graphs.cells), ("from_input", "to_output"))
        state["positions"] = scaler.to_json()
    if graph.features:
        names = loaded.layout.features
        state["features"] = fit_features(
            loaded, train, *graph_features(graphs.pruned, types)
        ).to_json()
        state["table_features"] = list(names)
        state["computed_features"] = computed_features(loaded, train, names)
    if graph.paths:
        state["paths"] = [int(code) for code in path_vocabulary(graphs.pruned, graph.paths)]
    if loaded.layout.metrics:
        labels = Labels.fit(loaded.targets(train), loaded.layout.metrics, config.data.labels)
        state["labels"] = labels.to_json()
    return state


def encode(
    loaded: Loaded, index: IndexArray, state: Mapping[str, Any], config: NasConfig
) -> PackedGraphs:
    """Graphs that a model reads, in memory; `index` of a batch counts in the order of `index`.

    Args:
        loaded: architectures, also others than those of `fit_encoding`.
        index: places of those that are wanted `[A]`, in any order.
        state: of `fit_encoding`.
        config: the configuration that it was fitted with.

    Raises:
        DataError: the model needs features that the architectures do not come with.
    """
    graph, types = config.data.graph, tuple(state["vocabulary"])
    graphs = _prepare(loaded, index, types, prune_nodes=graph.prune)
    cells, nodes = graphs.cells, _node_fields(loaded, graphs, state)
    fields = _graph_fields(loaded, index, graphs, state)
    if graph.virtual_node:
        cells, nodes = with_virtual_node(cells, types, nodes)
    wide = len(cells.edge_index[0]) > _READY_EDGES
    return PackedGraphs.from_arrays(
        node_counts=cells.node_counts,
        edge_counts=cells.edge_counts,
        edge_index=cells.edge_index,
        nodes={"op": cells.ops.astype(np.int64), **nodes},
        graphs=fields,
        index_dtype="int32" if wide else "int64",
    )


def _types(loaded: Loaded, train: IndexArray) -> tuple[str, ...]:
    """All types of a space, or those of the training graphs; the unknown one first."""
    if not loaded.layout.traced:
        return (UNKNOWN, *sorted(loaded.ops))
    seen = np.unique(loaded.store.batch(train).nodes["op"].numpy())
    return (UNKNOWN, *sorted(loaded.ops[code] for code in seen))


def _prepare(
    loaded: Loaded, index: IndexArray, types: Sequence[str], *, prune_nodes: bool
) -> _Graphs:
    cells = loaded.cells(index)
    places = {name: place for place, name in enumerate(types)}
    codes = np.array([places.get(name, 0) for name in loaded.ops], _code_dtype(types))
    # pruning moves `level` along with the nodes, whatever it holds: here the number of each
    number = cast("NDArray[np.uint8]", np.arange(len(cells.ops)))
    kept = replace(cells, ops=codes[cells.ops], level=number)
    kept = prune(kept, types) if prune_nodes else kept
    nodes: dict[str, NDArray[Any]] = {}
    if cells.level is not None:
        nodes["level"] = cells.level[kept.level].astype(np.int64)
    if loaded.layout.traced:
        nodes["attr"] = loaded.store.batch(index).nodes["attr"].numpy()[kept.level]
    return _Graphs(replace(kept, level=None), nodes, tuple(types), prune_nodes)


def _code_dtype(types: Sequence[str]) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if len(types) <= 256 else np.uint16


def _fit_hyperparameters(loaded: Loaded, train: IndexArray) -> dict[str, Any] | None:
    """The scale of every hyperparameter that a training node has, weighted by nodes."""
    if not loaded.layout.traced:
        return None
    attr_N = loaded.store.batch(train).nodes["attr"].numpy()
    weights_R = np.bincount(attr_N, minlength=len(loaded.hyper_RH)).astype(np.float64)
    seen = np.flatnonzero(np.isfinite(loaded.hyper_RH[weights_R > 0]).any(axis=0))
    names = [loaded.hyperparameters[column] for column in seen]
    values_RH = loaded.hyper_RH[:, seen].astype(np.float64)
    return ColumnScaler.fit(values_RH, names, weights_R).to_json() if names else None


def _node_fields(
    loaded: Loaded, graphs: _Graphs, state: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    fields = {name: values for name, values in graphs.nodes.items() if name == "level"}
    if state["hyperparameters"]:
        scaler = ColumnScaler.from_json(state["hyperparameters"])
        fields["hyper"] = _hyper_rows(loaded, scaler)[graphs.nodes["attr"]]
    if "positions" in state:
        scaler = ColumnScaler.from_json(state["positions"])
        fields["position"] = scaler.transform(_positions(graphs.cells))[0].astype(np.float32)
    return fields


def _hyper_rows(loaded: Loaded, scaler: ColumnScaler) -> NDArray[np.float32]:
    """Scaled hyperparameters and their presence `[R, 2H]`, in the order of the state."""
    column = {name: place for place, name in enumerate(loaded.hyperparameters)}
    values_RH = np.full((len(loaded.hyper_RH), len(scaler.names)), np.nan)
    for place, name in enumerate(scaler.names):
        if name in column:
            values_RH[:, place] = loaded.hyper_RH[:, column[name]]
    return np.concatenate(scaler.transform(values_RH), axis=1, dtype=np.float32)


def _positions(cells: Cells) -> NDArray[np.float64]:
    paths = path_statistics(cells)
    return np.stack([paths.depth, paths.height], axis=1).astype(np.float64)


def _graph_fields(
    loaded: Loaded, index: IndexArray, graphs: _Graphs, state: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    fields: dict[str, NDArray[Any]] = {}
    if "features" in state:
        computed = state["computed_features"]
        table_AF = table_features(loaded, index, state["table_features"], computed)
        shown_AF, _ = graph_features(graphs.pruned, state["vocabulary"])
        scaler = ColumnScaler.from_json(state["features"])
        fields["features"] = scaled_features(np.concatenate([table_AF, shown_AF], axis=1), scaler)
    if "paths" in state:
        vocabulary_K = np.array(state["paths"], np.uint64)
        fields["paths"] = path_encoding(graphs.pruned, vocabulary_K).astype(np.float32)
    if loaded.layout.metrics and "labels" in state:
        target_AT, valid_AT = _labels(loaded, index, state)
        fields |= {"target": target_AT, "valid": valid_AT}
    return fields


def _labels(
    loaded: Loaded, index: IndexArray, state: Mapping[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    labels = Labels.from_json(state["labels"])
    column = [loaded.layout.metrics.index(name) for name in labels.metrics]
    scores_AT, valid_AT = labels.transform(loaded.targets(index)[:, column])
    return scores_AT.astype(np.float32), valid_AT.astype(np.float32)
