"""Frames of a capture as columns, in the order of the file. No torch here.

Legend: N = frames, F = fields of a payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES", "Capture", "Frames"]

BYTES = 8  # the longest payload of a classic CAN frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """Messages on a bus, or rows of an event log.

    Attributes:
        time: `[N]` float64, seconds as the capture has them; may go backwards.
        id: `[N]` uint32, arbitration id; in an event log the code of the source.
        extended: `[N]` bool, 29-bit ids.
        length: `[N]` uint8, fields that the payload really has.
        payload: `[N, 8]` uint8, zero behind `length`; in an event log `[N, F]` float32.
        attack: `[N]` uint8, 1 for an injected frame; all 0 where nothing is known.
    """

    time: NDArray[np.float64]
    id: NDArray[np.uint32]
    extended: NDArray[np.bool_]
    length: NDArray[np.uint8]
    payload: NDArray[np.uint8] | NDArray[np.float32]
    attack: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time)

    def rows(self, start: int, stop: int) -> Frames:
        """Frames `start` to `stop`, without a copy."""
        return Frames(
            **{field.name: getattr(self, field.name)[start:stop] for field in fields(self)}
        )

    @classmethod
    def joined(cls, parts: Sequence[Frames]) -> Frames:
        """One after the other: pieces of one capture, never several captures."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One file of frames and what its place says about it.

    Attributes:
        path: the file.
        folder: the folder it lies in, such as `test_01_known_vehicle_known_attack`.
        name: file name without suffixes, such as `rpm-accessory-1`.
        attack: the name without its number, such as `rpm-accessory`.
        sha256: of the uncompressed content.
    """

    path: Path
    folder: str
    name: str
    attack: str
    sha256: str
