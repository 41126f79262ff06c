"""Frames of a bus as JSON, the way `candump` writes them: `[1672531200.01, "1A0", "0011AAFF"]`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import CanbusData
from graphwright.tasks.canbus.frames import BYTES, Frames
from graphwright.tasks.canbus.readers.log_rows import Row, frames_of_rows, id_reason
from graphwright.training.task import InputForm

__all__ = ["frames_from_json", "input_form"]

_FORM = '[seconds, "id in hex", "bytes in hex"]'
_ID = re.compile(r"[0-9a-fA-F]{1,8}")
_STANDARD_DIGITS = 3  # of an id; an extended one has 8


def input_form(data: CanbusData, state: Mapping[str, Any]) -> InputForm:
    """Files that a service takes, and `{"frames": [[time, id, data], …]}`; an event log has none.

    Args:
        data: how the model's windows were made.
        state: of the model.
    """
    files = f"frames of one capture, {data.window.size} or more"
    if state["sources"]:
        return InputForm(files="an event log, with the columns that the model was trained on")
    return InputForm(
        files=f"{files}: candump, ASC, BLF, TRC or CSV, gzipped or not",
        json=f"frames: a list of {_FORM} in their order, {data.window.size} or more",
        example={"frames": _example(data.window.size, state["ids"])},
        from_json=frames_from_json,
    )


def frames_from_json(value: Any) -> Frames:
    """Decoded JSON as frames.

    Raises:
        DataError: a frame that is none; it is named.
    """
    given = value.get("frames") if isinstance(value, dict) else None
    if not isinstance(given, list):
        raise DataError("there is no list of frames", where="frames", fix=f"a list of {_FORM}")
    rows = []
    for i, item in enumerate(given):
        found = _row(item)
        if isinstance(found, str):
            raise DataError(found, where=f"frames[{i}]", fix=f"a frame is {_FORM}")
        rows.append(found)
    return frames_of_rows(rows)


def _row(item: Any) -> Row | str:
    """A frame, or why it is none."""
    if not isinstance(item, list) or len(item) != 3:
        return "not a list of time, id and data"
    time, ident, data = item
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < math.inf:
        return "time is no finite number from 0"
    if not isinstance(ident, str) or not isinstance(data, str):
        return "id and data are texts in hex"
    try:
        content = bytes.fromhex(data)
    except ValueError:
        return "data is not hexadecimal"
    if not _ID.fullmatch(ident):
        return "id is no hexadecimal number of 1 to 8 digits"
    number, extended = int(ident, 16), len(ident) > _STANDARD_DIGITS
    if reason := id_reason(number, extended):
        return reason
    if len(content) > BYTES:
        return f"{len(content)} bytes of data are more than {BYTES}"
    return Row(float(time), number, extended, content)


def _example(count: int, ids: list[int]) -> list[list[Any]]:
    """As many frames as a window has, of ids that the model knows."""
    standard = [ident for ident in ids if ident <= 0x7FF] or [0x100]
    return [
        [round(0.001 * i, 3), f"{standard[i % len(standard)]:03X}", f"{i % 256:02X}00"]
        for i in range(count)
    ]
