"""Scores made into verdicts, by one threshold or by one of each capture, and what they are worth.

G = windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.baselines import Scored
from graphwright.tasks.canbus.events import Alarms, score_alarms
from graphwright.tasks.canbus.metrics import METRICS, window_metrics
from graphwright.tasks.canbus.thresholds import prefix_thresholds
from graphwright.tasks.canbus.window_table import Windows

__all__ = [
    "EVENT_METRICS",
    "Measured",
    "Scope",
    "Verdicts",
    "calibrated_verdicts",
    "mean_of",
    "measure",
    "plain_verdicts",
    "scopes",
]

EVENT_METRICS = ("false_alarms_per_hour", "events", "events_caught", "median_time_to_alarm_s")

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdicts:
    """Verdicts on all windows.

    Attributes:
        score: `[G]` what ranks them.
        alarm: `[G]`.
        kept: `[G]` windows that count.
        refused: captures that were not calibrated, and why.
    """

    score: NDArray[np.float64]
    alarm: Flags
    kept: Flags
    refused: Mapping[int, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scope:
    """Part of a split: a folder, an attack in it, or one capture. None: not only one."""

    folder: str
    attack: str | None = None
    capture: str | None = None
    rows: Flags

    @property
    def key(self) -> str:
        """`folder`, `folder/attack` or `folder/capture`."""
        inner = self.capture or self.attack
        return self.folder if inner is None else f"{self.folder}/{inner}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Numbers of one row in one scope.

    Attributes:
        windows: `metrics.METRICS`.
        alarms: events and false alarms.
        broken: some score is not a number, so no metric is.
    """

    windows: Mapping[str, float]
    alarms: Alarms
    broken: bool

    def numbers(self) -> dict[str, float]:
        """METRICS and EVENT_METRICS by name; NaN where undefined."""
        alarms = self.alarms
        told = (alarms.false_alarms_per_hour, alarms.events, alarms.caught, alarms.median_delay_s)
        return {**self.windows, **dict(zip(EVENT_METRICS, map(float, told), strict=True))}


def plain_verdicts(scored: Scored) -> Verdicts:
    """By the one threshold; every window counts."""
    every = np.ones(len(scored.score), np.bool_)
    alarm = scored.threshold.alarms(scored.score)
    return Verdicts(score=scored.score, alarm=alarm, kept=every, refused={})


def calibrated_verdicts(
    windows: Windows, scored: Scored, *, seconds: float, rate: float
) -> Verdicts:
    """By thresholds from the first seconds of each capture, which the user vouches for.

    No window of them is an alarm. Benign ones do not count, for they made the threshold; attack
    windows among them do, as missed. Windows are ranked by score - threshold of their capture.

    Args:
        windows: what is judged.
        scored: scores of them, and the threshold of captures whose prefix says too little.
        seconds: length of the prefix.
        rate: false positives that are wanted.
    """
    prefix = prefix_thresholds(
        scored.score,
        windows.capture,
        windows.start_time,
        windows.end_time,
        seconds=seconds,
        rate=rate,
        otherwise=scored.threshold.value,
    )
    return Verdicts(
        score=scored.score - prefix.threshold,
        alarm=(scored.score > prefix.threshold) & ~prefix.rows,
        kept=~prefix.rows | windows.attack,
        refused=prefix.refused,
    )


def scopes(windows: Windows, level: str) -> Iterator[Scope]:
    """Parts of a split, in the order in which they are met.

    Args:
        windows: of the split.
        level: "folder", "attack" (in a folder) or "capture".
    """
    known = [windows.places[number] for number in np.unique(windows.capture).tolist()]
    folder, attack = windows.named("folder"), windows.named("attack")
    if level == "folder":
        for name in dict.fromkeys(place.folder for place in known):
            yield Scope(folder=name, rows=folder == name)
    elif level == "attack":
        for name, kind in dict.fromkeys((place.folder, place.attack) for place in known):
            yield Scope(folder=name, attack=kind, rows=(folder == name) & (attack == kind))
    else:
        for number in np.unique(windows.capture).tolist():
            place = windows.places[number]
            rows = windows.capture == number
            yield Scope(folder=place.folder, attack=place.attack, capture=place.name, rows=rows)


def measure(windows: Windows, verdicts: Verdicts, rows: Flags, gap_s: float) -> Measured:
    """Numbers of the windows at `rows` that count."""
    kept = rows & verdicts.kept
    part = windows.take(kept)
    alarm = verdicts.alarm[kept]
    return Measured(
        windows=window_metrics(verdicts.score[kept], alarm, part.label),
        alarms=score_alarms(part, alarm, gap_s),
        broken=bool(np.isnan(verdicts.score[kept]).any()),
    )


def mean_of(measured: Sequence[Measured]) -> Measured:
    """Means of the metrics over scopes in which they are defined; events of all together.

    A scope with a score that is not a number leaves no mean defined.
    """
    means, broken = {}, any(one.broken for one in measured)
    for name in METRICS:
        values = [one.windows[name] for one in measured if not math.isnan(one.windows[name])]
        means[name] = float(np.mean(values)) if values and not broken else math.nan
    alarms = [one.alarms for one in measured]
    return Measured(windows=means, alarms=sum(alarms[1:], alarms[0]), broken=broken)
