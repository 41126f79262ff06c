"""Writing packed stores: streamed, checked, and never half-visible.

A new store grows in a temporary sibling folder that is renamed at the end. An append writes past
the counted end of the arrays and replaces `schema.json` last: until then the store is the old one,
and what a killed append leaves behind is never counted.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from graphwright.data.array_file import ArrayFile, disk_errors
from graphwright.data.checks import Chunk, Values, as_array, check_graphs
from graphwright.data.fields import SCHEMA_FILE, Field, StoreSchema, check_fields
from graphwright.data.swap import place_folder, remove_abandoned, temporary_sibling
from graphwright.errors import DataError
from graphwright.runs.files import write_json_atomic

__all__ = ["PackedWriter"]

_FLUSH_BYTES = 4 * 1024 * 1024
_FLUSH_CHUNKS = 4096


class PackedWriter:
    """A context manager that writes a packed store graph by graph, in bounded memory.

    Leaving the block by an exception leaves nothing behind (a new store) or the old store (an
    append). A graph that is refused with a DataError leaves the writer as it was, so that the
    caller can set it aside and go on.

    Args:
        folder: where the store will be.
        fields: what every node, edge and graph carries.
        attributes: JSON values of the whole store.
        overwrite: replace a store that is already there, in one step, at the end.
        index_dtype: dtype of edge_index on disk: uint8, int16, int32 or int64.

    Raises:
        DataError: fields or attributes that cannot be, a folder that exists, a full disk.
    """

    def __init__(
        self,
        folder: str | Path,
        fields: Sequence[Field],
        attributes: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        *,
        index_dtype: str = "int32",
    ) -> None:
        self.folder = Path(folder)
        self._start = StoreSchema(
            fields=check_fields(fields),
            attributes=_json_values(attributes or {}),
            index_dtype=index_dtype,
        )
        self._overwrite = overwrite
        self._appending = False
        if self.folder.exists() and not overwrite:
            raise DataError(
                "something is already there", where=self.folder, fix="overwrite=True replaces it"
            )
        self._reset()

    @classmethod
    def append(cls, folder: str | Path) -> Self:
        """A writer that adds graphs to the store in `folder`; fields and attributes stay.

        Raises:
            DataError: no store there, or another process is appending to it.
        """
        writer = cls.__new__(cls)
        writer.folder = Path(folder)
        writer._start = StoreSchema.read(writer.folder)
        writer._overwrite, writer._appending = False, True
        writer._reset()
        return writer

    def _reset(self) -> None:
        self._work: Path | None = None
        self._lock = -1
        self._files: dict[str, ArrayFile] = {}
        self._chunks: list[Chunk] = []
        self._pending = 0
        self._graphs = self._start.graphs
        self._totals: dict[str, int] = {}

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the store."""
        return self._start.fields

    def __len__(self) -> int:
        """Graphs so far, with those that were there before an append."""
        return self._graphs

    def __enter__(self) -> Self:
        try:
            with disk_errors(self.folder):
                self._work = self.folder if self._appending else self._begin()
                self._lock = _locked(self._work)
                if self._appending:
                    # Another process may have finished its own append before the lock was ours.
                    self._start = StoreSchema.read(self.folder)
                    self._graphs = self._start.graphs
                self._open_files(self._work)
        except BaseException:
            self._close()
            raise
        return self

    def _begin(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.folder)
        return temporary_sibling(self.folder)

    def _open_files(self, work: Path) -> None:
        start, new = self._start, not self._appending
        for name, spec in start.arrays().items():
            blocks = start.blocks.get(name, [])
            self._files[name] = ArrayFile(work / f"{name}.bin", spec, blocks, new=new)
        self._totals = {"node_ptr": start.nodes, "edge_ptr": start.edges}
        for field in start.fields:
            if field.is_text:
                self._totals[f"{field.column}.offsets"] = start.text_bytes.get(field.name, 0)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._publish()
        finally:
            self._close()

    def add(
        self,
        *,
        edge_index: npt.ArrayLike | Any,
        nodes: Values | None = None,
        edges: Values | None = None,
        graphs: Values | None = None,
        num_nodes: int | None = None,
    ) -> None:
        """One graph.

        Args:
            edge_index: [2, E], source and target of each edge.
            nodes: fields of its nodes, each [N, …].
            edges: fields of its edges, each [E, …].
            graphs: fields of the graph: a value of the field's own shape, or a text.
            num_nodes: N; needed only where no node field tells it.

        Raises:
            DataError: see `add_many`.
        """
        ends, nodes = as_array(edge_index), nodes or {}
        if num_nodes is None:
            num_nodes = self._node_count(nodes)
        texts = {field.name for field in self.fields if field.is_text}
        single = {
            name: [value] if name in texts else as_array(value)[None]
            for name, value in (graphs or {}).items()
        }
        self.add_many(
            node_counts=np.array([num_nodes], np.int64),
            edge_counts=np.array([ends.size // 2], np.int64),
            edge_index=ends,
            nodes=nodes,
            edges=edges,
            graphs=single,
        )

    def _node_count(self, nodes: Values) -> int:
        for value in nodes.values():
            shape = as_array(value).shape
            return int(shape[0]) if shape else 0
        raise DataError(
            "the number of nodes is not known", where=f"graph {self._graphs}", fix="give num_nodes"
        )

    def add_many(
        self,
        *,
        node_counts: npt.ArrayLike | Any,
        edge_counts: npt.ArrayLike | Any,
        edge_index: npt.ArrayLike | Any,
        nodes: Values | None = None,
        edges: Values | None = None,
        graphs: Values | None = None,
    ) -> None:
        """B graphs at once.

        Args:
            node_counts: nodes of each graph [B].
            edge_counts: edges of each graph [B].
            edge_index: [2, E], numbered from 0 in every graph.
            nodes: fields of nodes, each [N, …].
            edges: fields of edges, each [E, …].
            graphs: fields of graphs, each [B, …], or a list of B texts.

        Raises:
            DataError: a missing or unknown field, a wrong shape or dtype, a value that is not
                finite, an edge to a node that does not exist; or the disk is full.
        """
        if self._work is None:
            raise DataError("the writer is not open", fix="use it as `with PackedWriter(…) as w:`")
        chunk = check_graphs(
            self.fields,
            self._start.index_dtype,
            node_counts=node_counts,
            edge_counts=edge_counts,
            edge_index=edge_index,
            nodes=nodes or {},
            edges=edges or {},
            graphs=graphs or {},
            first=self._graphs,
        )
        self._graphs += chunk.graphs
        self._pending += chunk.nbytes
        full = self._pending >= _FLUSH_BYTES or len(self._chunks) >= _FLUSH_CHUNKS
        # What waits is copied: the caller may fill the same array with the next graph.
        self._chunks.append(chunk if full else chunk.copied())
        if full:
            self._flush()

    def _flush(self) -> None:
        """Write what waits."""
        if not self._chunks:
            return
        with disk_errors(self.folder):
            for name in self._chunks[0].columns:
                self._files[name].write(_joined([c.columns[name] for c in self._chunks]))
            for name in self._chunks[0].lengths:
                ends = np.cumsum(_joined([c.lengths[name] for c in self._chunks]))
                ends += self._totals[name]
                self._totals[name] = int(ends[-1]) if len(ends) else self._totals[name]
                self._files[name].write(ends)
        self._chunks, self._pending = [], 0

    def _publish(self) -> None:
        """Make what was written the store."""
        assert self._work is not None
        with disk_errors(self.folder):
            blocks = {name: file.finish() for name, file in self._files.items()}
            write_json_atomic(self._work / SCHEMA_FILE, self._schema(blocks).to_json())
            if not self._appending:
                place_folder(self._work, self.folder, overwrite=self._overwrite)

    def _schema(self, blocks: dict[str, list[str]]) -> StoreSchema:
        texts = [field for field in self.fields if field.is_text]
        return StoreSchema(
            fields=self.fields,
            graphs=self._graphs,
            nodes=self._totals["node_ptr"],
            edges=self._totals["edge_ptr"],
            text_bytes={f.name: self._totals[f"{f.column}.offsets"] for f in texts},
            attributes=self._start.attributes,
            index_dtype=self._start.index_dtype,
            blocks=blocks,
        )

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        if self._work is not None and not self._appending and self._work.exists():
            shutil.rmtree(self._work, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
        self._reset()


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _locked(folder: Path) -> int:
    """A descriptor that holds the writer's lock of `folder`."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise DataError("another process is writing to this store", where=folder) from None
    return descriptor


def _json_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as JSON gives them back (DataError: not JSON)."""
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(attributes), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DataError(f"the attributes of a store must be JSON values: {error}") from error
    return copy
