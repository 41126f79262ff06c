"""Formats with a frame on each line: blocks of lines to frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import can_train_and_test, candump, car_hacking
from graphwright.tasks.canbus.readers.content import PAD, Content, Lines, line_blocks
from graphwright.tasks.canbus.readers.detect import is_header
from graphwright.tasks.canbus.readers.fields import Fields, split_at_commas, split_at_spaces
from graphwright.tasks.canbus.readers.parsed import Parsed

__all__ = ["TEXT_FORMATS", "text_frames"]

_Split = Callable[[Lines], Fields]
_Parse = Callable[[Fields], Parsed]
TEXT_FORMATS: dict[str, tuple[_Split, _Parse]] = {
    "can_train_and_test": (split_at_commas, can_train_and_test.parse),
    "hcrl_csv": (split_at_commas, car_hacking.parse_csv),
    "hcrl_text": (split_at_spaces, car_hacking.parse_text),
    "candump": (split_at_spaces, candump.parse),
}


def text_frames(
    path: Path,
    format: str,
    rejects: Rejects,
    digest: Callable[[bytes], object] | None = None,
) -> Iterator[Frames]:
    """Frames of a file, a block of lines at a time.

    Args:
        path: the file, gzipped or not.
        format: one of `TEXT_FORMATS`.
        rejects: takes the lines that are no frame.
        digest: called with the uncompressed bytes, piece by piece.

    Raises:
        DataError: the file cannot be read, or lacks the header of its format.
    """
    split, parse = TEXT_FORMATS[format]
    for lines in line_blocks(Content(path, digest), rejects):
        body = lines
        if format == "can_train_and_test" and lines.first == 1:
            body = _behind_header(lines, path)
        if len(body.data) > 2 * PAD:
            yield parse(split(body)).tell(rejects, str(path))


def _behind_header(lines: Lines, path: Path) -> Lines:
    text = lines.data[PAD : PAD + 4096].tobytes()
    cut = text.find(b"\n") + 1
    if not is_header(text[:cut]):
        raise DataError(
            f"{path.name} does not begin with the header {can_train_and_test.HEADER}",
            where=f"{path}:1",
            fix="put the header there, or say which format this is",
        )
    data = lines.data[cut:].copy()
    data[:PAD] = 0
    return Lines(data, lines.first + 1)
