"""What a text format makes of a block of lines: frames, and the reasons against the other lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers.decode import REASONS, Verdict
from graphwright.tasks.canbus.readers.fields import Fields

__all__ = ["Parsed", "no_frames", "parsed", "rows_with"]


@dataclass(frozen=True, eq=False)
class Parsed:
    """Frames of a block, and its bad lines.

    Attributes:
        frames: in the order of the lines.
        line: `[bad]` numbers of the lines that are no frame, ascending.
        code: `[bad]` why, as an index into `REASONS`.
    """

    frames: Frames
    line: NDArray[np.int64]
    code: NDArray[np.uint8]

    def tell(self, rejects: Rejects, source: str) -> Frames:
        """Note every bad line; the frames."""
        for line, code in zip(self.line.tolist(), self.code.tolist(), strict=True):
            rejects.add(source, f"line {line}", REASONS[code])
        return self.frames


def rows_with(
    fields: Fields, columns: NDArray[np.int64] | np.int64
) -> tuple[NDArray[np.int64], Verdict]:
    """Lines that have as many fields as they should, and an open verdict on each of them."""
    rows = np.flatnonzero(fields.count == columns)
    return rows, Verdict(len(rows))


def parsed(
    fields: Fields,
    rows: NDArray[np.int64],
    verdict: Verdict,
    *,
    no_length: NDArray[np.bool_] | None = None,
    **columns: NDArray[Any],
) -> Parsed:
    """Columns of the lines `rows` with a verdict on each.

    All other lines are bad: for their number of columns, or, where `no_length` `[L]` says so, for
    a payload length that is none.
    """
    is_good = verdict.code == 0
    code = np.full(len(fields.count), REASONS.index("wrong number of columns"), np.uint8)
    if len(rows) < len(code):
        if no_length is not None:
            code[no_length] = REASONS.index("payload length is not a number from 0 to 8")
        code[fields.is_empty()] = REASONS.index("line is empty")
    code[rows] = verdict.code
    bad = np.flatnonzero(code)
    if not is_good.all():
        columns = {name: column[is_good] for name, column in columns.items()}
    return Parsed(Frames(**columns), bad + fields.number, code[bad])


def no_frames(fields: int = 0) -> Frames:
    """Nothing; of an event log with that many fields if `fields` is given."""
    payload: NDArray[Any] = (
        np.zeros((0, fields), np.float32) if fields else np.zeros((0, 8), np.uint8)
    )
    return Frames(
        time=np.zeros(0),
        id=np.zeros(0, np.uint32),
        extended=np.zeros(0, bool),
        length=np.zeros(0, np.uint8),
        payload=payload,
        attack=np.zeros(0, np.uint8),
    )
