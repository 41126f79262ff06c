"""Follow a run folder and tell a tracker: the work of a mirror.

What has been sent is kept in `<run>/mirrors/`, so that the next mirror goes on in the same
tracker's run, where the last one stopped. See `position`.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from graphwright.errors import RunError, nearest
from graphwright.runs.events import EventTail, Record
from graphwright.runs.files import storage_errors
from graphwright.runs.folder import RunFolder
from graphwright.runs.lock import FileLock
from graphwright.runs.mirrors.base import Outcome, RunFacts, Tracker
from graphwright.runs.mirrors.facts import facts_of, is_over, outcome_of
from graphwright.runs.mirrors.names import shown_name
from graphwright.runs.mirrors.position import (
    Position,
    fingerprint,
    position_name,
    resume_marks,
    without_repeated,
)

__all__ = ["TRACKERS", "Sent", "follow_run", "make_tracker"]

#: tracker to the class that speaks to it, imported on demand
TRACKERS = {
    "mlflow": "graphwright.runs.mirrors.mlflow:MlflowTracker",
    "tensorboard": "graphwright.runs.mirrors.tensorboard:TensorboardTracker",
    "wandb": "graphwright.runs.mirrors.wandb:WandbTracker",
}

_BATCH = 1000  # metrics in one call
_BATCH_S = 2.0  # longest wait before new metrics are sent
_POLL_S = 0.25
_READ_BYTES = 1 << 18  # about 2,700 records, so the position is kept as often

_Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a mirror did."""

    tracker_id: str
    metrics: int  # values sent
    changed: bool  # False: the tracker had everything
    where: str  # to look at it, if that is not plain


def make_tracker(name: str, folder: RunFolder, settings: Mapping[str, Any]) -> Tracker:
    """The client of a tracker.

    Raises:
        RunError: there is no such tracker, or its settings make no sense.
    """
    if name not in TRACKERS:
        raise RunError(f"no tracker {name!r}{nearest(name, TRACKERS)}", fix=", ".join(TRACKERS))
    module, _, attribute = TRACKERS[name].partition(":")
    tracker = getattr(importlib.import_module(module), attribute)
    made: Tracker = tracker(folder.path, folder.root, settings)
    return made


def follow_run(
    folder: RunFolder,
    tracker_name: str,
    settings: Mapping[str, Any],
    *,
    follow: bool,
    patience_s: float | None = None,
    progress: _Progress = lambda _: None,
) -> Sent:
    """Mirror a run until it ends (or, without `follow`, what there is of it now).

    Args:
        folder: the run; only its `mirrors/` is written to.
        tracker_name: one of `TRACKERS`.
        settings: of the tracker; also `run_tags`, more tags, and `large_artifacts`.
        follow: until the run ends.
        patience_s: wait for another mirror of the run to the same place; None: for ever.
        progress: told how many bytes of the events are sent.

    Raises:
        RunError: no such tracker, the run is damaged, or another mirror follows it.
        Exception: whatever the tracker raises.
    """
    tracker = make_tracker(tracker_name, folder, settings)
    with storage_errors(folder.mirrors):
        folder.mirrors.mkdir(exist_ok=True)
    name = position_name(tracker_name, tracker.destination)
    lock = FileLock(folder.mirrors / f".{name}.lock", describes="mirror")
    lock.acquire(patience_s=patience_s)
    try:
        return _Mirror(folder, tracker, name, settings, progress).run(follow=follow)
    finally:
        lock.release()


class _Mirror:
    def __init__(
        self,
        folder: RunFolder,
        tracker: Tracker,
        name: str,
        settings: Mapping[str, Any],
        progress: _Progress,
    ) -> None:
        self._folder = folder
        self._tracker = tracker
        self._settings = settings
        self._progress = progress
        self._path = folder.mirrors / f"{name}.json"
        self._position = Position.load(self._path)
        self._sent = 0

    def run(self, *, follow: bool) -> Sent:
        torn = self._position.torn()
        if torn is not None:
            self._tracker.discard(torn)
        facts = facts_of(self._folder, self._settings.get("run_tags"))
        if not follow and self._has_everything(facts):
            return self._done(changed=False)
        self._begin(facts)
        self._follow(follow=follow)
        outcome = self._outcome()
        self._tracker.finish(outcome)
        self._position.close(self._fingerprint(facts, outcome))
        self._position.save(self._path)
        return self._done(changed=True)

    def _begin(self, facts: RunFacts) -> None:
        self._tracker.mark = self._position.mark
        begun = self._tracker.begin(facts, self._position.tracker_id)
        if begun.fresh:
            steps = dict(begun.steps)
            self._position = Position(
                tracker_id=begun.tracker_id, last_step=steps, repeated_until=dict(steps)
            )
        self._position.destination = self._tracker.destination
        self._position.complete = None
        self._position.open_piece(begun.piece)
        self._position.save(self._path)

    def _follow(self, *, follow: bool) -> None:
        tail = EventTail(self._folder.events_path, self._position.offset)
        sent = -math.inf
        while True:
            # asked before reading, so that whatever was written before the end is read
            over = not follow or is_over(self._folder)
            if over or time.monotonic() - sent >= _BATCH_S:
                self._drain(tail)
                sent = time.monotonic()
            if over:
                return
            time.sleep(_POLL_S)

    def _drain(self, tail: EventTail) -> None:
        marks: list[tuple[int, int]] = []
        with suppress(FileNotFoundError):
            marks = resume_marks(tail.path, tail.offset)
        while True:
            before = tail.offset
            records = tail.read(most_bytes=_READ_BYTES)
            if tail.offset == before:
                return
            self._send(without_repeated(records, marks, tail.offset))
            self._position.offset = tail.offset
            self._position.mark = self._tracker.mark
            self._position.save(self._path)
            self._progress(tail.offset)

    def _send(self, records: list[Record]) -> None:
        shown = [
            record if record.name is None else _renamed(record, shown_name(record.name))
            for record in records
        ]
        new = [record for record in shown if self._position.is_new(record)]
        for start in range(0, len(new), _BATCH):
            self._tracker.log(new[start : start + _BATCH])
        self._sent += len(new)

    def _outcome(self) -> Outcome:
        large = bool(self._settings.get("large_artifacts"))
        return outcome_of(self._folder, self._position.last_step, large_artifacts=large)

    def _has_everything(self, facts: RunFacts) -> bool:
        """Whether nothing has changed since the last mirror, and its run is still there."""
        position = self._position
        if position.complete is None or position.tracker_id is None or facts.goes_on:
            return False
        same = position.complete == self._fingerprint(facts, self._outcome())
        return same and self._tracker.holds(position.tracker_id)

    def _fingerprint(self, facts: RunFacts, outcome: Outcome) -> str:
        try:
            size = self._folder.events_path.stat().st_size
        except OSError:
            size = 0
        stats = [(path.name, path.stat()) for path in outcome.artifacts]
        files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return fingerprint(facts.name, facts.tags, outcome.tags, outcome.metrics, files, size)

    def _done(self, *, changed: bool) -> Sent:
        return Sent(
            tracker_id=str(self._position.tracker_id),
            metrics=self._sent,
            changed=changed,
            where=self._tracker.where(),
        )


def _renamed(record: Record, name: str) -> Record:
    return record if record.name == name else dataclasses.replace(record, name=name)
