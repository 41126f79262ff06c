"""What a mirror tells a tracker, and what a tracker must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from graphwright.runs.events import Record
from graphwright.runs.status import State

__all__ = ["Outcome", "RunFacts", "Tracker"]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known before the first metric."""

    name: str  # path below the runs root, like geometry/painn/run_000
    task: str
    config: Mapping[str, Any]  # nested
    params: Mapping[str, Any]  # the same, flat, with dotted keys
    tags: Mapping[str, str]
    started: float  # seconds since 1970


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the run stands when the mirror ends."""

    state: State
    ended: float  # seconds since 1970; of the last event if the run still goes on
    last_step: int
    metrics: Mapping[str, float] = field(default_factory=dict)  # final ones, like test_mae
    artifacts: Sequence[Path] = ()


class Tracker(Protocol):
    """A tracker's client. Made with the run's folder and root and the settings of its mirror."""

    def begin(self, facts: RunFacts, tracker_id: str | None) -> str:
        """Go on with the tracker's run of that id if it is still there, else start one.

        Returns the id of the run that is logged to.
        """
        ...

    def log(self, records: Sequence[Record]) -> None:
        """Send at most 1,000 metrics; returns when they are safe."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Send final metrics and artifacts, and how the run ended."""
        ...
