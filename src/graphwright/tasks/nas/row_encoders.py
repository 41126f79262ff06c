"""From rows of a table to graphs: texts of a space at once, modules and ONNX files one by one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import GraphwrightError
from graphwright.tasks.nas.arch import Arch
from graphwright.tasks.nas.interning import Interner
from graphwright.tasks.nas.loaded import arch_arrays, arch_features, cell_nodes, index_dtype_of
from graphwright.tasks.nas.spaces import Space, canonical_of, get_space
from graphwright.tasks.nas.table import Rows

__all__ = ["NO_ARCHITECTURE", "Encoded", "RowEncoder", "SpaceEncoder", "TracedEncoder", "trace_row"]

NO_ARCHITECTURE = "no architecture"


@dataclass(frozen=True)
class Encoded:
    """The graphs of the good rows of a piece.

    Attributes:
        kept: `[A]` which rows of the piece they are.
        arrays: what a packed store takes, without fields of the graphs.
        bad: (row of the piece, reason) of the others.
        index_dtype: that these graphs need.
        names: of architectures that cannot be decoded; None where they can.
        group: canonical id, where the space knows one.
        features: what the tracer knows beside the table's; [A, 0] for spaces.
    """

    kept: NDArray[np.int64]
    arrays: dict[str, Any]
    bad: list[tuple[int, str]]
    index_dtype: str
    names: list[str] | None = None
    group: NDArray[np.int64] | None = None
    features: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))


class RowEncoder(Protocol):
    """Makes graphs of rows.

    Attributes:
        rows_at_once: of a table; what a build loses at most when it is killed in between.
        interner: numbers of types and hyperparameters.
    """

    rows_at_once: int
    interner: Interner

    def __call__(self, rows: Rows) -> Encoded:
        """The graphs of the good ones."""
        ...


class SpaceEncoder:
    """Texts of a search space (`spaces/`)."""

    rows_at_once = 8192

    def __init__(self, space_name: str) -> None:
        self.space: Space = get_space(space_name)
        self.interner = Interner(self.space.ops)
        self._canonical = canonical_of(space_name)

    def __call__(self, rows: Rows) -> Encoded:
        """See `RowEncoder`."""
        cells, bad = self.space.encode(rows.texts)
        bad = [(row, reason if rows.texts[row] else NO_ARCHITECTURE) for row, reason in bad]
        arrays = {
            "node_counts": cells.node_counts,
            "edge_counts": cells.edge_counts,
            "edge_index": cells.edge_index,
            "nodes": cell_nodes(cells),
        }
        kept = _others(len(rows), bad)
        group = None
        if self._canonical is not None and rows.group is None:
            group = self._canonical(cells).view(np.int64)
        none = np.zeros((len(kept), 0))
        return Encoded(kept, arrays, bad, index_dtype_of(cells), group=group, features=none)


class TracedEncoder:
    """Modules by the function that builds them, or ONNX files by their path.

    Args:
        kind: "module" or "onnx".
        folder: that relative paths of ONNX files start from.
    """

    rows_at_once = 64

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.interner = Interner()

    def __call__(self, rows: Rows) -> Encoded:
        """See `RowEncoder`."""
        archs: list[Arch] = []
        names, bad = [], []
        for place, (text, arguments) in enumerate(zip(rows.texts, rows.arguments, strict=True)):
            try:
                archs.append(trace_row(self.kind, text, arguments, self.folder))
                names.append(_name(text, arguments))
            except GraphwrightError as error:
                bad.append((place, error.what if text else NO_ARCHITECTURE))
        arrays = arch_arrays(archs, self.interner)
        kept = _others(len(rows), bad)
        return Encoded(kept, arrays, bad, "int32", names, features=arch_features(archs))


def trace_row(kind: str, text: str, arguments: dict[str, Any], folder: Path) -> Arch:
    """One architecture by the name of its function, or by the path of its file.

    Raises:
        ConfigError: no such function.
        DataError: it cannot be built, read or followed.
    """
    if kind == "onnx":
        from graphwright.tasks.nas.tracing.from_onnx import from_onnx

        return from_onnx(folder / text)
    from graphwright.tasks.nas.tracing.builders import resolve_builder
    from graphwright.tasks.nas.tracing.from_module import from_module

    return from_module(resolve_builder(text, arguments))


def _name(text: str, arguments: dict[str, Any]) -> str:
    return f"{text} {json.dumps(arguments, sort_keys=True)}" if arguments else text


def _others(count: int, bad: list[tuple[int, str]]) -> NDArray[np.int64]:
    kept = np.ones(count, bool)
    kept[[row for row, _ in bad]] = False
    return np.flatnonzero(kept)
