"""What a watch finds. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from graphwright.tasks.canbus.window_chunk import EXTENDED

__all__ = ["Alarm", "Summary", "Suspect", "id_text"]


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An id that an alarm is about.

    Attributes:
        id: as candump writes it (`316`, `18DB33F1`), or the name of an event's source.
        known: whether training had it.
        weight: how conspicuous it is in its window, in the unit of the model (`suspects.py`).
    """

    id: str
    known: bool
    weight: float

    def __str__(self) -> str:
        return self.id if self.known else f"{self.id} (new)"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A window whose score is above the threshold.

    Attributes:
        window: number of the window, from 0.
        first_frame, last_frame: its frames, counted from 0 in the order of arrival.
        start_time, end_time: of them, in seconds of the source's clock.
        score: of the model.
        threshold: that it is above.
        suspects: the most conspicuous ids, the first most.
        latency_s: from the arrival of its last frame to the verdict.
    """

    window: int
    first_frame: int
    last_frame: int
    start_time: float
    end_time: float
    score: float
    threshold: float
    suspects: tuple[Suspect, ...]
    latency_s: float

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """As one line."""
        ids = ", ".join(str(one) for one in self.suspects)
        return (
            f"alarm  {self.end_time:.6f}  frames {self.first_frame}-{self.last_frame}  "
            f"score {self.score:.4g} > {self.threshold:.4g}  ids {ids}"
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a watch did, in numbers.

    Attributes:
        frames: received.
        windows: that were scored, those that calibrated included.
        calibrated_on: windows of the benign prefix; they give no alarms.
        alarms: windows above the threshold.
        threshold: that held at the end; None where calibration was not over.
        unscored: frames behind the last whole window.
        rejected: rows or messages that are no frames, by reason.
        lost: frames that never got a verdict because they came too fast.
        overruns: times a controller or driver said that it lost frames, nobody knows how many.
        most_waiting: the most frames that ever waited for their verdict.
        waiting: frames that waited at the end.
        seconds: from the first frame to the end.
        frames_per_s: frames / seconds.
        latency_p50_s, latency_p99_s: from a window's last frame to its verdict; None without one.
        interrupted: whether somebody stopped it.
    """

    frames: int
    windows: int
    calibrated_on: int
    alarms: int
    threshold: float | None
    unscored: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    overruns: int = 0
    most_waiting: int = 0
    waiting: int = 0
    seconds: float = 0.0
    frames_per_s: float = 0.0
    latency_p50_s: float | None = None
    latency_p99_s: float | None = None
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """As a few lines; what did not happen is left out."""
        lines = [
            f"{self.alarms} alarms in {self.windows} windows, {self.frames} frames, "
            f"{self.seconds:.1f} s ({self.frames_per_s:,.0f} frames/s)"
        ]
        if self.calibrated_on and self.threshold is not None:
            lines.append(f"calibrated on the first {self.calibrated_on} windows")
        if self.latency_p50_s is not None and self.latency_p99_s is not None:
            lines.append(
                f"last frame to verdict: p50 {1e3 * self.latency_p50_s:.2f} ms, "
                f"p99 {1e3 * self.latency_p99_s:.2f} ms"
            )
        counts = {
            "frames behind the last whole window": self.unscored,
            "frames still waiting": self.waiting,
            "frames lost, they came too fast": self.lost,
            "overruns told by the controller or driver": self.overruns,
        }
        lines += [f"{what}: {count}" for what, count in counts.items() if count]
        lines += [f"rejected: {count} x {reason}" for reason, count in self.rejected.items()]
        return "\n".join([*lines, "stopped before the end"] if self.interrupted else lines)


def id_text(value: int) -> str:
    """A node's id as candump writes it: 3 hex digits, or 8 for 29 bits.

    >>> id_text(0x316), id_text(0x18DB33F1 + (1 << 31))
    ('316', '18DB33F1')
    """
    return f"{value - EXTENDED:08X}" if value >= EXTENDED else f"{value:03X}"
