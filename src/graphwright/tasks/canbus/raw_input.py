"""A user's own capture as windows, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from graphwright.data.packed import PackedGraphs
from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.capture_source import event_columns
from graphwright.tasks.canbus.data_config import CanbusData, FolderSource, WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.loaded import feature_attributes, store_fields
from graphwright.tasks.canbus.readers import SourceNames, stream_frames
from graphwright.tasks.canbus.store_build import graph_arrays
from graphwright.tasks.canbus.windows import WindowGraphs, stream_window_graphs

__all__ = ["pack_windows", "read_capture", "window_names"]


def read_capture(
    raw: Path | Frames, data: CanbusData, sources: tuple[str, ...], rejects: Rejects
) -> WindowGraphs:
    """All whole windows of a capture.

    Args:
        raw: a file of any readable format, or frames.
        data: how the model's windows were made.
        sources: of an event log: names in the order of the model's codes.
        rejects: takes what is no frame.

    Raises:
        DataError: the file cannot be read, or holds no whole window.
    """
    pieces = iter([raw]) if isinstance(raw, Frames) else _pieces(raw, data, sources, rejects)
    graphs = list(stream_window_graphs(pieces, data.window))
    if not sum(map(len, graphs)):
        raise DataError(
            f"there is no whole window of {data.window.size} frames",
            where="frames" if isinstance(raw, Frames) else raw,
            fix=f"rejected rows: {rejects.by_reason() or 'none'}",
        )
    return WindowGraphs.joined(graphs)


def pack_windows(graphs: WindowGraphs, window: WindowConfig, fields: int) -> PackedGraphs:
    """Windows as a source of batches."""
    attributes: dict[str, Any] = feature_attributes(window, fields)
    declared = store_fields(attributes["node_features"], attributes["edge_features"])
    return PackedGraphs.from_arrays(
        **graph_arrays(graphs, 0), fields=declared, attributes=attributes
    )


def _pieces(raw: Path, data: CanbusData, sources: tuple[str, ...], rejects: Rejects) -> Any:
    source = data.source if isinstance(data.source, FolderSource) else FolderSource(path="")
    names = SourceNames(sources)
    columns = event_columns(source.events)
    return stream_frames(raw, format=source.format, rejects=rejects, columns=columns, names=names)


def window_names(raw: Path | Frames, graphs: WindowGraphs) -> list[str]:
    """What each window is called: the file and its first frame."""
    stem = "frames" if isinstance(raw, Frames) else raw.name
    return [f"{stem}:{start}" for start in np.asarray(graphs.start).tolist()]
