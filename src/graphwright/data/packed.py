"""All graphs of a data set in a few flat arrays; a batch is one vectorised gather.

B = graphs, N = nodes, E = edges of a batch. See `data/fields.py` for what lies on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.data.checks import Chunk, as_array, check_graphs
from graphwright.data.digest import block_digests
from graphwright.data.fields import ArraySpec, Field, StoreSchema, check_fields
from graphwright.data.gather import Gather, gather_rows, plan_gather
from graphwright.data.source import IndexArray, as_index
from graphwright.errors import DataError, nearest

__all__ = ["Field", "PackedGraphs"]

Array = npt.NDArray[Any]


class PackedGraphs:
    """A read-only set of graphs, on disk (`open`) or in memory (`from_arrays`).

    It is a `SampleSource`: `len`, `batch`, `sizes`. Nothing is read on opening but the schema;
    a batch touches only its own pages of the memory-mapped arrays.
    """

    def __init__(
        self, schema: StoreSchema, arrays: Mapping[str, Array], path: Path | None = None
    ) -> None:
        self.schema = schema
        self.path = path
        self._arrays = dict(arrays)
        self._node_ptr: IndexArray = self._arrays["node_ptr"]
        self._edge_ptr: IndexArray = self._arrays["edge_ptr"]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The store in a folder.

        Raises:
            DataError: no store there, a damaged schema, or an array shorter than the schema says.
        """
        path = Path(folder)
        schema = StoreSchema.read(path)
        arrays = {name: _mapped(path, name, spec) for name, spec in schema.arrays().items()}
        return cls(schema, arrays, path)

    @classmethod
    def from_arrays(
        cls,
        *,
        node_counts: npt.ArrayLike | Tensor,
        edge_counts: npt.ArrayLike | Tensor,
        edge_index: npt.ArrayLike | Tensor,
        nodes: Mapping[str, Any] | None = None,
        edges: Mapping[str, Any] | None = None,
        graphs: Mapping[str, Any] | None = None,
        fields: Sequence[Field] | None = None,
        attributes: Mapping[str, Any] | None = None,
        index_dtype: str = "int32",
    ) -> Self:
        """A store in memory.

        Args:
            node_counts: nodes of each graph [G].
            edge_counts: edges of each graph [G].
            edge_index: [2, E], numbered from 0 in every graph.
            nodes: fields of nodes, each [N, …].
            edges: fields of edges, each [E, …].
            graphs: fields of graphs, each [G, …], or a list of G texts.
            fields: declarations; dtypes and shapes of the arrays if not given.
            attributes: JSON values of the whole store.
            index_dtype: dtype in which edge_index is kept.

        Raises:
            DataError: arrays that do not fit together or hold unfit values.
        """
        given = {"node": nodes or {}, "edge": edges or {}, "graph": graphs or {}}
        known = _declare(given) if fields is None else check_fields(fields)
        chunk = check_graphs(
            known,
            index_dtype,
            node_counts=node_counts,
            edge_counts=edge_counts,
            edge_index=edge_index,
            nodes=given["node"],
            edges=given["edge"],
            graphs=given["graph"],
        )
        arrays = _assemble(chunk)
        schema = StoreSchema(
            fields=known,
            graphs=chunk.graphs,
            nodes=int(arrays["node_ptr"][-1]),
            edges=int(arrays["edge_ptr"][-1]),
            text_bytes={f.name: arrays[f"{f.column}.bytes"].size for f in known if f.is_text},
            attributes=dict(attributes or {}),
            index_dtype=index_dtype,
        )
        return cls(schema, arrays)

    def __len__(self) -> int:
        return self.schema.graphs

    def __repr__(self) -> str:
        size, where = self.schema, self.path or "in memory"
        counts = f"{size.graphs} graphs, {size.nodes} nodes, {size.edges} edges"
        return f"PackedGraphs({counts}; {where})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process that is not forked maps the files again; nothing is copied to it.
        if self.path is not None:
            return type(self).open, (self.path.absolute(),)
        return type(self), (self.schema, self._arrays)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in the order in which they were declared."""
        return self.schema.fields

    @property
    def attributes(self) -> Mapping[str, Any]:
        """JSON values of the whole store."""
        return self.schema.attributes

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all contents: from the schema, or computed once for arrays in memory."""
        return self.schema.digest if self.path is not None else self._recomputed().digest

    def verify(self) -> None:
        """Read everything and compare with the digests in the schema.

        Raises:
            DataError: a byte has changed; the array and the place are named.
        """
        stated, found = self.schema.blocks, self._recomputed().blocks
        for name in self._arrays if self.path is not None else ():
            if stated.get(name) == found[name]:
                continue
            pairs = zip(stated.get(name, []), found[name], strict=False)
            block = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
            raise DataError(
                f"the array {name} is damaged in its block {block} (16 MiB each)",
                where=self.path,
                fix="write the store again from its source",
            )

    def _recomputed(self) -> StoreSchema:
        schema = self.schema
        specs = schema.arrays()
        little = {name: a.astype(specs[name].dtype, copy=False) for name, a in self._arrays.items()}
        return StoreSchema(
            fields=schema.fields,
            graphs=schema.graphs,
            nodes=schema.nodes,
            edges=schema.edges,
            text_bytes=schema.text_bytes,
            attributes=schema.attributes,
            index_dtype=schema.index_dtype,
            blocks={name: block_digests(array) for name, array in little.items()},
        )

    def node_counts(self) -> IndexArray:
        """Nodes of each graph, int64 [G]."""
        return np.diff(self._node_ptr)

    def edge_counts(self) -> IndexArray:
        """Edges of each graph, int64 [G]."""
        return np.diff(self._edge_ptr)

    def sizes(self) -> IndexArray:
        """Nodes + edges of each graph, int64 [G]: its cost in a batch."""
        return self.node_counts() + self.edge_counts()

    def column(self, name: str) -> Tensor:
        """All values of one field [rows, …], without a copy.

        Writing to the tensor changes this process's memory only, never the file.

        Raises:
            DataError: no such field, or a text field (see `strings`).
        """
        field = self._field(name)
        if field.is_text:
            raise DataError(f"field {name!r} holds texts", fix="read it with strings()")
        array = self._arrays[field.column]
        if self.path is not None and array.size:
            # Torch wants writable memory: a private mapping, made only when asked for, since the
            # kernel counts it against memory.
            array = _mapped(self.path, field.column, self.schema.arrays()[field.column], mode="c")
        return torch.from_numpy(array)

    def strings(self, name: str, index: npt.ArrayLike | Tensor | None = None) -> list[str]:
        """Texts of the graphs at `index` [B], or of all.

        Raises:
            DataError: no such field, or not a text field.
        """
        field = self._field(name)
        if not field.is_text:
            raise DataError(f"field {name!r} holds {field.dtype}", fix="read it with column()")
        rows = np.arange(len(self)) if index is None else as_index(index, len(self))
        offsets, data = (self._arrays[f"{field.column}.{part}"] for part in ("offsets", "bytes"))
        ends = zip(offsets[rows].tolist(), offsets[rows + 1].tolist(), strict=True)
        return [data[start:stop].tobytes().decode() for start, stop in ends]

    def graph(self, number: int) -> GraphBatch:
        """One graph, as a batch of one."""
        return self.batch(np.array([number]))

    def batch(self, index: npt.ArrayLike | Tensor) -> GraphBatch:
        """The graphs at `index` [B], in that order; repeats are allowed.

        One gather of rows per field and one addition of offsets; no object per graph.

        Raises:
            DataError: an index outside the store.
        """
        rows = as_index(index, len(self), where=self.path)
        node = plan_gather(self._node_ptr, rows)
        edge = plan_gather(self._edge_ptr, rows)
        graph = Gather(rows, rows, [])
        return GraphBatch(
            edge_index=torch.from_numpy(self._ends(node, edge)),
            node_ptr=torch.from_numpy(node.ptr),
            edge_ptr=torch.from_numpy(edge.ptr),
            index=torch.from_numpy(rows.copy()),
            num_nodes=int(node.ptr[-1]),
            nodes=self._gathered("node", node),
            edges=self._gathered("edge", edge),
            graphs=self._gathered("graph", graph),
        )

    def _ends(self, node: Gather, edge: Gather) -> IndexArray:
        ends = gather_rows(self._arrays["edge_index"], edge)
        moved = np.empty((2, len(ends)), np.int64)
        np.add(ends.T, np.repeat(node.ptr[:-1], np.diff(edge.ptr)), out=moved)
        return moved

    @cached_property
    def _by_level(self) -> dict[str, list[tuple[str, Array]]]:
        numeric = [field for field in self.fields if not field.is_text]
        return {
            level: [(f.name, self._arrays[f.column]) for f in numeric if f.level == level]
            for level in ("node", "edge", "graph")
        }

    def _gathered(self, level: str, gather: Gather) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(gather_rows(array, gather))
            for name, array in self._by_level[level]
        }

    def _field(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        known = [field.name for field in self.fields]
        raise DataError(
            f"the store has no field {name!r}{nearest(name, known)}",
            where=self.path,
            fix=f"it has {', '.join(known) or 'none'}",
        )

    def resident(self, device: torch.device | str) -> PackedGraphs:
        """The same graphs with every numeric array on `device`: batches are gathered there."""
        from graphwright.data.resident import ResidentGraphs

        return ResidentGraphs(self, device)


def _mapped(folder: Path, name: str, spec: ArraySpec, mode: Any = "r") -> Array:
    """One array of a store, memory-mapped; bytes past its end (a killed append) are ignored."""
    path = folder / f"{name}.bin"
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DataError(f"an array of the store is missing: {error}", where=path) from error
    if found < spec.nbytes:
        raise DataError(
            f"the store is truncated: {path.name} has {found} bytes instead of {spec.nbytes}",
            where=folder,
            fix="write the store again, or copy it again from where it is whole",
        )
    if spec.nbytes == 0:
        return np.zeros(spec.shape, spec.dtype.newbyteorder("="))
    # The plain view keeps numpy from building a memmap object for every slice.
    array = np.asarray(np.memmap(path, spec.dtype, mode, shape=spec.shape))
    return array if array.dtype.isnative else array.astype(spec.dtype.newbyteorder("="))


def _declare(given: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """Fields with the dtypes and shapes of the arrays."""
    found: list[Field] = []
    for level, values in given.items():
        for name, value in values.items():
            array = as_array(value)
            text = array.dtype.kind in "UO" or (array.size == 0 and isinstance(value, list))
            kind = "str" if text else array.dtype.name
            found.append(Field(name, level, kind, array.shape[1:], finite=False))  # type: ignore[arg-type]
    return check_fields(found)


def _assemble(chunk: Chunk) -> dict[str, Array]:
    """The arrays of a store that consists of one chunk."""
    arrays = dict(chunk.columns)
    for name, lengths in chunk.lengths.items():
        arrays[name] = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return arrays
