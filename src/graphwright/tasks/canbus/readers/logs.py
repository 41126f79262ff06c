"""Vector `.asc` and `.blf`, PEAK `.trc`: one door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.asc import AscLines
from graphwright.tasks.canbus.readers.blf import blf_frames
from graphwright.tasks.canbus.readers.content import PAD, Content, Lines, line_blocks
from graphwright.tasks.canbus.readers.log_rows import Row, frames_of_rows
from graphwright.tasks.canbus.readers.trc import TrcLines

__all__ = ["log_frames"]

_BOM = b"\xef\xbb\xbf"


def log_frames(
    path: Path,
    format: str,
    rejects: Rejects,
    digest: Callable[[bytes], object] | None = None,
) -> Iterator[Frames]:
    """Frames of a log; they are no attacks. `asc` times count from the start of the log.

    Args:
        path: the file, gzipped or not.
        format: `asc`, `blf` or `trc`.
        rejects: takes what is no data frame of classic CAN, by its line or object.
        digest: called with the uncompressed bytes, piece by piece.

    Raises:
        DataError: the file cannot be read, or is of a version that is not known.
    """
    if format == "blf":
        yield from blf_frames(path, rejects, digest)
        return
    parser = AscLines() if format == "asc" else TrcLines()
    for lines in line_blocks(Content(path, digest), rejects):
        rows = list(_rows(lines, parser, path, rejects))
        if rows:
            yield frames_of_rows(rows)


def _rows(lines: Lines, parser: AscLines | TrcLines, path: Path, rejects: Rejects) -> Iterator[Row]:
    text = lines.data[PAD:-PAD].tobytes()
    if lines.first == 1:
        text = text.removeprefix(_BOM)
    for number, line in enumerate(text.split(b"\n")[:-1], lines.first):
        try:
            found = parser.read(line)
        except DataError as error:
            raise DataError(error.what, where=f"{path}:{number}", fix=error.fix) from None
        if isinstance(found, Row):
            yield found
        elif found:
            rejects.add(str(path), f"line {number}", found)
