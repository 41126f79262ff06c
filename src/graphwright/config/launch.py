"""Where and how a run is executed on a cluster: placement, and no part of what a run is.

Nothing here enters a run's configuration or digest; it is written beside it, in `launch.json`.
`launch/slurm/options.py` reads it from `launch.key=value` overrides and a YAML file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from graphwright.config.schema import Count, NonNegative, PositiveInt

__all__ = ["LaunchConfig", "LaunchSection", "minutes"]

_TIME = re.compile(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?|(\d+):(\d\d):(\d\d))")
_WORDS = ("account", "partition", "qos", "venv", "name")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = re.compile(r"[a-z][a-z-]*")

#: sbatch options that this program sets itself, and the key that changes each
_OURS = {
    "account": "account",
    "array": "array_limit",
    "comment": "comment",
    "cpus-per-task": "cpus",
    "error": "",
    "gpus-per-node": "gpus",
    "job-name": "name",
    "mem": "memory_gb",
    "nodes": "nodes",
    "no-requeue": "max_requeues",
    "ntasks": "tasks",
    "ntasks-per-node": "tasks",
    "open-mode": "",
    "output": "",
    "partition": "partition",
    "qos": "qos",
    "requeue": "max_requeues",
    "signal": "signal_lead_s",
    "time": "time",
    "wrap": "",
}


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """A Slurm job. Empty text and 0 leave the choice to the cluster, unless said otherwise."""

    account: str = ""
    partition: str = ""
    qos: str = ""
    time: str = "1:00:00"  # hours:minutes:seconds or days-hours[:minutes[:seconds]]
    nodes: PositiveInt = 1
    tasks: PositiveInt = 1  # processes on a node: one for each device that trains
    gpus: Count = 0  # on a node
    cpus: PositiveInt = 1  # of a process
    memory_gb: NonNegative = 0.0  # of a node
    modules: tuple[str, ...] = ()  # `module load` of each
    venv: str = ""  # the folder of a virtual environment; else the Python that submits
    setup: tuple[str, ...] = ()  # further lines of the script, before the training
    environment: Mapping[str, str] = field(default_factory=dict)
    array_limit: PositiveInt = 16  # jobs of a sweep that run at a time
    signal_lead_s: PositiveInt = 120  # before the time limit: the run saves itself and is requeued
    max_timeouts: Count = 20  # time limits after which a run is requeued
    max_requeues: Count = 200  # after preemptions as well; 0: never
    name: str = "graphwright"  # of the job
    comment: str = ""
    extra: Mapping[str, str | int | bool] = field(default_factory=dict)  # other sbatch options

    def problems(self) -> list[str]:
        """What makes no sense, one sentence each."""
        return [*self._text_problems(), *self._time_problems(), *self._extra_problems()]

    def _text_problems(self) -> list[str]:
        found = [
            f"launch.{key}={value!r}: one word without spaces"
            for key in _WORDS
            if re.search(r"\s", value := getattr(self, key))
        ]
        if not self.name:
            found.append("launch.name: a job needs a name")
        lines = [("comment", self.comment), *(("setup", line) for line in self.setup)]
        lines += [("modules", name) for name in self.modules]
        lines += [("environment", value) for value in self.environment.values()]
        found += [f"launch.{key}={text!r}: a single line" for key, text in lines if "\n" in text]
        return found + [
            f"launch.environment.{name}: not the name of a variable"
            for name in self.environment
            if not _VARIABLE.fullmatch(name)
        ]

    def _time_problems(self) -> list[str]:
        if not _TIME.fullmatch(self.time):
            return [
                f"launch.time={self.time!r}: write hours:minutes:seconds, such as 1:30:00, "
                "or days-hours, such as 2-12"
            ]
        if self.signal_lead_s >= 60 * minutes(self.time):
            return [
                f"launch.signal_lead_s={self.signal_lead_s}: must be less than "
                f"launch.time={self.time}, or the run is stopped before it starts"
            ]
        return []

    def _extra_problems(self) -> list[str]:
        found = []
        for name in self.extra:
            if not _OPTION.fullmatch(name):
                found.append(f"launch.extra.{name}: a long option of sbatch, without its dashes")
            elif (key := _OURS.get(name)) is not None:
                use = f"use launch.{key}" if key else "this program sets it"
                found.append(f"launch.extra.{name}: {use}")
        return found


@dataclass(frozen=True, kw_only=True)
class LaunchSection:
    """A launch configuration under the name that its keys have on a command line."""

    launch: LaunchConfig = field(default_factory=LaunchConfig)

    groups: ClassVar[dict[str, dict[str, object]]] = {}
    carried: ClassVar[dict[str, tuple[str, ...]]] = {}

    def problems(self) -> list[str]:
        """Those of the launch configuration."""
        return self.launch.problems()


def minutes(time: str) -> int:
    """A time limit of Slurm in minutes, rounded up as Slurm does.

    >>> minutes("1:30:00"), minutes("2-12"), minutes("0:00:30")
    (90, 3600, 1)
    """
    match = _TIME.fullmatch(time)
    assert match is not None, time
    days, day_hours, day_minutes, day_seconds, *clock = (int(part or 0) for part in match.groups())
    hours, whole, seconds = clock
    total = ((days * 24 + day_hours + hours) * 60 + day_minutes + whole) * 60
    return -(-(total + day_seconds + seconds) // 60)
