"""A sweep's configurations as one Slurm job array, and what has become of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphwright.config.launch import LaunchConfig
from graphwright.config.schema import TaskConfig
from graphwright.errors import RunError
from graphwright.launch.local import create_run
from graphwright.launch.slurm.script import ask_slurm, script
from graphwright.launch.slurm.submit import (
    check_devices,
    describe,
    links_of,
    next_runs,
    submission_folder,
    submit_runs,
)
from graphwright.launch.sweep.existing import existing_runs
from graphwright.launch.sweep.many import Outcome
from graphwright.runs.folder import discard_run
from graphwright.runs.queue import is_waiting, job_states, read_job
from graphwright.runs.status import read_status

__all__ = ["Submitted", "as_ended", "collect", "dry_run", "submit_all"]


@dataclass(frozen=True)
class Submitted:
    """A configuration's run and its job.

    Attributes:
        config: what is trained.
        run: its folder.
        job: the job's number; empty where the run is finished.
        new: whether it was submitted just now; not one that is finished, or still in the queue.
    """

    config: TaskConfig
    run: Path
    job: str
    new: bool


def submit_all(
    configs: Sequence[TaskConfig],
    launch: LaunchConfig,
    *,
    runs_root: Path,
    data_root: Path,
    folder: Path,
) -> list[Submitted]:
    """A job for every configuration that has neither a finished run nor a job in the queue.

    Run folders are made first; a run that was begun is resumed.

    Args:
        configs: what to train; all different.
        launch: of all jobs.
        runs_root: where run folders are looked for and made.
        data_root: where prepared data are kept.
        folder: where the submission's folder is made.

    Raises:
        ConfigError: Slurm refuses such a job, or its processes do not fit a configuration;
            nothing is left behind.
        RunError: there is no Slurm here, a run that another builds on is missing, or the folder
            cannot be written.
    """
    check_devices(configs, launch)
    found = [run and run.absolute() for run in existing_runs(configs, runs_root)]
    states = job_states([run for run in found if run is not None])
    links = {
        index: links_of(config, runs_root)
        for index, config in enumerate(configs)
        if found[index] is None
    }
    left = [i for i, run in enumerate(found) if run is None or not _has_job(run, states)]
    if left:
        ask_slurm(launch, script(launch, submission_folder(folder), len(left)))
    made = {i: create_run(configs[i], runs_root, needed).path for i, needed in links.items()}
    runs = [run or made[index] for index, run in enumerate(found)]
    try:
        todo = [runs[index] for index in left]
        jobs = submit_runs(todo, launch, data_root=data_root, folder=folder) if todo else {}
    except RunError:
        for run in made.values():
            discard_run(run, runs_root)
        raise
    return [
        Submitted(config, run, jobs.get(run) or _job(run), run in jobs)
        for config, run in zip(configs, runs, strict=True)
    ]


def dry_run(
    configs: Sequence[TaskConfig],
    launch: LaunchConfig,
    *,
    runs_root: Path,
    data_root: Path,
    folder: Path,
) -> str:
    """The script and every path that `submit_all` would use, and what Slurm says; writes nothing.

    Raises:
        ConfigError: Slurm refuses such a job, or processes and configurations do not fit.
    """
    check_devices(configs, launch)
    found = existing_runs(configs, runs_root)
    new = iter(next_runs([c for c, r in zip(configs, found, strict=True) if not r], runs_root))
    runs = [run.absolute() if run else next(new) for run in found]
    try:
        states = job_states([run for run in found if run])
    except RunError:  # no Slurm here: what its queue holds is not known
        states = {}
    left = [run for run in runs if not (run.exists() and _has_job(run, states))]
    if not left:
        return "# every run is finished or in the queue: nothing to submit"
    return describe(left, launch, data_root=data_root, folder=folder)


def collect(submitted: Sequence[Submitted]) -> list[Outcome]:
    """How things stand: finished runs, and of the others their error or the state of their job.

    Raises:
        RunError: Slurm does not answer.
    """
    states = job_states([one.run for one in submitted])
    return [_outcome(one, states.get(one.run, "")) for one in submitted]


def as_ended(submitted: Sequence[Submitted], *, every_s: float = 10.0) -> Iterator[Outcome]:
    """What became of each, as soon as its job is out of the queue, until none is left there.

    Args:
        submitted: by `submit_all`.
        every_s: seconds between two looks at the queue.

    Raises:
        RunError: Slurm does not answer.
    """
    left = list(submitted)
    while left:
        outcomes = collect(left)
        yield from (outcome for outcome in outcomes if not outcome.pending)
        left = [one for one, outcome in zip(left, outcomes, strict=True) if outcome.pending]
        if left:
            time.sleep(every_s)


def _outcome(one: Submitted, state: str) -> Outcome:
    status = read_status(one.run)
    if status.state == "finished":
        return Outcome(one.config, one.run)
    if state and is_waiting(state):
        return Outcome(one.config, None, f"job {one.job} is {state}", pending=True)
    over = f"job {one.job} is {state or 'over'}, the run {status.state}"
    return Outcome(one.config, None, f"{over}: {status.error}" if status.error else over)


def _has_job(run: Path, states: Mapping[Path, str]) -> bool:
    """Whether there is nothing to submit: the run is finished, or its job is in the queue."""
    return read_status(run).state == "finished" or is_waiting(states.get(run, "COMPLETED"))


def _job(run: Path) -> str:
    record = read_job(run)
    return record.job if record and read_status(run).state != "finished" else ""
