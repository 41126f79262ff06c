"""Architectures as the rest of the task meets them: a packed store and what its numbers mean.

From a table they come through `store.open_or_build`; here are the doors for architectures that are
in memory: texts, cells of a space, and `Arch` objects. None of them has labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.packed import PackedGraphs
from graphwright.data.source import IndexArray
from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Arch, Cells
from graphwright.tasks.nas.interning import Interner
from graphwright.tasks.nas.layout import Layout
from graphwright.tasks.nas.spaces import get_space

__all__ = [
    "ARCH_FEATURES",
    "Layout",
    "Loaded",
    "arch_arrays",
    "arch_features",
    "cell_nodes",
    "from_archs",
    "from_cells",
    "from_texts",
    "index_dtype_of",
]

ARCH_FEATURES = ("params", "flops")
"""What is known of every traced module and ONNX file."""
_SMALL = 128  # nodes of a graph below which a byte numbers them


@dataclass(frozen=True, eq=False)
class Loaded:
    """Architectures with what is known of them.

    Attributes:
        store: packed graphs with the fields of `layout`.
        layout: space, and names of metrics, features and repeats.
        ops: type name of every code of `op`.
        hyperparameters: names of the columns of `hyper_RH`.
        hyper_RH: float32 rows that `attr` points to; NaN where a node has not got one.
        folder: where it lies on disk; None in memory.
        rejected: what was left out: count, reasons (see `data/rejects.py`).
        bad: (row, reason) of what was left out; only of architectures in memory.
    """

    store: PackedGraphs
    layout: Layout
    ops: tuple[str, ...]
    hyperparameters: tuple[str, ...] = ()
    hyper_RH: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    folder: Path | None = None
    rejected: Mapping[str, Any] = field(default_factory=lambda: {"count": 0, "reasons": {}})
    bad: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.store)

    def names(self, index: IndexArray) -> list[str]:
        """What each architecture is called: its text, path or function."""
        if self.layout.traced:
            return self.store.strings("name", index)
        return get_space(self.layout.space).decode(self.cells(index))

    def cells(self, index: IndexArray) -> Cells:
        """The graphs at `index [A]`, with the codes of `ops`."""
        batch = self.store.batch(index)
        starts_E = np.repeat(batch.node_ptr.numpy()[:-1], np.diff(batch.edge_ptr.numpy()))
        ends = batch.edge_index.numpy() - starts_E
        level = batch.nodes.get("level")
        return Cells(
            ops=batch.nodes["op"].numpy(),
            node_counts=np.diff(batch.node_ptr.numpy()),
            edge_counts=np.diff(batch.edge_ptr.numpy()),
            edge_index=ends.astype(np.uint8 if self.layout.index_dtype == "uint8" else np.uint32),
            level=None if level is None else level.numpy(),
        )

    def targets(self, index: IndexArray) -> NDArray[np.float64]:
        """Labels as they were measured `[A, T]`; NaN where there is no number.

        Raises:
            DataError: these architectures have no labels.
        """
        if not self.layout.metrics:
            raise DataError("these architectures have no labels", where=self.folder)
        values = self.store.column("target").numpy()[index].astype(np.float64)
        return np.where(self.store.column("valid").numpy()[index] > 0, values, np.nan)


def from_texts(
    texts: Sequence[str],
    space_name: str,
    features: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> Loaded:
    """Architectures in a benchmark's own words; those that cannot be read are in `bad`.

    Args:
        texts: one each.
        space_name: a name of `spaces.SPACES`.
        features: columns with one number for every text (also for one that cannot be read).

    Raises:
        ConfigError: an unknown space.
    """
    cells, bad = get_space(space_name).encode(texts)
    kept = np.ones(len(texts), bool)
    kept[[row for row, _ in bad]] = False
    rows = np.flatnonzero(kept)
    columns = {name: np.asarray(values)[rows] for name, values in (features or {}).items()}
    return from_cells(cells, space_name, columns, rows=rows, bad=bad)


def from_cells(
    cells: Cells,
    space_name: str,
    features: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    *,
    rows: NDArray[np.integer[Any]] | None = None,
    bad: Sequence[tuple[int, str]] = (),
) -> Loaded:
    """Cells of a space.

    Args:
        cells: A of them.
        space_name: a name of `spaces.SPACES`.
        features: columns with one number for every cell; NaN where it is unknown.
        rows: place of each in the input; 0 to A − 1 if not given.
        bad: (row, reason) of what was left out of the input.

    Raises:
        ConfigError: an unknown space.
    """
    space, named = get_space(space_name), features or {}
    layout = Layout(
        space=space_name,
        features=tuple(named),
        level=cells.level is not None,
        index_dtype=index_dtype_of(cells),
    )
    graphs: dict[str, Any] = {"row": np.arange(len(cells)) if rows is None else rows}
    if named:
        graphs["features"] = np.stack(list(named.values()), axis=1)
    store = PackedGraphs.from_arrays(
        node_counts=cells.node_counts,
        edge_counts=cells.edge_counts,
        edge_index=cells.edge_index,
        nodes=cell_nodes(cells),
        graphs=graphs,
        fields=layout.fields(),
        index_dtype=layout.index_dtype,
    )
    return Loaded(store, layout, space.ops, rejected=_summary(bad), bad=tuple(bad))


def from_archs(archs: Sequence[Arch], names: Sequence[str], kind: str = "module") -> Loaded:
    """Architectures of any kind.

    Args:
        archs: A of them.
        names: what each is called.
        kind: "module" or "onnx".
    """
    interner, layout = Interner(), Layout(space=kind, features=ARCH_FEATURES)
    features = arch_features(archs)
    store = PackedGraphs.from_arrays(
        **arch_arrays(archs, interner),
        graphs={"row": np.arange(len(archs)), "name": list(names), "features": features},
        fields=layout.fields(),
        index_dtype=layout.index_dtype,
    )
    hyper = interner.table()
    return Loaded(store, layout, tuple(interner.ops), tuple(interner.names), hyper)


def index_dtype_of(cells: Cells) -> str:
    """The smallest dtype that numbers the nodes of cells like these."""
    largest = int(cells.node_counts.max()) if len(cells) else 0
    return "uint8" if largest <= _SMALL else "int32"


def cell_nodes(cells: Cells) -> dict[str, Any]:
    """Fields of the nodes of cells."""
    return {"op": cells.ops} if cells.level is None else {"op": cells.ops, "level": cells.level}


def arch_arrays(archs: Sequence[Arch], interner: Interner) -> dict[str, Any]:
    """What a packed store takes of several architectures, without fields of the graphs."""
    ends = [arch.edges.reshape(2, -1) for arch in archs] or [np.zeros((2, 0), np.int64)]
    rows = [interner.rows(arch) for arch in archs]
    return {
        "node_counts": np.array([len(arch.ops) for arch in archs], np.int64),
        "edge_counts": np.array([arch.edges.size // 2 for arch in archs], np.int64),
        "edge_index": np.concatenate(ends, axis=1),
        "nodes": {
            "op": np.array([code for codes, _ in rows for code in codes], np.int64),
            "attr": np.array([row for _, attrs in rows for row in attrs], np.int64),
        },
    }


def arch_features(archs: Sequence[Arch]) -> NDArray[np.float64]:
    """`ARCH_FEATURES` of each `[A, 2]`; NaN where it is unknown."""
    rows = [[arch.features.get(name, np.nan) for name in ARCH_FEATURES] for arch in archs]
    return np.array(rows, np.float64).reshape(len(archs), len(ARCH_FEATURES))


def _summary(bad: Sequence[tuple[int, str]]) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for _, reason in bad:
        reasons[reason] = reasons.get(reason, 0) + 1
    return {"count": len(bad), "reasons": reasons}
