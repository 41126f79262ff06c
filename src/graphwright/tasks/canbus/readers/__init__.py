"""Captures of every known format to `Frames`."""

from graphwright.tasks.canbus.readers.event_log import EventColumns, SourceNames
from graphwright.tasks.canbus.readers.read import backward_steps, read_frames, stream_frames

__all__ = [
    "EventColumns",
    "SourceNames",
    "backward_steps",
    "read_frames",
    "stream_frames",
]
