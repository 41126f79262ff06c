"""Numbers of a whole architecture: what the table knows beforehand, and what its graph shows.

Legend: A = architectures, F = features, T = types of operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas import spaces
from graphwright.tasks.nas.arch import INPUT, OUTPUT, UNKNOWN, Cells
from graphwright.tasks.nas.columns import ColumnScaler
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.paths import longest_path_ops, path_statistics
from graphwright.tasks.nas.wiring import edge_kinds, operations_on_paths

__all__ = [
    "computed_features",
    "fit_features",
    "graph_features",
    "scaled_features",
    "table_features",
]

Float = NDArray[np.float64]
Index = NDArray[np.int64]
_FORMULAS = ("params", "flops")  # what the module of a space may offer
_CLOSE = 0.02
_FIXED = frozenset({INPUT, OUTPUT, UNKNOWN})
# beyond it (networks of many types) there are more kinds of edges than training architectures
_MOST_EDGE_KINDS = 256


def graph_features(cells: Cells, types: Sequence[str]) -> tuple[Float, list[str]]:
    """What pruned graphs show: nodes, edges, paths, and operations of the whole and on the way.

    Which operation feeds which is counted where there are few types, as in a space of cells.

    Args:
        cells: pruned architectures.
        types: type name of every code.

    Returns:
        `[A, F]` and the names of the columns. Paths are counted as log2(1 + paths).
    """
    paths = path_statistics(cells)
    all_AT = _operations(cells, len(types))
    longest_AT = longest_path_ops(cells, len(types))
    kept = [code for code, name in enumerate(types) if name not in _FIXED]
    whole = [
        cells.node_counts,
        cells.edge_counts,
        np.log2(1 + paths.count),
        paths.longest,
        paths.shortest,
    ]
    names = ["nodes", "edges", "log_paths", "longest_path", "shortest_path"]
    names += [f"count {types[code]}" for code in kept]
    names += [f"longest_path {types[code]}" for code in kept]
    columns = [np.stack(whole, axis=1), all_AT[:, kept], longest_AT[:, kept]]
    on_paths = operations_on_paths(cells, len(types))
    for word in ("least", "mean", "most"):
        columns.append(getattr(on_paths, word)[:, kept])
        names += [f"{word}_on_path {types[code]}" for code in kept]
    kinds_AK, kinds = _edges(cells, types)
    columns.append(kinds_AK)
    return np.concatenate(columns, axis=1, dtype=np.float64), names + kinds


def table_features(
    loaded: Loaded,
    index: Index,
    names: Sequence[str],
    computed: Mapping[str, Sequence[Any]] | None = None,
) -> Float:
    """Named features of the table `[A, F]`; NaN where one is unknown.

    Args:
        loaded: architectures.
        index: places of those that are wanted.
        names: of the features.
        computed: `computed_features` of the training architectures, for input without a table.

    Raises:
        DataError: features that these architectures do not come with, and no formula gives.
    """
    known, formulas = list(loaded.layout.features), computed or {}
    absent = [name for name in names if name not in known and name not in formulas]
    if absent:
        raise DataError(
            f"the model was trained with features that this input has not: {', '.join(absent)}",
            where=f"it has {', '.join(known) or 'none'}",
            fix="give them as columns of a table, or train with data.source.features=[]",
        )
    values_AF = np.empty((len(index), len(names)))
    stored_AF = loaded.store.column("features").numpy()[index] if known else None
    for place, name in enumerate(names):
        if stored_AF is not None and name in known:
            values_AF[:, place] = stored_AF[:, known.index(name)]
        else:
            function, factor = formulas[name]
            values_AF[:, place] = factor * _formula(loaded, function)(loaded.cells(index))
    return values_AF


def computed_features(loaded: Loaded, index: Index, names: Sequence[str]) -> dict[str, list[Any]]:
    """Which columns a formula of the space gives, as [function, factor of the unit].

    A column is found by its values, not its name: it must be the same multiple of the formula for
    all architectures at `index`, within `_CLOSE` (NAS-Bench-101 counted the parameters of some
    cells in another order of their vertices, which rounds some channels otherwise).
    """
    best: dict[str, tuple[float, list[Any]]] = {}
    values_AF = table_features(loaded, index, names)
    for function in _FORMULAS if len(index) else ():
        formula = _formula(loaded, function)
        if formula is None:
            continue
        exact_A = np.maximum(formula(loaded.cells(index)).astype(np.float64), 1e-300)
        for name, ratio_A in zip(names, (values_AF / exact_A[:, None]).T, strict=True):
            factor = float(np.median(ratio_A))
            off = float(np.abs(ratio_A / factor - 1).max()) if factor > 0 else np.inf
            if off < min(_CLOSE, best.get(name, (np.inf,))[0]):
                best[name] = (off, [function, factor])
    return {name: formula for name, (_, formula) in best.items()}


def _formula(loaded: Loaded, function: str) -> Any:
    """A function of cells in the module of the space, or None."""
    if loaded.layout.traced:
        return None
    return getattr(import_module(f"{spaces.__name__}.{loaded.layout.space}"), function, None)


def fit_features(
    loaded: Loaded, train: Index, graph_AF: Float, graph_names: Sequence[str]
) -> ColumnScaler:
    """The scale of the table's features and of those that the training graphs show, in this order.

    Whether a column has gaps is asked of the whole table: the few training rows may lack none.
    """
    names, gaps = loaded.layout.features, [False] * len(graph_names)
    if names:
        all_AF = loaded.store.column("features").numpy()
        gaps = [*(~np.isfinite(all_AF)).any(axis=0).tolist(), *gaps]
    table_AF = table_features(loaded, train, names)
    scaler = ColumnScaler.fit(np.concatenate([table_AF, graph_AF], axis=1), [*names, *graph_names])
    return replace(scaler, gaps=tuple(gaps))


def scaled_features(values_AF: Float, scaler: ColumnScaler) -> NDArray[np.float32]:
    """Scaled features, and behind them whether each that has gaps is known.

    Raises:
        DataError: a feature is unknown that every training architecture had.
    """
    scaled_AF, present_AF = scaler.transform(values_AF)
    gaps_F = np.array(scaler.gaps, bool)
    surprising = ~present_AF.all(axis=0) & ~gaps_F
    if surprising.any():
        column = int(surprising.argmax())
        raise DataError(
            f"the feature {scaler.names[column]!r} is missing for "
            f"{int((~present_AF[:, column]).sum())} of {len(present_AF)} architectures",
            fix="every row of the table that the model was trained on had it: fill the gaps",
        )
    return np.concatenate([scaled_AF, present_AF[:, gaps_F]], axis=1, dtype=np.float32)


def _edges(cells: Cells, types: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Edges from every type to every type, where these are not too many `[A, K]`."""
    senders = [code for code, name in enumerate(types) if name not in (OUTPUT, UNKNOWN)]
    receivers = [code for code, name in enumerate(types) if name not in (INPUT, UNKNOWN)]
    count = len(senders) * len(receivers)
    if count > _MOST_EDGE_KINDS:
        return np.zeros((len(cells), 0), np.int64), []
    kinds_ATT = edge_kinds(cells, len(types))[:, senders][:, :, receivers]
    names = [f"edge {types[a]} > {types[b]}" for a in senders for b in receivers]
    return kinds_ATT.reshape(len(cells), count), names


def _operations(cells: Cells, types: int) -> NDArray[np.int64]:
    """How often every type occurs in each `[A, T]`."""
    owner_N = np.repeat(np.arange(len(cells)), cells.node_counts)
    flat = np.bincount(owner_N * types + cells.ops, minlength=len(cells) * types)
    return flat.reshape(len(cells), types)
