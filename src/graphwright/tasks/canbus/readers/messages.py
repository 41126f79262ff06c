"""Messages of python-can to frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from graphwright.tasks.canbus.frames import BYTES, Frames
from graphwright.tasks.canbus.readers.decode import REASONS
from graphwright.tasks.canbus.readers.log_rows import Row, frames_of_rows

__all__ = ["frames_of_messages", "reason_against"]


def reason_against(message: Any) -> str:
    """Why a `can.Message` is not a data frame of classic CAN; empty for one that is."""
    if message.is_error_frame:
        return "error frame"
    if message.is_remote_frame:
        return "remote frame"
    if message.is_fd:
        return "CAN FD frame"
    if not math.isfinite(message.timestamp):
        return "time is not finite"
    if message.timestamp < 0:
        return "time is negative"
    if len(message.data) > BYTES:
        return REASONS[11]
    highest = 0x1FFFFFFF if message.is_extended_id else 0x7FF
    if not 0 <= message.arbitration_id <= highest:
        return REASONS[8] if message.is_extended_id else REASONS[7]
    return ""


def frames_of_messages(messages: Sequence[Any]) -> Frames:
    """Frames of `can.Message` objects that `reason_against` has nothing against."""
    return frames_of_rows(
        [
            Row(one.timestamp, one.arbitration_id, one.is_extended_id, bytes(one.data))
            for one in messages
        ]
    )
