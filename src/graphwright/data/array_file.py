"""One array file of a store while it is being written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphwright.data.digest import BLOCK_BYTES, BlockHasher, as_bytes
from graphwright.data.fields import ArraySpec
from graphwright.errors import DataError

__all__ = ["ArrayFile", "disk_errors"]

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "writing is not permitted",
}


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say of an OSError what it means for the store in `folder` (DataError)."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise DataError(
            f"the packed store cannot be written: {reason}",
            where=folder,
            fix="nothing was left behind; free some space or choose another folder",
        ) from error


class ArrayFile:
    """Rows written one after the other to `path`, with the digest of every block.

    Args:
        path: the file. If it exists, what it holds past `spec` (a killed append) is cut off;
            a new one begins with `spec`'s rows of zeros (the first entry of a pointer).
        spec: dtype and present shape.
        blocks: digests of the blocks present, so that the full ones need not be read again.
        new: whether the file is yet to be made.

    Raises:
        DataError: an existing file is shorter than `spec`, or its last block is damaged.
        OSError: the file cannot be made or read.
    """

    def __init__(self, path: Path, spec: ArraySpec, blocks: list[str], *, new: bool) -> None:
        self._dtype = spec.dtype
        full = spec.nbytes // BLOCK_BYTES
        self._hasher = BlockHasher(blocks[:full])
        self._file = path.open("x+b" if new else "r+b", buffering=0)
        try:
            if not new and path.stat().st_size < spec.nbytes:
                raise DataError("the store is truncated: write it again", where=path)
            self._file.truncate(spec.nbytes)
            self._file.seek(full * BLOCK_BYTES)
            while piece := self._file.read(1 << 20):
                self._hasher.update(memoryview(piece))
            if not new and self._hasher.digests() != blocks:
                raise DataError("the store is damaged: write it again", where=path)
        except BaseException:
            self._file.close()
            raise

    def write(self, rows: npt.NDArray[Any]) -> None:
        """Append rows."""
        data = as_bytes(np.ascontiguousarray(rows, dtype=self._dtype))
        self._hasher.update(data)
        while len(data):
            data = data[self._file.write(data) :]

    def finish(self) -> list[str]:
        """Bring everything to the disk; the digest of every block."""
        os.fsync(self._file.fileno())
        return self._hasher.digests()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
