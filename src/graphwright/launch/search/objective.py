"""The value that a search improves, read from a run's own events."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from graphwright.errors import ConfigError, RunError, nearest
from graphwright.launch.sweep.pool import ask_aside
from graphwright.runs.events import EventTail, read_events

__all__ = ["Follower", "Objective", "find_objective"]

_PREFIX = "val_"


@dataclass(frozen=True)
class Objective:
    """A validation value and its direction; those of the value that picks the weights to keep."""

    name: str
    higher_is_better: bool
    monitor: str
    monitor_higher: bool

    @property
    def direction(self) -> str:
        """As Optuna calls it."""
        return "maximize" if self.higher_is_better else "minimize"

    def of_run(self, run: Path, keep: str) -> float:
        """Of the weights that the run keeps: of its best validation, or of its last.

        Args:
            run: a finished run.
            keep: its `training.keep`.

        Raises:
            RunError: the run logs no such value.
        """
        events = read_events(run / "events.jsonl")
        _, epochs, values = events.series(self.name)
        by_epoch = dict(zip(epochs, values, strict=True))
        if not by_epoch:
            known = [name for name in events.names() if name.startswith(_PREFIX)]
            raise RunError(
                f"validations log no {self.name}{nearest(self.name, known)}",
                where=run,
                fix=f"choose one of {', '.join(known)} as --objective, and another --name",
            )
        _, epochs, monitored = events.series(self.monitor)
        sign = -1.0 if self.monitor_higher else 1.0
        best = min(zip(epochs, monitored, strict=True), key=lambda pair: sign * pair[1])[0]
        return by_epoch[best if keep == "best" else max(by_epoch)]


class Follower:
    """Validations of a run, as they are written.

    Args:
        run: its folder.
        name: of the value.
        known: epochs whose values are known already.
    """

    def __init__(self, run: Path, name: str, known: int = 0) -> None:
        self._tail, self._name, self._known = EventTail(run / "events.jsonl"), name, known

    def read(self) -> list[tuple[int, float]]:
        """New pairs of (epochs done, value); a resumed run's repetitions are left out."""
        found = []
        while records := self._tail.read():
            for record in records:
                done = record.epoch + 1
                if record.name == self._name and done > self._known and math.isfinite(record.value):
                    found.append((done, record.value))
                    self._known = done
        return found


def find_objective(task: str, name: str, direction: str) -> Objective:
    """What a search of a task improves.

    Args:
        task: its name.
        name: of a value that validations log; empty: the one that the task monitors.
        direction: "minimize" or "maximize"; empty: the task's own, for the value it monitors.

    Raises:
        ConfigError: a value that is not of the validation, or another than the monitored one
            without a direction.
    """
    if name and not name.startswith(_PREFIX):
        raise ConfigError(
            f"{name}: a search looks at validation values alone, never at the test split",
            where="--objective",
            fix=f"name one that starts with {_PREFIX}",
        )
    told = ask_aside(describe, task)
    monitor, higher = str(told["monitor"]), bool(told["higher_is_better"])
    if name not in ("", monitor) and not direction:
        raise ConfigError(
            f"{name}: is more of it better, or less?",
            where="--objective",
            fix="add --direction minimize or --direction maximize",
        )
    wanted = direction == "maximize" if direction else higher
    return Objective(name or monitor, wanted, monitor, higher)


def describe(pipe: Connection, task: str) -> None:
    """In a process of its own, since it imports torch: what the task monitors."""
    from graphwright.config.presets import task_module

    found = task_module(task, "task").TASK
    told = {"monitor": found.monitor, "higher_is_better": found.higher_is_better}
    pipe.send_bytes(json.dumps(told).encode())
