"""What every architecture of a store carries, and how it lies on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphwright.data.fields import Field
from graphwright.errors import DataError

__all__ = ["Layout"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What every architecture of a store carries.

    Attributes:
        space: name of the space; "module" or "onnx" where there is none.
        metrics, features, repeats: names of the columns of those fields.
        group: dtype of the canonical id; "" where there is none.
        level: whether nodes are operations and cells of a network.
        index_dtype: of the ends of edges.
    """

    space: str
    metrics: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()
    group: str = ""
    level: bool = False
    index_dtype: str = "int32"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """From the attributes of a store (DataError if it is none)."""
        tuples = ("metrics", "features", "repeats")
        try:
            given: dict[str, Any] = {k: tuple(v) if k in tuples else v for k, v in data.items()}
            return cls(**given)
        except TypeError as error:
            raise DataError(f"a store of architectures without its layout: {error}") from error

    @property
    def traced(self) -> bool:
        """Whether nodes have hyperparameters, and the architectures names of their own."""
        return self.space in ("module", "onnx")

    def fields(self) -> list[Field]:
        """The fields of the store: about 60 bytes for a cell of NAS-Bench-201."""
        kind = "int16" if self.traced else "uint8"
        found = [Field("op", "node", kind, meaning="type of the operation: place in ops")]
        if self.traced:
            found.append(Field("attr", "node", "int32", meaning="row of hyperparameters.npy"))
            found.append(Field("name", "graph", "str", meaning="what the input calls it"))
        if self.level:
            found.append(Field("level", "node", "uint8", meaning="0 operation, 1 cell"))
        found.append(Field("row", "graph", "int32", meaning="row of the table, from 0"))
        if self.metrics:
            shape = (len(self.metrics),)
            meaning = f"as measured, 0 where there is no number: {', '.join(self.metrics)}"
            found.append(Field("target", "graph", "float32", shape, meaning=meaning))
            found.append(Field("valid", "graph", "uint8", shape, meaning="target is a number"))
        for name, columns in (("features", self.features), ("repeats", self.repeats)):
            if columns:
                meaning = f"NaN where unknown: {', '.join(columns)}"
                shape = (len(columns),)
                found.append(Field(name, "graph", "float32", shape, "", meaning, finite=False))
        if self.group:
            found.append(Field("group", "graph", self.group, meaning="equal for equal functions"))
        return found
