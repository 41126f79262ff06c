"""Inside a Slurm job whose run was stopped: back into the queue, where that makes sense.

Slurm tells a job of its preemption and of its time limit by signals, and the run saves itself and
stops. What follows depends on why: a job that Slurm is already ending (cancelled, or requeued by
Slurm itself) is left alone, any other puts itself back.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.runs.queue import note, notes

__all__ = ["Facts", "come_back", "job_number", "read_facts"]

log = logging.getLogger("graphwright")

# Slurm looks at time limits every 30 s and sends its signal up to a minute early
_EARLY_S = 90
_PATIENCE_S = 60.0
_UNSET = ("None", "N/A", "Unknown", "(null)")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What Slurm says of a job. Times are seconds; `limit_s` None: unlimited."""

    state: str
    ran_s: int
    limit_s: int | None
    preempted: bool
    restarts: int

    def reason(self, lead_s: int) -> str:
        """Why it was asked to stop: preempted, time limit, or a signal from somebody."""
        if self.preempted:
            return "preempted"
        if self.limit_s is not None and self.ran_s + lead_s + _EARLY_S >= self.limit_s:
            return "time limit"
        return "signal"


def job_number(environment: Mapping[str, str] = os.environ) -> str:
    """The job's number, `12_3` in an array: the plain one of an array's last job means all."""
    if array := environment.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def come_back(run: Path, launch: Mapping[str, Any], resume: str) -> int:
    """Put this job back into the queue, or say why not.

    Args:
        run: the run's folder, for its notes.
        launch: the launch configuration of the job, as plain values.
        resume: the command with which a person goes on, for messages.

    Returns:
        The exit code of the job: 0 if it goes on by itself.
    """
    job = job_number()
    facts = read_facts(_scontrol("show", "job", "--oneliner", job).stdout)
    if facts.state != "RUNNING":
        log.warning("Slurm is ending job %s itself (%s)", job, facts.state)
        note(run, "left", job=job, why=facts.state)
        return 0
    why = facts.reason(launch["signal_lead_s"])
    if limit := _limit(run, job, launch, facts, why):
        log.error("not requeued: %s; go on with: %s", limit, resume)
        note(run, "left", job=job, why=limit)
        return 1
    note(run, "requeued", job=job, why=why)  # before: afterwards Slurm ends this process
    answer = _scontrol("requeue", job)
    if answer.returncode != 0:
        said = answer.stderr.strip()
        log.error("Slurm does not requeue job %s: %s; go on with: %s", job, said, resume)
        note(run, "left", job=job, why=said)
        return 1
    log.info("%s: job %s is back in the queue", why, job)
    return 0


def read_facts(line: str) -> Facts:
    """From what `scontrol show job --oneliner` prints; of an unknown job, nothing but its state."""
    found = dict(re.findall(r"(\S+?)=(\S*)", line))
    limit = found.get("TimeLimit", "UNLIMITED")
    return Facts(
        state=found.get("JobState", "UNKNOWN"),
        ran_s=_seconds(found.get("RunTime", "00:00:00")),
        limit_s=_seconds(limit) if ":" in limit else None,
        preempted=found.get("PreemptTime", "None") not in _UNSET,
        restarts=int(found.get("Restarts", "0")),
    )


def _limit(run: Path, job: str, launch: Mapping[str, Any], facts: Facts, why: str) -> str:
    """Which limit forbids another round; empty: none."""
    if facts.restarts >= launch["max_requeues"]:
        return f"launch.max_requeues={launch['max_requeues']} is reached"
    earlier = [
        line
        for line in notes(run)
        if line["event"] == "requeued" and line["job"] == job and line["why"] == "time limit"
    ]
    if why == "time limit" and len(earlier) >= launch["max_timeouts"]:
        return f"launch.max_timeouts={launch['max_timeouts']} is reached"
    return ""


def _seconds(clock: str) -> int:
    days, _, rest = clock.rpartition("-")
    hours, minutes, seconds = (int(part) for part in rest.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _scontrol(*arguments: str) -> subprocess.CompletedProcess[str]:
    # in a session of its own: Slurm's signals to the job are not for it
    return subprocess.run(
        ["scontrol", *arguments],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        start_new_session=True,
        check=False,
    )
