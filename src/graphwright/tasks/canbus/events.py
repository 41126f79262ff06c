"""Attacks as events, not windows: which were noticed, how soon, and how often there was nothing.

An attack event is a maximal run of windows with an attack in one capture. Attack windows with at
most `gap_s` seconds between the end of one and the start of the next are of one event: injected
frames come in bursts, and a benign window between two of them does not end the attack.

- An event is caught if one of its attack windows is an alarm. An alarm in a benign window is a
  false one, also inside an event's gaps and right behind its end.
- Time to alarm: from the start of the event's first attack window, at most one window before its
  first injected frame, to the end of its first alarmed attack window: then the verdict can be told.
- Alarms in benign windows that follow each other count as one false alarm; the hours are those of
  the benign windows.

G = windows, V = events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.window_table import Windows

__all__ = ["GAP_S", "Alarms", "attack_events", "score_alarms"]

GAP_S = 1.0

Index = NDArray[np.int64]
Times = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Alarms:
    """What alarms were worth.

    Attributes:
        events: V.
        delay_s: `[caught]` time to alarm of the events that were caught, in order of time.
        false_alarms: runs of alarms in benign windows.
        benign_hours: time of the benign windows.
    """

    events: int
    delay_s: Times
    false_alarms: int
    benign_hours: float

    @property
    def caught(self) -> int:
        """Events with an alarm."""
        return len(self.delay_s)

    @property
    def median_delay_s(self) -> float:
        """Median time to alarm of the events that were caught; NaN if none was."""
        return float(np.median(self.delay_s)) if self.caught else math.nan

    @property
    def false_alarms_per_hour(self) -> float:
        """NaN where no benign time passed."""
        return self.false_alarms / self.benign_hours if self.benign_hours > 0 else math.nan

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(
            events=self.events + other.events,
            delay_s=np.concatenate([self.delay_s, other.delay_s]),
            false_alarms=self.false_alarms + other.false_alarms,
            benign_hours=self.benign_hours + other.benign_hours,
        )


def attack_events(windows: Windows, gap_s: float = GAP_S) -> Index:
    """Event of each window `[G]`, numbered from 0 in order; -1 for benign windows."""
    rows = np.flatnonzero(windows.attack)
    capture, start, end = windows.capture[rows], windows.start_time[rows], windows.end_time[rows]
    # a clock that goes backwards leaves a negative gap: nothing says that the attack was over
    begins = (capture[1:] != capture[:-1]) | (start[1:] - end[:-1] > gap_s)
    event = np.full(len(windows), -1, np.int64)
    event[rows] = np.cumsum(np.concatenate([[0], begins]))[: len(rows)]
    return event


def score_alarms(windows: Windows, alarm_G: ArrayLike, gap_s: float = GAP_S) -> Alarms:
    """Events caught and false alarms.

    Args:
        windows: what was judged.
        alarm_G: verdicts, non-zero is an alarm.
        gap_s: see above.

    Raises:
        DataError: not one verdict a window.
    """
    alarm = np.asarray(alarm_G) != 0
    if alarm.shape != (len(windows),):
        raise DataError(f"{alarm.shape} verdicts for {len(windows)} windows")
    false = alarm & ~windows.attack
    goes_on = windows.follows() & np.concatenate([[False], false[:-1]])[: len(false)]
    return Alarms(
        events=int(attack_events(windows, gap_s).max(initial=-1)) + 1,
        delay_s=_delays(windows, alarm, gap_s),
        false_alarms=int((false & ~goes_on).sum()),
        benign_hours=float(windows.seconds()[~windows.attack].sum()) / 3600,
    )


def _delays(windows: Windows, alarm: NDArray[np.bool_], gap_s: float) -> Times:
    event = attack_events(windows, gap_s)
    rows = np.flatnonzero(event >= 0)
    _, first = np.unique(event[rows], return_index=True)
    begin_V = windows.start_time[rows[first]]
    heard = np.flatnonzero((event >= 0) & alarm)
    caught, place = np.unique(event[heard], return_index=True)
    # a clock that goes backwards must not make an alarm come before the attack
    return np.asarray(np.maximum(windows.end_time[heard[place]] - begin_V[caught], 0.0))
