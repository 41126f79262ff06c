"""Where the frames of a data set come from: captures, each readable piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import EventConfig, FolderSource
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import EventColumns, SourceNames, stream_frames

__all__ = ["CaptureSource", "content_digests", "dataset_folder"]

CHUNK = 100_000  # frames of a piece


@dataclass(frozen=True, kw_only=True)
class CaptureSource:
    """One capture of a data set.

    Attributes:
        folder: such as `train_01_attack_free`.
        name: such as `rpm-accessory-1`.
        attack: such as `rpm-accessory`.
        sha256: of the content; captures of equal content have the same.
        pieces: gives its frames, in order and never mixed with another capture's.
    """

    folder: str
    name: str
    attack: str
    sha256: str
    pieces: Callable[[Rejects], Iterator[Frames]]


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
