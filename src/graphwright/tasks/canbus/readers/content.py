"""The bytes of a capture, unpacked if they are gzipped, and whole lines of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError

__all__ = ["PAD", "Content", "Lines", "beginning", "line_blocks"]

PAD = 32  # bytes of zero on both sides of a block: decoders gather fixed widths without bounds
_GZIP = b"\x1f\x8b"
_PACKED = 1 << 16  # small: what zlib had unpacked of a piece is lost when it meets damage there
_BLOCK = 1 << 20  # bytes; index arrays of a block then stay in the cache
_LONGEST_LINE = 1 << 22


class Content:
    """The bytes of a file in pieces, gunzipped when the first bytes say so.

    Iterating never fails on damage: it ends there, and `broken` says why.

    Args:
        path: the file.
        digest: called with every piece (`hashlib.sha256().update`).

    Raises:
        DataError: no file, a directory, or not readable.
    """

    def __init__(self, path: Path, digest: Callable[[bytes], object] | None = None) -> None:
        self.path = path
        self.broken: str | None = None
        self._digest = digest
        if path.is_dir():
            raise DataError(
                f"{path.name} is a directory, not a capture", where=path, fix="name a file in it"
            )

    def __iter__(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                is_packed = file.peek(2)[:2] == _GZIP
                read = lambda: file.read(_PACKED if is_packed else _BLOCK)  # noqa: E731
                pieces = iter(read, b"")
                for piece in self._gunzipped(pieces) if is_packed else pieces:
                    if self._digest is not None:
                        self._digest(piece)
                    yield piece
        except OSError as error:
            raise DataError(
                f"cannot read {self.path.name} ({error.strerror or error})",
                where=self.path,
                fix="check the path and its permissions",
            ) from error

    def _gunzipped(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        unpack = zlib.decompressobj(31)  # 31: with the gzip header and its checksum
        try:
            for piece in pieces:
                rest = piece
                while rest:
                    if unpack.eof:  # a further member, or zeros that only fill a block
                        rest = rest.lstrip(b"\0")
                        if not rest:
                            break
                        unpack = zlib.decompressobj(31)
                    data = unpack.decompress(rest, _BLOCK)
                    rest = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
                    if data:
                        yield data
            yield from iter(lambda: b"" if unpack.eof else unpack.decompress(b"", _BLOCK), b"")
        except zlib.error:
            self.broken = "damaged gzip data: the rest cannot be read"
            return
        if not unpack.eof:
            self.broken = "truncated gzip data: the file ends early"


@dataclass(frozen=True, eq=False)
class Lines:
    """Whole lines, each with its line feed.

    Attributes:
        data: `[PAD + bytes + PAD]` uint8, zeros in the pads.
        first: number of the first line in its file, from 1.
    """

    data: NDArray[np.uint8]
    first: int


def line_blocks(content: Content, rejects: Rejects) -> Iterator[Lines]:
    """Whole lines of a file, about a mebibyte at a time.

    A last line without a line feed counts, except where the file is broken off: then nobody knows
    how much of it is missing, and it is rejected with the reason.
    """
    number, held, is_skipping = 1, [b""], False
    for piece in content:
        cut = piece.rfind(b"\n") + 1
        if cut == 0:
            held.append(piece)
            if sum(map(len, held)) > _LONGEST_LINE:  # keep its start: one bad line, not the file
                held, is_skipping = [b"".join(held)[:PAD]], True
            continue
        if is_skipping:
            begin = piece.find(b"\n") + 1
            rejects.add(str(content.path), f"line {number}", "line is too long")
            number, held, is_skipping = number + 1, [b""], False
            piece, cut = piece[begin:], cut - begin
        block = b"".join((*held, piece[:cut]))
        held = [piece[cut:]]
        if block:
            yield Lines(_padded(block), number)
            number += block.count(b"\n")
    last = b"".join(held)
    if content.broken:
        rejects.add(str(content.path), f"line {number}", content.broken)
    elif is_skipping:
        rejects.add(str(content.path), f"line {number}", "line is too long")
    elif last:
        yield Lines(_padded(last + b"\n"), number)


def beginning(path: Path, size: int = 1 << 14) -> bytes:
    """The first bytes of a file, unpacked; fewer where it is shorter or damaged."""
    found = b""
    for piece in Content(path):
        found += piece
        if len(found) >= size:
            break
    return found[:size]


def _padded(block: bytes) -> NDArray[np.uint8]:
    data = np.zeros(len(block) + 2 * PAD, np.uint8)
    data[PAD:-PAD] = np.frombuffer(block, np.uint8)
    return data
