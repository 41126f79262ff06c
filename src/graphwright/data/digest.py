"""Digests of arrays, block by block: writers stream, appends go on, damage is located."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_BYTES", "BlockHasher", "block_digests", "content_digest"]

BLOCK_BYTES = 16 * 1024 * 1024


class BlockHasher:
    """SHA-256 of each block of `BLOCK_BYTES` of a stream.

    Args:
        blocks: digests of the full blocks that were already seen (when a stream is continued).
    """

    def __init__(self, blocks: list[str] | None = None) -> None:
        self._full = list(blocks or [])
        self._open = hashlib.sha256()
        self._room = BLOCK_BYTES

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        while len(data) >= self._room:
            self._open.update(data[: self._room])
            data = data[self._room :]
            self._full.append(self._open.hexdigest())
            self._open, self._room = hashlib.sha256(), BLOCK_BYTES
        self._open.update(data)
        self._room -= len(data)

    def digests(self) -> list[str]:
        """Digest of every block so far; the last one may be a short one."""
        started = self._room < BLOCK_BYTES
        return [*self._full, self._open.hexdigest()] if started else list(self._full)


def as_bytes(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    if array.size == 0:
        return memoryview(b"")
    return array.reshape(-1).view(np.uint8).data


def block_digests(array: npt.NDArray[Any]) -> list[str]:
    """Digest of every block of one array (contiguous, little-endian)."""
    hasher = BlockHasher()
    data = as_bytes(array)
    # In blocks: hashing a memory-mapped array must not hold all of it.
    for start in range(0, len(data), BLOCK_BYTES):
        hasher.update(data[start : start + BLOCK_BYTES])
    return hasher.digests()


def content_digest(head: Mapping[str, Any], blocks: Mapping[str, list[str]]) -> str:
    """One SHA-256 over a JSON head and the block digests of all arrays."""
    text = json.dumps([head, blocks], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
