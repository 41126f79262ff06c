"""A request's input on its way in: how it is named, and how much it may unpack to.

A body is never trusted: the name of a file gives no path, nothing is unpickled by any reader, and
what is packed is measured before it is unpacked.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

from graphwright.data.limits import LimitError
from graphwright.errors import DataError

__all__ = ["Upload", "check_unpacked", "safe_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 100  # characters of a name
_CHUNK = 1 << 20
_GZIP, _ZIP, _BLF = b"\x1f\x8b", b"PK", b"LOGG"
_MEMBERS = 1000  # of a zip
# Vector's BLF: mark, header size, -, size, kind; of a container: packing, size when unpacked
_OBJECT = struct.Struct("<4sHHII")
_CONTAINER = struct.Struct("<H6xI")
_CONTAINER_KIND, _HEADER_SIZE_AT = 10, 4


@dataclass(frozen=True)
class Upload:
    """The body of a request.

    Attributes:
        body: as it came.
        name: of the file, made safe; None for JSON.
    """

    body: bytes
    name: str | None


def safe_name(given: str, suffixes: tuple[str, ...]) -> str:
    """The last part of a file's name, without anything that a path or a shell could mean.

    Args:
        given: as the client says.
        suffixes: the endings that the model's task can read; "" is any.

    Raises:
        DataError: another ending.
    """
    name = re.split(r"[/\\]", given)[-1]
    name = _UNSAFE.sub("_", name).lstrip(".-")[-_LONGEST:] or "input"
    if not any(name.lower().endswith(suffix) for suffix in suffixes):
        raise DataError(
            f"{name}: files of this ending are not taken",
            where="file",
            fix=f"send one of {', '.join(suffixes)}",
        )
    return name


def check_unpacked(body: bytes, limit: int, where: str) -> None:
    """See that gzip, zip (.npz) and BLF files unpack to at most `limit` bytes.

    Args:
        body: of the file.
        limit: the most.
        where: name of the file.

    Raises:
        LimitError: they unpack to more.
        DataError: a zip that cannot be read.
    """
    if body.startswith(_GZIP):
        head = _gunzipped_head(body, limit, where)
        if head.startswith(_BLF):
            check_unpacked(head, limit, where)
    elif body.startswith(_ZIP):
        _check(_zip_size(body, where), limit, where)
    elif body.startswith(_BLF):
        _check(_blf_size(body), limit, where)


def _check(size: int, limit: int, where: str) -> None:
    if size > limit:
        raise LimitError(
            f"the file unpacks to more than {limit:,} bytes",
            where=where,
            fix="send it in several requests",
        )


def _gunzipped_head(body: bytes, limit: int, where: str) -> bytes:
    """The unpacked bytes if they are BLF, else only the first; damage is left to the reader."""
    size, kept, rest = 0, bytearray(), body
    while rest.startswith(_GZIP):
        unpack = zlib.decompressobj(31)
        while not unpack.eof:
            try:
                piece = unpack.decompress(rest, _CHUNK)
            except zlib.error:
                return bytes(kept)
            rest = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            size += len(piece)
            _check(size, limit, where)
            if not kept or kept.startswith(_BLF):
                kept += piece
            if not piece and not rest:
                return bytes(kept)
    return bytes(kept)


def _zip_size(body: bytes, where: str) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as file:
            members = file.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise DataError(
            f"the file is damaged: {error}", where=where, fix="save or fetch it again"
        ) from None
    if len(members) > _MEMBERS:
        raise LimitError(
            f"{len(members):,} arrays in one file are more than {_MEMBERS:,}", where=where
        )
    return sum(member.file_size for member in members)


def _blf_size(body: bytes) -> int:
    """What its containers say they unpack to; the reader takes none that is larger than it says."""
    size, place = 0, int.from_bytes(body[_HEADER_SIZE_AT : _HEADER_SIZE_AT + 4], "little")
    while place + _OBJECT.size <= len(body):
        _, _, _, length, kind = _OBJECT.unpack_from(body, place)
        inside = place + _OBJECT.size
        if kind == _CONTAINER_KIND and inside + _CONTAINER.size <= len(body):
            size += _CONTAINER.unpack_from(body, inside)[1]
        if length < _OBJECT.size:
            break  # damaged: the reader goes no further either
        place += length + length % 4
    return size
