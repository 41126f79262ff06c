"""Follow a run folder and tell a tracker: the work of a mirror's process.

What has been sent is kept in `<run>/mirrors/<tracker>.json`, so that the mirror of a resumed run
goes on in the same tracker's run, where the last one stopped.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwright.config.io import digest, flatten
from graphwright.errors import RunError, nearest
from graphwright.runs.events import EventTail, Record
from graphwright.runs.files import read_json, write_json_atomic
from graphwright.runs.folder import RunFolder
from graphwright.runs.index import read_metrics
from graphwright.runs.lock import FileLock, is_locked
from graphwright.runs.mirrors.base import Outcome, RunFacts, Tracker
from graphwright.runs.status import LOCK_NAME, read_status

__all__ = ["TRACKERS", "Position", "follow_run"]

#: tracker to the class that speaks to it, imported on demand
TRACKERS = {
    "mlflow": "graphwright.runs.mirrors.mlflow:MlflowTracker",
    "tensorboard": "graphwright.runs.mirrors.tensorboard:TensorboardTracker",
    "wandb": "graphwright.runs.mirrors.wandb:WandbTracker",
}

_BATCH = 1000  # metrics in one call
_BATCH_S = 2.0  # longest wait before new metrics are sent
_POLL_S = 0.25
_READ_BYTES = 1 << 16  # about a thousand records, so the position is kept as often


@dataclass
class Position:
    """How far a mirror has come. A metric's steps are sent once, also when training repeats them
    after a resume: a repetition gives the same values again.
    """

    offset: int = 0  # in events.jsonl, bytes
    tracker_id: str | None = None
    last_step: dict[str, int] = field(default_factory=dict)  # sent, of every metric
    repeated_until: dict[str, int] = field(default_factory=dict)  # as last_step at the last resume

    @classmethod
    def load(cls, path: Path) -> Position:
        """The position in a file; the start if there is none or it is damaged."""
        try:
            return cls(**read_json(path))
        except (RunError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Keep the position."""
        write_json_atomic(path, dataclasses.asdict(self))

    def is_new(self, record: Record) -> bool:
        """Take note of a record; whether it must be sent."""
        if record.name is None:
            self.repeated_until = dict(self.last_step)
            return False
        if record.step <= self.repeated_until.get(record.name, -1):
            return False
        self.last_step[record.name] = max(record.step, self.last_step.get(record.name, -1))
        return True


def follow_run(
    folder: RunFolder, tracker_name: str, settings: Mapping[str, Any], *, follow: bool
) -> None:
    """Mirror a run until it ends (or, without `follow`, what there is of it now).

    A second mirror of the same run to the same tracker waits for the first to end.

    Raises:
        RunError: no such tracker, or the run is damaged.
        Exception: whatever the tracker raises.
    """
    tracker = _make(tracker_name, folder, settings)
    folder.mirrors.mkdir(exist_ok=True)
    lock = FileLock(folder.mirrors / f".{tracker_name}.lock", describes="mirror")
    lock.acquire(patience_s=None)
    try:
        _Mirror(folder, tracker, folder.mirrors / f"{tracker_name}.json").run(follow=follow)
    finally:
        lock.release()


class _Mirror:
    def __init__(self, folder: RunFolder, tracker: Tracker, position_path: Path) -> None:
        self._folder = folder
        self._tracker = tracker
        self._path = position_path
        self._position = Position.load(position_path)

    def run(self, *, follow: bool) -> None:
        known = self._position.tracker_id
        tracker_id = self._tracker.begin(_facts(self._folder), known)
        if tracker_id != known:  # the tracker lost the run, or there was none
            self._position = Position(tracker_id=tracker_id)
        self._position.save(self._path)
        self._follow(follow=follow)
        self._tracker.finish(self._outcome())

    def _follow(self, *, follow: bool) -> None:
        tail = EventTail(self._folder.events_path, self._position.offset)
        sent = -math.inf
        while True:
            # asked before reading, so that whatever was written before the end is read
            over = not follow or _is_over(self._folder)
            if over or time.monotonic() - sent >= _BATCH_S:
                self._drain(tail)
                sent = time.monotonic()
            if over:
                return
            time.sleep(_POLL_S)

    def _drain(self, tail: EventTail) -> None:
        while True:
            before = tail.offset
            records = [r for r in tail.read(most_bytes=_READ_BYTES) if self._position.is_new(r)]
            if tail.offset == before:
                return
            for start in range(0, len(records), _BATCH):
                self._tracker.log(records[start : start + _BATCH])
            self._position.offset = tail.offset
            self._position.save(self._path)

    def _outcome(self) -> Outcome:
        folder, status = self._folder, read_status(self._folder)
        # a run that was killed before it could say that it was running
        dead = status.state == "created" and not is_locked(folder.path / LOCK_NAME)
        artifacts = [path for path in (folder.config_path, folder.metrics_path) if path.exists()]
        return Outcome(
            state="interrupted" if dead else status.state,
            ended=status.ended or time.time(),
            last_step=max(self._position.last_step.values(), default=0),
            metrics=self._final_metrics(),
            artifacts=artifacts,
        )

    def _final_metrics(self) -> dict[str, float]:
        """Those of metrics.json, by names like test_mae, unless they were events already."""
        with suppress(RunError):
            final = read_metrics(self._folder.metrics_path)
            split = final.split or "final"
            named = {f"{split}_{name}": value for name, value in final.metrics.items()}
            return {k: v for k, v in named.items() if k not in self._position.last_step}
        return {}


def _is_over(folder: RunFolder) -> bool:
    try:
        status = read_status(folder)
    except RunError:
        return True
    return status.is_final or (status.state == "created" and not is_locked(folder.path / LOCK_NAME))


def _make(name: str, folder: RunFolder, settings: Mapping[str, Any]) -> Tracker:
    if name not in TRACKERS:
        raise RunError(f"no tracker {name!r}{nearest(name, TRACKERS)}", fix=", ".join(TRACKERS))
    module, _, attribute = TRACKERS[name].partition(":")
    tracker = getattr(importlib.import_module(module), attribute)
    made: Tracker = tracker(folder.path, folder.root, settings)
    return made


def _facts(folder: RunFolder) -> RunFacts:
    config = folder.config
    status = read_status(folder)
    name = folder.path.name
    if folder.path.is_relative_to(folder.root):
        name = folder.path.relative_to(folder.root).as_posix()
    tags = {"graphwright.run": str(folder.path), "graphwright.config_digest": digest(config)}
    return RunFacts(
        name=name,
        task=str(config.get("task", "graphwright")),
        config=config,
        params=flatten(config),
        tags={**tags, **_provenance_tags(folder)},
        started=status.started or folder.config_path.stat().st_mtime,
    )


def _provenance_tags(folder: RunFolder) -> dict[str, str]:
    try:
        provenance = read_json(folder.provenance_path)
    except RunError:
        return {}
    git = provenance.get("git") or {}
    tags = {
        "graphwright.host": provenance.get("host"),
        "graphwright.data_digest": provenance.get("data_digest"),
        "mlflow.source.name": " ".join(provenance.get("command") or ()),
        "mlflow.source.git.commit": git.get("commit"),
        "graphwright.git_dirty": git.get("dirty"),
    }
    return {key: str(value) for key, value in tags.items() if value not in (None, "")}
