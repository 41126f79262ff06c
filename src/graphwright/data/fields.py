"""The table of contents of a packed store: which fields it has, how they lie on disk.

A store is a folder of flat little-endian arrays, each in `NAME.bin`, and `schema.json`:

- `node_ptr`, `edge_ptr`: int64 [G+1]; graph g owns rows ptr[g] .. ptr[g+1]-1;
- `edge_index`: [E, 2], source and target of each edge, numbered from 0 in every graph;
- `node.NAME` [N, …], `edge.NAME` [E, …], `graph.NAME` [G, …] for each field;
- a text field is two arrays: `graph.NAME.offsets` int64 [G+1] and `graph.NAME.bytes` (UTF-8).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from graphwright.data.digest import content_digest
from graphwright.errors import DataError

__all__ = ["DTYPES", "SCHEMA_FILE", "ArraySpec", "Field", "Level", "StoreSchema", "check_fields"]

Level = Literal["node", "edge", "graph"]
DTYPES = (
    "bool",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
)
SCHEMA_FILE = "schema.json"
_FORMAT, _VERSION = "graphwright.packed", 1
_INDEX_DTYPES = ("uint8", "int16", "int32", "int64")
_RESERVED = frozenset({"batch", "edge_index", "edge_ptr", "index", "node_ptr", "num_nodes", "ptr"})


@dataclass(frozen=True)
class Field:
    """One named quantity of every node, edge or graph.

    Args:
        name: a Python-like name, unique in the store.
        level: what carries it: "node", "edge" or "graph".
        dtype: a numpy name (`DTYPES`), or "str" for a text of every graph.
        shape: shape for one carrier; () for a scalar.
        unit: physical unit, for people.
        meaning: one sentence, for people.
        finite: whether NaN and infinity are refused (floating-point fields).

    Raises:
        DataError: any of these is not possible.
    """

    name: str
    level: Level
    dtype: str
    shape: tuple[int, ...] = ()
    unit: str = ""
    meaning: str = ""
    finite: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        problem = self._problem()
        if problem:
            raise DataError(f"field {self.name!r}: {problem}")

    def _problem(self) -> str | None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name) or self.name in _RESERVED:
            return "the name must be letters, digits and _, and not one of a batch's own parts"
        if self.level not in get_args(Level):
            return f"the level must be node, edge or graph, not {self.level!r}"
        if self.dtype == "str" and (self.level != "graph" or self.shape):
            return "a text belongs to a graph and has no shape"
        if self.dtype != "str" and self.dtype not in DTYPES:
            return f"the dtype must be str or one of {', '.join(DTYPES)}, not {self.dtype!r}"
        if any(n < 0 for n in self.shape):
            return f"the shape {self.shape} has a negative length"
        return None

    @property
    def is_text(self) -> bool:
        """Whether the field holds texts."""
        return self.dtype == "str"

    @property
    def column(self) -> str:
        """Name of its array in the store."""
        return f"{self.level}.{self.name}"


@dataclass(frozen=True)
class ArraySpec:
    """How one array lies on disk: dtype (little-endian) and shape."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def check_fields(fields: Sequence[Field]) -> tuple[Field, ...]:
    """`fields`, after a check that no name occurs twice (DataError)."""
    names = [found.name for found in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"field names must be unique: {', '.join(twice)}")
    return tuple(fields)


@dataclass(frozen=True)
class StoreSchema:
    """Contents of `schema.json`.

    Attributes:
        fields: the fields, in order.
        graphs: number of graphs G.
        nodes: number of nodes N of all graphs.
        edges: number of edges E of all graphs.
        text_bytes: for every text field, the length of its texts in UTF-8.
        attributes: JSON values of the whole store.
        index_dtype: numpy name of the dtype of edge_index.
        blocks: for every array, the SHA-256 of each of its blocks (see `data/digest.py`).
    """

    fields: tuple[Field, ...]
    graphs: int = 0
    nodes: int = 0
    edges: int = 0
    text_bytes: Mapping[str, int] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    index_dtype: str = "int32"
    blocks: Mapping[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self.fields)
        counts = (self.graphs, self.nodes, self.edges, *self.text_bytes.values())
        if any(not isinstance(n, int) or n < 0 for n in counts):
            raise DataError("the counts of a store must be whole numbers from 0 up")
        if self.index_dtype not in _INDEX_DTYPES:
            raise DataError(
                f"index_dtype must be one of {', '.join(_INDEX_DTYPES)}, not {self.index_dtype!r}"
            )

    def arrays(self) -> dict[str, ArraySpec]:
        """Every array of the store by name, in a fixed order."""
        rows = {"node": self.nodes, "edge": self.edges, "graph": self.graphs}
        pointer = ArraySpec(np.dtype("<i8"), (self.graphs + 1,))
        index = np.dtype(self.index_dtype).newbyteorder("<")
        specs = {
            "node_ptr": pointer,
            "edge_ptr": pointer,
            "edge_index": ArraySpec(index, (self.edges, 2)),
        }
        for found in self.fields:
            if found.is_text:
                length = self.text_bytes.get(found.name, 0)
                specs[f"{found.column}.offsets"] = pointer
                specs[f"{found.column}.bytes"] = ArraySpec(np.dtype("u1"), (length,))
            else:
                kind = np.dtype(found.dtype).newbyteorder("<")
                specs[found.column] = ArraySpec(kind, (rows[found.level], *found.shape))
        return specs

    @property
    def digest(self) -> str:
        """SHA-256 over names, dtypes and shapes of all fields, the attributes and all arrays.

        The same graphs give the same digest, in however many pieces they were written.
        """
        kinds = [[f.name, f.level, f.dtype, list(f.shape)] for f in self.fields]
        head = {"fields": kinds, "attributes": self.attributes, "index": self.index_dtype}
        return content_digest(head, self.blocks)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; `from_json` gives an equal schema."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "graphs": self.graphs,
            "nodes": self.nodes,
            "edges": self.edges,
            "text_bytes": dict(self.text_bytes),
            "index_dtype": self.index_dtype,
            "fields": [asdict(found) for found in self.fields],
            "attributes": dict(self.attributes),
            "digest": self.digest,
            "blocks": dict(self.blocks),
        }

    @classmethod
    def from_json(cls, data: Any) -> StoreSchema:
        """The schema in a JSON object (DataError if it is none)."""
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise DataError("this is not the schema of a packed store")
        if data.get("version") != _VERSION:
            raise DataError(
                f"the store has format version {data.get('version')}, this program reads "
                f"{_VERSION}",
                fix="update graphwright, or write the store again",
            )
        try:
            schema = cls(
                fields=tuple(Field(**found) for found in data["fields"]),
                graphs=data["graphs"],
                nodes=data["nodes"],
                edges=data["edges"],
                text_bytes=data["text_bytes"],
                attributes=data["attributes"],
                index_dtype=data["index_dtype"],
                blocks=data["blocks"],
            )
            stated = data["digest"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"the schema is damaged: {error}") from error
        if stated != schema.digest:
            raise DataError("the schema is damaged: its digest does not fit its contents")
        return schema

    @classmethod
    def read(cls, folder: Path) -> StoreSchema:
        """The schema of the store at `folder` (DataError: none there, or a damaged one)."""
        path = folder / SCHEMA_FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                "there is no packed store here",
                where=folder,
                fix=f"a store is a folder with {SCHEMA_FILE} in it; was it written to the end?",
            ) from None
        except (OSError, ValueError) as error:
            raise DataError(f"the schema cannot be read: {error}", where=path) from error
        try:
            return cls.from_json(data)
        except DataError as error:
            raise DataError(error.what, where=path, fix=error.fix) from error
