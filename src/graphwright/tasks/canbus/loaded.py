"""Prepared captures as the rest of the task meets them: a packed store and a table of captures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphwright.data.fields import Field
from graphwright.data.packed import PackedGraphs
from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.edge_features import edge_feature_names
from graphwright.tasks.canbus.node_features import node_feature_names
from graphwright.tasks.canbus.window_stats import STATISTICS

__all__ = ["CaptureInfo", "Loaded", "store_fields"]


@dataclass(frozen=True, kw_only=True)
class CaptureInfo:
    """What is known of one capture in a store; its place in the table is field `capture`.

    Attributes:
        folder, name, attack: see `frames.Capture`.
        sha256: of its content.
        also: places ("folder/name") of captures with the same content that were not read again.
        frames: frames read.
        attack_frames: of those, the injected ones.
        ids: distinct ids, extended ones apart.
        windows: whole windows.
        unused_frames: behind the last whole window, in no graph.
        duration_s: latest time - earliest time.
        frames_per_s: frames / duration; 0 where nothing passed.
        backward_times: frames that are earlier than the one before.
        rejected: rows that are no frames.
    """

    folder: str
    name: str
    attack: str
    sha256: str
    also: tuple[str, ...]
    frames: int
    attack_frames: int
    ids: int
    windows: int
    unused_frames: int
    duration_s: float
    frames_per_s: float
    backward_times: int
    rejected: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CaptureInfo:
        """From the attributes of a store (DataError if it is none)."""
        try:
            return cls(**{**data, "also": tuple(data["also"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"a store of captures without their table: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A packed store and what it was made from.

    Attributes:
        store: one graph a window, captures one after the other, windows in order of time.
        captures: the table that field `capture` points into.
        dropped: captures that were not read, for their content was read already.
        rejected: counts of rejected rows (`rejected.json`).
        folder: where the store and `rejected.csv` lie.
    """

    store: PackedGraphs
    captures: tuple[CaptureInfo, ...]
    dropped: tuple[str, ...]
    rejected: Mapping[str, Any]
    folder: Path

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the columns of node field `x`."""
        return tuple(self.store.attributes["node_features"])

    @property
    def edge_names(self) -> tuple[str, ...]:
        """Names of the columns of edge field `edge_x`."""
        return tuple(self.store.attributes["edge_features"])

    @property
    def sources(self) -> tuple[str, ...]:
        """Of an event log: the source that each id stands for; empty for frames of a bus."""
        return tuple(self.store.attributes["sources"])

    def folders(self) -> tuple[str, ...]:
        """Folders of captures, in their order."""
        return tuple(dict.fromkeys(info.folder for info in self.captures))


def store_fields(node_names: Sequence[str], edge_names: Sequence[str]) -> list[Field]:
    """The fields of a store of windows."""
    nodes, edges, stats = (len(node_names),), (len(edge_names),), (len(STATISTICS),)
    return [
        Field("id", "node", "int64", meaning="id; 2^31 is added to those of 29 bits"),
        Field("x", "node", "float32", nodes, meaning="features: attribute node_features"),
        Field("edge_x", "edge", "float32", edges, meaning="features: attribute edge_features"),
        Field("capture", "graph", "int32", meaning="place in attribute captures"),
        Field("position", "graph", "int64", unit="frames", meaning="first frame in the capture"),
        Field("start_time", "graph", "float64", unit="s", meaning="time of the first frame"),
        Field("end_time", "graph", "float64", unit="s", meaning="time of the last frame"),
        Field("attack_frames", "graph", "int32", meaning="injected frames"),
        Field("label", "graph", "uint8", meaning="1: any injected frame"),
        Field("stats", "graph", "float32", stats, meaning="attribute statistics"),
    ]


def feature_attributes(window: WindowConfig, fields: int) -> dict[str, Any]:
    """What describes the graphs of a store, as JSON."""
    return {
        "window": {"size": window.size, "stride": window.stride, "features": window.features},
        "fields": fields,
        "node_features": list(node_feature_names(window.features, fields)),
        "edge_features": list(edge_feature_names(window.features, fields)),
        "statistics": list(STATISTICS),
    }
