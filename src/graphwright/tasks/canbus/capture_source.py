"""Where the frames of a data set come from: captures, each readable piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.captures import find_captures
from graphwright.tasks.canbus.data_config import EventConfig, FolderSource, TrafficSource
from graphwright.tasks.canbus.frames import BYTES, Capture, Frames
from graphwright.tasks.canbus.readers import EventColumns, SourceNames, stream_frames
from graphwright.tasks.canbus.traffic import TrafficConfig, generate_dataset

__all__ = ["CaptureSet", "CaptureSource", "content_digests", "file_pieces", "open_captures"]

CHUNK = 100_000  # frames of a piece


@dataclass(frozen=True, kw_only=True)
class CaptureSource:
    """One capture of a data set.

    Attributes:
        folder: such as `train_01_attack_free`.
        name: such as `rpm-accessory-1`, or `set_04/rpm-accessory-1` where there are several sets.
        attack: such as `rpm-accessory`.
        sha256: of the content; captures of equal content have the same.
        pieces: gives its frames, in order and never mixed with another capture's.
    """

    folder: str
    name: str
    attack: str
    sha256: str
    pieces: Callable[[Rejects], Iterator[Frames]]


@dataclass(frozen=True, kw_only=True)
class CaptureSet:
    """All captures of a data set, copies included.

    Attributes:
        sources: by folder and name.
        fields: fields of a payload.
        names: of an event log: takes its sources while captures are read.
    """

    sources: tuple[CaptureSource, ...]
    fields: int
    names: SourceNames


def open_captures(source: FolderSource | TrafficSource) -> CaptureSet:
    """The captures of a data set; nothing is parsed yet.

    Where a folder holds several data sets, a capture's name begins with its own: two of them may
    have the same file in the same folder.

    Raises:
        DataError: no such folder, or no capture in it.
    """
    names = SourceNames()
    if isinstance(source, TrafficSource):
        return CaptureSet(sources=_generated(source), fields=BYTES, names=names)
    folder = dataset_folder(source)
    found = find_captures(folder)
    captures = [*found.kept, *(dropped.capture for dropped in found.dropped)]
    several = len({_dataset(capture, folder) for capture in captures}) > 1
    return CaptureSet(
        sources=tuple(
            CaptureSource(
                folder=capture.folder,
                name=_dataset(capture, folder) * several + capture.name,
                attack=capture.attack,
                sha256=capture.sha256,
                pieces=file_pieces(capture.path, source, names),
            )
            for capture in sorted(captures, key=lambda c: (c.folder, c.name, str(c.path)))
        ),
        fields=len(source.events.fields) or BYTES,
        names=names,
    )


def _dataset(capture: Capture, root: Path) -> str:
    """Folders between the root and the capture's own, each with a slash behind it."""
    return "".join(f"{part}/" for part in capture.path.relative_to(root).parts[:-2])


def dataset_folder(source: FolderSource) -> Path:
    """The folder of a data set.

    Raises:
        DataError: there is none.
    """
    folder = Path(source.path) / source.dataset
    if not folder.is_dir():
        raise DataError(
            "there is no such folder of captures",
            where=folder,
            fix="set data.source.path, and data.source.dataset to a folder in it (or to nothing)",
        )
    return folder


def content_digests(source: FolderSource) -> list[tuple[str, str]]:
    """Every file of a data set and the SHA-256 of its bytes: a changed file is other data."""
    folder = dataset_folder(source)
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found.append((path.relative_to(folder).as_posix(), digest))
    return found


def file_pieces(
    path: Path, source: FolderSource, names: SourceNames
) -> Callable[[Rejects], Iterator[Frames]]:
    """Reads one file of a data set; `names` takes the sources of event logs."""

    def pieces(rejects: Rejects) -> Iterator[Frames]:
        columns = event_columns(source.events)
        left = source.limit or None
        for piece in stream_frames(
            path,
            format=source.format,
            chunk=CHUNK,
            rejects=rejects,
            columns=columns,
            names=names,
        ):
            yield piece if left is None else piece.rows(0, min(left, len(piece)))
            left = None if left is None else left - len(piece)
            if left is not None and left <= 0:
                return

    return pieces


def event_columns(events: EventConfig) -> EventColumns | None:
    """The columns for the reader of event logs; None where captures are frames of a bus."""
    if not events.fields:
        return None
    return EventColumns(
        time=events.time,
        source=events.source,
        fields=events.fields,
        label=events.label or None,
        benign=events.benign,
    )


def _generated(source: TrafficSource) -> tuple[CaptureSource, ...]:
    """Captures of generated traffic, in memory."""
    made = generate_dataset(
        source.seed, TrafficConfig(seconds=source.seconds, repeats=source.repeats)
    )
    return tuple(
        CaptureSource(
            folder=capture.folder,
            name=capture.name,
            attack=capture.attack,
            sha256=capture.sha256,
            pieces=_in_memory(frames),
        )
        for capture, frames in made
    )


def _in_memory(frames: Frames) -> Callable[[Rejects], Iterator[Frames]]:
    def pieces(_: Rejects) -> Iterator[Frames]:
        for start in range(0, len(frames), CHUNK):
            yield frames.rows(start, min(start + CHUNK, len(frames)))

    return pieces
