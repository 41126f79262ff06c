"""What a mirror tells a tracker, and what a tracker must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from graphwright.runs.events import Record
from graphwright.runs.status import State

__all__ = ["Begun", "Outcome", "RunFacts", "Tracker"]


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known before the first metric."""

    name: str  # path below the runs root, like geometry/painn/run_000
    identity: str  # 16 hexadecimal digits, the same for every copy of the run
    task: str
    config: Mapping[str, Any]  # nested
    params: Mapping[str, Any]  # the same, flat, with dotted keys
    tags: Mapping[str, str]  # plain names, like host and git_commit
    started: float  # seconds since 1970; of the first session
    goes_on: bool = False  # whether it is training now


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the run stands when the mirror ends."""

    state: State
    ended: float  # seconds since 1970; of the last event if the run still goes on
    last_step: int
    metrics: Mapping[str, float] = field(default_factory=dict)  # final ones, like test/mae
    tags: Mapping[str, str] = field(default_factory=dict)  # state, error, duration
    folder: Path = field(default_factory=Path)  # of the run
    artifacts: Sequence[Path] = ()  # files in it


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A tracker's run that is open."""

    tracker_id: str
    fresh: bool  # it has nothing of this run but `steps`: everything is sent
    #: where this mirror writes, if that is a file or folder of its own that `discard` can remove
    piece: str | None = None
    #: a run that the tracker found by itself: the steps that it surely has, by metric
    steps: Mapping[str, int] = field(default_factory=dict)


class Tracker(Protocol):
    """A tracker's client. Made with the run's folder and root and the settings of its mirror."""

    #: names the place that is written to; empty for the usual one
    destination: str
    #: kept with the mirror's position and given to the next one, for a tracker that must count
    mark: int

    def check(self) -> None:
        """Whether the tracker can be reached at all; raises `RunError` where it cannot."""
        ...

    def holds(self, tracker_id: str) -> bool:
        """Whether the tracker still has that run."""
        ...

    def begin(self, facts: RunFacts, tracker_id: str | None) -> Begun:
        """Go on with the tracker's run of that id if it is still there, else find or start one."""
        ...

    def log(self, records: Sequence[Record]) -> None:
        """Send at most 1,000 metrics; what a kill loses of them is in the `piece`."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Send final metrics and artifacts, and how the run ended."""
        ...

    def discard(self, piece: str) -> None:
        """Remove what a mirror that was killed had written since it began."""
        ...

    def where(self) -> str:
        """Where a person looks at the runs that were mirrored together; empty if that is plain."""
        ...
