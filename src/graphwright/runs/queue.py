"""Runs that were submitted to a cluster: their job, and what its queue says of it.

`launch.json` in a run folder is written by who submits it, `jobs.jsonl` by its jobs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphwright.errors import RunError
from graphwright.runs.files import read_json, storage_errors, write_json_atomic
from graphwright.runs.status import read_status

__all__ = [
    "GONE",
    "JobRecord",
    "is_waiting",
    "job_states",
    "jobs_for_list",
    "note",
    "notes",
    "read_job",
]

RECORD_NAME = "launch.json"
NOTES_NAME = "jobs.jsonl"
GONE = "GONE"  # Slurm knows nothing of the job any more

_PATIENCE_S = 20.0
_FAILURES = ("BOOT_FAIL", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
_OVER = frozenset((GONE, "CANCELLED", "COMPLETED", "PREEMPTED", "REVOKED", *_FAILURES))


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """What `launch.json` says.

    Attributes:
        job: its number in Slurm, `12` or, in an array, `12_3`.
        submission: the folder of the script.
        log: what the job prints; appended to when it runs again.
        submitted: seconds since 1970.
        launch: the launch configuration, as plain values.
        earlier: numbers of the run's jobs before this one.
    """

    job: str
    submission: Path
    log: Path
    submitted: float
    launch: Mapping[str, Any]
    earlier: tuple[str, ...] = field(default=())

    def write(self, run: Path) -> None:
        """Write it into a run's folder."""
        write_json_atomic(run / RECORD_NAME, {**vars(self), "earlier": list(self.earlier)})


def read_job(run: Path) -> JobRecord | None:
    """The job that a run was submitted as last; None if it never was.

    Raises:
        RunError: `launch.json` is damaged.
    """
    if not (run / RECORD_NAME).exists():
        return None
    tree = read_json(run / RECORD_NAME)
    try:
        return JobRecord(
            job=tree["job"],
            submission=Path(tree["submission"]),
            log=Path(tree["log"]),
            submitted=tree["submitted"],
            launch=tree["launch"],
            earlier=tuple(tree["earlier"]),
        )
    except (KeyError, TypeError) as error:
        raise RunError(f"{RECORD_NAME} is damaged: {error!r}", where=run) from None


def note(run: Path, event: str, **details: Any) -> None:
    """Add a line to `jobs.jsonl`: started, requeued, left, finished or failed.

    Raises:
        RunError: it cannot be written.
    """
    line = json.dumps({"time": round(time.time(), 3), "event": event, **details}) + "\n"
    path = run / NOTES_NAME
    with storage_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def notes(run: Path) -> list[dict[str, Any]]:
    """What the jobs of a run noted; a last line that a kill cut off is left out."""
    try:
        lines = (run / NOTES_NAME).read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def is_waiting(state: str) -> bool:
    """Whether a job of this state runs, or will."""
    return state not in _OVER


def job_states(runs: Iterable[Path]) -> dict[Path, str]:
    """What Slurm says of the jobs of runs that are not finished; others are left out.

    States are Slurm's (`PENDING`, `RUNNING`, `CANCELLED`, …), and `REQUEUED` for a pending job that
    has run before and `GONE` for one that Slurm has forgotten.

    Raises:
        RunError: there is no Slurm on this machine, or it does not answer.
    """
    found = ((run, read_job(run)) for run in runs)
    jobs = {run: job for run, job in found if job and not _is_finished(run)}
    if not jobs:
        return {}
    queue = dict(_queue(jobs.values()))
    missing = [job.job for job in jobs.values() if job.job not in queue]
    past = _past(missing) if missing else {}
    return {run: _state(run, job, queue, past) for run, job in jobs.items()}


def jobs_for_list(runs: Iterable[Path]) -> dict[Path, str]:
    """`12_3 PENDING` for every run that is not finished and has a job.

    The state is `?` where Slurm does not answer, and missing where there is no Slurm.
    """
    found = ((run, _record(run)) for run in runs)
    jobs = {run: job.job for run, job in found if job is not None}
    try:
        states = job_states(jobs)
    except RunError:
        if shutil.which("squeue") is None:
            return {}
        return {run: f"{job} ?" for run, job in jobs.items() if not _is_finished(run)}
    return {run: f"{jobs[run]} {state}" for run, state in states.items()}


def _record(run: Path) -> JobRecord | None:
    try:
        return read_job(run)
    except RunError:  # one damaged file must not hide all other runs
        return None


def _is_finished(run: Path) -> bool:
    return read_status(run).state == "finished"


def _state(run: Path, job: JobRecord, queue: Mapping[str, str], past: Mapping[str, str]) -> str:
    state = queue.get(job.job) or past.get(job.job, GONE)
    ran = any(line["event"] == "started" and line.get("job") == job.job for line in notes(run))
    return "REQUEUED" if state == "PENDING" and ran else state


def _queue(jobs: Iterable[JobRecord]) -> Iterator[tuple[str, str]]:
    """(number, state) of the jobs that are in the queue, or left it some minutes ago."""
    by_number = {job.job: job for job in jobs}
    numbers = sorted({number.split("_")[0] for number in by_number})
    # a single number that is unknown is an error, of several it is left out
    answer = _ask(
        *("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%o"),
        f"--jobs={','.join([numbers[0], *numbers])}",
    )
    for line in answer.splitlines():
        number, state, command = line.split("|", 2)
        job = by_number.get(number)
        # numbers begin anew when a cluster's state is wiped: it must be this script's job
        if job is not None and Path(command).is_relative_to(job.submission):
            yield number, state


def _past(numbers: list[str]) -> dict[str, str]:
    """States from the accounting, where the cluster has one and still knows."""
    command = ("sacct", "--noheader", "--parsable2", "--allocations", "--format=JobID,State")
    try:
        answer = _ask(*command, f"--jobs={','.join(numbers)}")
    except RunError:
        return {}
    rows = (line.split("|") for line in answer.splitlines() if "|" in line)
    states = {number: state.split()[0] for number, state in rows if state}
    return {number: state for number, state in states.items() if state in _OVER}


def _ask(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise RunError(f"there is no Slurm on this machine: no {command[0]}")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"Slurm does not answer: {command[0]} took {_PATIENCE_S:g} s") from None
    if done.returncode != 0:
        raise RunError(f"Slurm does not answer: {done.stderr.strip() or command[0]}")
    return done.stdout
