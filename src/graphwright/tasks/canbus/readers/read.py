"""One door to all formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphwright.data.rejects import Rejects
from graphwright.errors import ConfigError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.detect import known_format
from graphwright.tasks.canbus.readers.event_log import EventColumns, SourceNames, event_frames
from graphwright.tasks.canbus.readers.logs import log_frames
from graphwright.tasks.canbus.readers.parsed import no_frames
from graphwright.tasks.canbus.readers.text import TEXT_FORMATS, text_frames

__all__ = ["backward_steps", "read_frames", "stream_frames"]


@dataclass(frozen=True)
class _Source:
    path: Path
    format: str
    columns: EventColumns | None
    names: SourceNames


def read_frames(
    path: str | Path,
    *,
    format: str = "auto",
    rejects: Rejects,
    columns: EventColumns | None = None,
    names: SourceNames | None = None,
    digest: Callable[[bytes], object] | None = None,
) -> Frames:
    """All frames of a capture, in the order of the file.

    Times that go backwards are kept as they are (`backward_steps` counts them). A line that is not
    a frame goes to `rejects` with its number and the reason. A gzip file that breaks off gives the
    frames of its whole lines and one reject. A file of a header alone gives no frames.

    Args:
        path: the file, gzipped or not.
        format: one of `detect.FORMATS`, or `auto`: by the content.
        rejects: takes what is no frame.
        columns: for an event log: what its columns mean (`format` then stays `auto`).
        names: for an event log: takes its sources; the same one for all files of a data set.
        digest: called with the uncompressed bytes, piece by piece (`hashlib.sha256().update`), so
            that a file need not be read twice to be hashed.

    Raises:
        DataError: no file, a directory, an empty file, a format that is not known (binary noise),
            or a can-train-and-test file without its header.
    """
    source = _Source(Path(path), format, columns, names or SourceNames())
    parts = list(_parts(source, rejects, digest))
    if len(parts) == 1:
        return parts[0]
    return (
        Frames.joined(parts) if parts else no_frames(0 if columns is None else len(columns.fields))
    )


def stream_frames(
    path: str | Path,
    *,
    format: str = "auto",
    chunk: int = 100_000,
    rejects: Rejects,
    columns: EventColumns | None = None,
    names: SourceNames | None = None,
) -> Iterator[Frames]:
    """The frames of `read_frames`, `chunk` at a time (the last are fewer), in bounded memory.

    Raises:
        ConfigError: `chunk` is below 1.
        DataError: as `read_frames`.
    """
    if chunk < 1:
        raise ConfigError(f"chunk must be at least 1, not {chunk}")
    source = _Source(Path(path), format, columns, names or SourceNames())
    return _rechunked(_parts(source, rejects, None), chunk)


def backward_steps(frames: Frames) -> int:
    """How many frames are earlier than the one before them."""
    return int(np.count_nonzero(np.diff(frames.time) < 0))


def _parts(
    source: _Source, rejects: Rejects, digest: Callable[[bytes], object] | None
) -> Iterator[Frames]:
    path = source.path
    if source.columns is not None:
        yield from event_frames(path, source.columns, source.names, rejects, digest)
        return
    name = known_format(source.format, path)
    if name in TEXT_FORMATS:
        yield from text_frames(path, name, rejects, digest)
        return
    yield from log_frames(path, name, rejects, digest)


def _rechunked(parts: Iterator[Frames], chunk: int) -> Iterator[Frames]:
    held: list[Frames] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count < chunk:
            continue
        joined = Frames.joined(held)
        stop = count - count % chunk
        for start in range(0, stop, chunk):
            yield joined.rows(start, start + chunk)
        held, count = [joined.rows(stop, count)], count - stop
    if count:
        yield Frames.joined(held)
