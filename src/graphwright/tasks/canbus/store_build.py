"""Captures into a packed store, piece by piece: a parser and a builder of graphs side by side."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.fields import SCHEMA_FILE, StoreSchema
from graphwright.data.packed_writer import PackedWriter
from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.runs.files import write_json_atomic
from graphwright.tasks.canbus.ahead import ahead
from graphwright.tasks.canbus.capture_source import CaptureSource
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.loaded import CaptureInfo, feature_attributes, store_fields
from graphwright.tasks.canbus.window_chunk import node_ids
from graphwright.tasks.canbus.windows import WindowGraphs, stream_window_graphs

__all__ = ["build_store", "graph_arrays", "unique_captures"]

log = logging.getLogger(__name__)

_SMALL = 256  # nodes of a window that a byte numbers; it has no more nodes than frames
_Chosen = tuple[CaptureSource, tuple[str, ...]]


@dataclass
class _Tally:
    """Counts of one capture while it passes."""

    frames: int = 0
    attack_frames: int = 0
    backward: int = 0
    rejected: int = 0
    earliest: float = np.inf
    latest: float = -np.inf
    last: float = -np.inf
    ids: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))

    def pieces(self, items: Iterable[_Parsed]) -> Iterator[Frames]:
        """The pieces of a capture, counted as they pass."""
        for item in items:
            self.rejected = item.rejected
            if item.piece is not None and len(item.piece):
                self._add(item.piece)
                yield item.piece

    def _add(self, piece: Frames) -> None:
        self.frames += len(piece)
        self.attack_frames += int(piece.attack.sum(dtype=np.int64))
        before = np.concatenate(([self.last], piece.time[:-1]))
        self.backward += int((piece.time < before).sum())
        self.earliest = min(self.earliest, float(piece.time.min()))
        self.latest = max(self.latest, float(piece.time.max()))
        self.last = float(piece.time[-1])
        self.ids = np.union1d(self.ids, node_ids(piece))


def unique_captures(
    captures: Sequence[CaptureSource], *, deduplicate: bool
) -> tuple[list[_Chosen], list[str]]:
    """Captures in order, each with the places of its copies, and a line for every one left out.

    A training capture is kept before its copy in a test folder: the copy would be no test.

    Args:
        captures: all of them.
        deduplicate: False keeps copies.
    """
    if not deduplicate:
        return [(capture, ()) for capture in captures], []
    order = sorted(captures, key=lambda c: not c.folder.startswith("train"))
    keepers: dict[str, CaptureSource] = {}
    for capture in order:
        keepers.setdefault(capture.sha256, capture)
    copies: dict[str, list[str]] = {digest: [] for digest in keepers}
    dropped = []
    for capture in captures:
        kept = keepers[capture.sha256]
        if kept is not capture:
            copies[capture.sha256].append(f"{capture.folder}/{capture.name}")
            dropped.append(
                f"{capture.folder}/{capture.name} has the content of {kept.folder}/{kept.name}"
            )
    kept_in_order = [c for c in captures if keepers[c.sha256] is c]
    return [(c, tuple(copies[c.sha256])) for c in kept_in_order], dropped


def build_store(
    captures: Sequence[CaptureSource],
    folder: Path,
    *,
    window: WindowConfig,
    fields: int,
    deduplicate: bool,
    strict: bool,
    source_names: Sequence[str] = (),
) -> None:
    """Write `store`, `rejected.csv` and `rejected.json` into a folder.

    Memory is bounded by a few pieces of captures, however long those are.

    Args:
        captures: what to read, in this order.
        folder: where to.
        window: how frames become graphs.
        fields: fields of a payload, 8 for a bus.
        deduplicate: read captures of equal content once.
        strict: stop at the first bad row.
        source_names: of event logs: taken when everything is read.

    Raises:
        DataError: a capture cannot be read, a bad row and `strict`, or no whole window at all.
    """
    chosen, dropped = unique_captures(captures, deduplicate=deduplicate)
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)  # of a build that was killed
    attributes = feature_attributes(window, fields)
    table = _write(chosen, folder, work / "store", attributes, window=window, strict=strict)
    if not any(info.windows for info in table):
        frames = sum(info.frames for info in table)
        shutil.rmtree(work)
        raise DataError(
            f"no window of {window.size} frames in {len(table)} captures ({frames} frames)",
            where=folder / "rejected.csv",
            fix="see what was rejected, or make data.window.size smaller",
        )
    attributes |= {"sources": list(source_names), "dropped": dropped}
    attributes["captures"] = [info.to_json() for info in table]
    schema = replace(StoreSchema.read(work / "store"), attributes=attributes)
    write_json_atomic(work / "store" / SCHEMA_FILE, schema.to_json())
    (work / "store").rename(folder / "store")
    shutil.rmtree(work)


def _write(
    chosen: Sequence[_Chosen],
    folder: Path,
    store: Path,
    attributes: dict[str, Any],
    *,
    window: WindowConfig,
    strict: bool,
) -> list[CaptureInfo]:
    """All graphs and rejects; the table of captures."""
    known = store_fields(attributes["node_features"], attributes["edge_features"])
    kind = "uint8" if window.size <= _SMALL else "int16"
    with (
        Rejects(folder, strict) as rejects,
        PackedWriter(store, known, index_dtype=kind) as writer,
        # closed first: it stops the parser where the builder fails
        closing(ahead(_parsed([capture for capture, _ in chosen], rejects))) as parsed,
    ):
        return [
            _add(chosen[number], number, items, writer, window)
            for number, items in groupby(parsed, key=lambda item: item.capture)
        ]


@dataclass(frozen=True)
class _Parsed:
    """A piece of a capture, and how many of its rows were rejected until here."""

    capture: int
    piece: Frames | None
    rejected: int


def _parsed(captures: Sequence[CaptureSource], rejects: Rejects) -> Iterator[_Parsed]:
    for number, capture in enumerate(captures):
        before = rejects.count
        for piece in capture.pieces(rejects):
            yield _Parsed(number, piece, rejects.count - before)
        yield _Parsed(number, None, rejects.count - before)


def _add(
    chosen: _Chosen,
    number: int,
    items: Iterable[_Parsed],
    writer: PackedWriter,
    window: WindowConfig,
) -> CaptureInfo:
    """Put one capture into the store."""
    capture, also = chosen
    windows, used, tally = 0, 0, _Tally()
    for graphs in stream_window_graphs(tally.pieces(items), window):
        writer.add_many(**graph_arrays(graphs, number))
        windows, used = windows + len(graphs), int(graphs.end[-1])
    duration = max(0.0, tally.latest - tally.earliest) if tally.frames else 0.0
    info = CaptureInfo(
        folder=capture.folder,
        name=capture.name,
        attack=capture.attack,
        sha256=capture.sha256,
        also=also,
        frames=tally.frames,
        attack_frames=tally.attack_frames,
        ids=len(tally.ids),
        windows=windows,
        unused_frames=max(0, tally.frames - used),
        duration_s=duration,
        frames_per_s=tally.frames / duration if duration > 0 else 0.0,
        backward_times=tally.backward,
        rejected=tally.rejected,
    )
    log.info("%s/%s: %d frames, %d windows", info.folder, info.name, info.frames, info.windows)
    return info


def graph_arrays(graphs: WindowGraphs, capture: int) -> dict[str, Any]:
    """Windows as `PackedWriter.add_many` takes them, with all of `store_fields`."""
    return {
        "node_counts": graphs.node_counts,
        "edge_counts": graphs.edge_counts,
        "edge_index": graphs.edge_index,
        "nodes": {"id": graphs.node_id, "x": graphs.node_x},
        "edges": {"edge_x": graphs.edge_x},
        "graphs": {
            "capture": np.full(len(graphs), capture, np.int32),
            "position": graphs.start,
            "start_time": graphs.start_time,
            "end_time": graphs.end_time,
            "attack_frames": graphs.attack_frames,
            "label": (graphs.attack_frames > 0).astype(np.uint8),
            "stats": graphs.stats,
        },
    }
