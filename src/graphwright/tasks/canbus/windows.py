"""From frames to graphs: windows of W frames, their ids as nodes, who follows whom as edges.

Legend: C = windows, N = nodes, E = edges, W = frames of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.edge_features import edge_features
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.node_features import node_features
from graphwright.tasks.canbus.window_chunk import EXTENDED, WindowChunk, cut_windows, node_ids
from graphwright.tasks.canbus.window_stats import window_statistics

__all__ = [
    "EXTENDED",
    "WindowGraphs",
    "count_windows",
    "iter_window_graphs",
    "stream_window_graphs",
    "window_graphs",
]

_FRAMES = 1 << 17  # frames of the windows that are built at once
_PAIRS = 1 << 24  # pairs of nodes of the windows that are built at once, at most


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowGraphs:
    """Graphs of consecutive windows of one capture.

    Nodes ascend by id in every window, edges by (target, source).

    Attributes:
        node_counts: int64 `[C]`.
        edge_counts: int64 `[C]`.
        edge_index: int64 `[2, E]`, source and target, from 0 in every window.
        node_id: int64 `[N]`, with `EXTENDED` added to ids of 29 bits.
        node_x: float32 `[N, Fn]`, see `node_features`.
        edge_x: float32 `[E, Fe]`, see `edge_features`.
        start: int64 `[C]`, place of the first frame in the capture.
        end: int64 `[C]`, place behind the last one.
        start_time: float64 `[C]`, seconds.
        end_time: float64 `[C]`, of the last frame; before `start_time` where a clock jumped back.
        attack_frames: int32 `[C]`.
        stats: float32 `[C, 17]`, see `window_statistics`.
    """

    node_counts: NDArray[np.int64]
    edge_counts: NDArray[np.int64]
    edge_index: NDArray[np.int64]
    node_id: NDArray[np.int64]
    node_x: NDArray[np.float32]
    edge_x: NDArray[np.float32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]
    attack_frames: NDArray[np.int32]
    stats: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.node_counts)

    @classmethod
    def joined(cls, parts: Sequence[WindowGraphs]) -> WindowGraphs:
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            **{
                field.name: np.concatenate(
                    [getattr(part, field.name) for part in parts],
                    axis=1 if field.name == "edge_index" else 0,
                )
                for field in fields(cls)
            }
        )


def count_windows(frames: int, config: WindowConfig) -> int:
    """Whole windows in so many frames; frames behind the last whole one are in no graph."""
    return max(0, (frames - config.size) // config.stride + 1)


def window_graphs(frames: Frames, config: WindowConfig) -> WindowGraphs:
    """The graphs of all whole windows of one capture.

    Args:
        frames: one capture, never several: a window must not reach across.
        config: size, stride and features.

    Raises:
        DataError: a time or a field that is not finite, or an id of 2^31 and more.
    """
    parts = list(iter_window_graphs(frames, config))
    return WindowGraphs.joined(parts) if parts else _none(frames, config)


def iter_window_graphs(frames: Frames, config: WindowConfig) -> Iterator[WindowGraphs]:
    """The same in pieces of about 130,000 frames, for bounded memory.

    Raises:
        DataError: see `window_graphs`.
    """
    _check(frames)
    count, id_S = count_windows(len(frames), config), node_ids(frames)
    at_once = max(1, min(_FRAMES // config.size, _PAIRS // config.size**2))
    for first in range(0, count, at_once):
        stop = min(first + at_once, count)
        yield _graphs(
            cut_windows(frames, id_S, config.size, config.stride, first, stop), first, config
        )


def stream_window_graphs(pieces: Iterable[Frames], config: WindowConfig) -> Iterator[WindowGraphs]:
    """The same from a capture that comes in pieces, of any sizes: no window is lost between them.

    Args:
        pieces: the frames of one capture, in order.
        config: size, stride and features.

    Raises:
        DataError: see `window_graphs`.
    """
    kept: Frames | None = None
    offset = 0  # place of the first kept frame in the capture
    skip = 0  # frames still to pass over, where the stride is longer than a window
    for piece in pieces:
        passed = min(skip, len(piece))
        skip, offset = skip - passed, offset + passed
        rest = piece.rows(passed, len(piece))
        held = rest if kept is None else Frames.joined([kept, rest])
        for graphs in iter_window_graphs(held, config):
            yield _moved(graphs, offset)
        used = count_windows(len(held), config) * config.stride
        skip += max(0, used - len(held))
        kept = held.rows(min(used, len(held)), len(held))
        offset += min(used, len(held))


def _moved(graphs: WindowGraphs, offset: int) -> WindowGraphs:
    values: dict[str, Any] = {f.name: getattr(graphs, f.name) for f in fields(WindowGraphs)}
    values |= {"start": graphs.start + offset, "end": graphs.end + offset}
    return WindowGraphs(**values)


def _graphs(chunk: WindowChunk, first: int, config: WindowConfig) -> WindowGraphs:
    start = np.arange(first, first + chunk.windows) * config.stride
    offsets = chunk.node_ptr[chunk.window_of_edge]
    return WindowGraphs(
        node_counts=chunk.node_counts,
        edge_counts=chunk.edge_counts,
        edge_index=chunk.edge_index - offsets,
        node_id=chunk.id_N.astype(np.int64),
        node_x=node_features(chunk, config.features),
        edge_x=edge_features(chunk, config.features),
        start=start,
        end=start + config.size,
        start_time=chunk.time_CW[:, 0].copy(),
        end_time=chunk.time_CW[:, -1].copy(),
        attack_frames=chunk.attack_CW.sum(1, dtype=np.int32),
        stats=window_statistics(chunk),
    )


def _none(frames: Frames, config: WindowConfig) -> WindowGraphs:
    """No graphs, in arrays of the right shapes: those of one blank window, without it."""
    count = config.size
    blank = Frames(
        time=np.zeros(count),
        id=np.zeros(count, np.uint32),
        extended=np.zeros(count, np.bool_),
        length=np.zeros(count, np.uint8),
        payload=np.zeros((count, frames.payload.shape[1]), frames.payload.dtype),
        attack=np.zeros(count, np.uint8),
    )
    (one,) = iter_window_graphs(blank, config)
    values = {field.name: getattr(one, field.name)[:0] for field in fields(WindowGraphs)}
    return WindowGraphs(**{**values, "edge_index": one.edge_index[:, :0]})


def _check(frames: Frames) -> None:
    for name, values in (("time", frames.time), ("payload", frames.payload)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = ~np.isfinite(values).reshape(len(frames), -1).all(1)
            raise DataError(
                f"the {name} of frame {int(bad.argmax())} is not finite",
                fix="the readers reject such rows",
            )
