"""Run folders into Slurm's queue, as they are: one as a job, several as a job array.

A submission is a folder with the script, the jobs' logs and `submission.json`, which says what each
job executes. It is whole before Slurm hears of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from graphwright.config import io
from graphwright.config.launch import LaunchConfig
from graphwright.config.schema import TaskConfig
from graphwright.errors import ConfigError, RunError
from graphwright.launch.links import find_links
from graphwright.launch.local import create_run
from graphwright.launch.slurm.script import ask_slurm, script, submit_script
from graphwright.runs.files import storage_errors, write_json_atomic
from graphwright.runs.folder import RunFolder, discard_run
from graphwright.runs.queue import JobRecord, is_waiting, job_states, read_job
from graphwright.runs.status import read_status

__all__ = [
    "check_devices",
    "describe",
    "links_of",
    "next_runs",
    "submission_folder",
    "submit_again",
    "submit_new",
    "submit_runs",
]

_SUBMISSION, _RUN = "submission_", "run_"


def submit_new(
    config: TaskConfig, launch: LaunchConfig, *, runs_root: Path, data_root: Path
) -> tuple[Path, str]:
    """A new run in a job of its own: its folder and the job's number.

    Raises:
        ConfigError: Slurm refuses such a job, or its processes do not fit the configuration;
            nothing is left behind.
        RunError: as `submit_runs`, or a run that this one builds on is missing.
    """
    check_devices([config], launch)
    links = links_of(config, runs_root)
    ask_slurm(launch, script(launch, submission_folder(runs_root), 1))
    run = create_run(config, runs_root, links).path
    try:
        jobs = submit_runs([run], launch, data_root=data_root, folder=run / "slurm")
    except RunError:
        discard_run(run, runs_root)
        raise
    return run, jobs[run]


def submit_again(run: RunFolder, launch: LaunchConfig, *, data_root: Path) -> str:
    """A job that goes on with a run; its number.

    Raises:
        ConfigError: as `submit_new`.
        RunError: it is finished, running, or still in the queue; or as `submit_runs`.
    """
    from graphwright.launch.execute import run_config

    check_devices([run_config(run)], launch)
    state = read_status(run.path).state
    queued = job_states([run.path]).get(run.path, "")
    if state in ("finished", "running") or (queued and is_waiting(queued)):
        why = f"its job {_job(run.path)} is {queued}" if queued else f"this run is {state}"
        raise RunError(f"nothing to submit: {why}", where=run.path)
    folder = run.path / "slurm"
    ask_slurm(launch, script(launch, submission_folder(folder), 1))
    return submit_runs([run.path], launch, data_root=data_root, folder=folder)[run.path]


def submit_runs(
    runs: Sequence[Path], launch: LaunchConfig, *, data_root: Path, folder: Path
) -> dict[Path, str]:
    """Submit run folders as they are, several as an array; the number of each one's job.

    Args:
        runs: absolute.
        launch: of all jobs.
        data_root: where prepared data are kept.
        folder: where the submission's folder is made.

    Raises:
        RunError: there is no Slurm here, or sbatch refuses.
    """
    submission = submission_folder(folder)
    with storage_errors(submission):
        submission.mkdir(parents=True)
    settings = io.to_dict(launch)
    content = {
        "runs": [str(run) for run in runs],
        "data_root": str(data_root.absolute()),
        "launch": settings,
    }
    write_json_atomic(submission / "submission.json", content)
    number = submit_script(launch, submission, len(runs))
    jobs = {run: f"{number}_{i}" if len(runs) > 1 else number for i, run in enumerate(runs)}
    for run, job in jobs.items():
        before = read_job(run)
        JobRecord(
            job=job,
            submission=submission,
            log=submission / f"{job}_0_log.out",
            submitted=time.time(),
            launch=settings,
            earlier=(*before.earlier, before.job) if before else (),
        ).write(run)
    return jobs


def describe(runs: Sequence[Path], launch: LaunchConfig, *, data_root: Path, folder: Path) -> str:
    """The script and every path that submitting these runs would use, and what Slurm says of it.

    Writes nothing.

    Raises:
        ConfigError: Slurm refuses such a job.
    """
    submission = submission_folder(folder)
    log = f"{submission}/{'%A_%a' if len(runs) > 1 else '%j'}_0_log.out"
    text = script(launch, submission, len(runs)).rstrip()
    try:
        said = ask_slurm(launch, text)
    except RunError as error:
        said = f"not asked: {error.what}"
    lines = [
        text,
        "",
        *(f"# run:        {run.absolute()}" for run in runs),
        f"# data:       {data_root.absolute()}",
        f"# submission: {submission}",
        f"# job log:    {log}",
        f"# Slurm:      {said}",
    ]
    return "\n".join(lines)


def check_devices(configs: Sequence[TaskConfig], launch: LaunchConfig) -> None:
    """The processes of a job are those that its run trains with.

    Raises:
        ConfigError: they are not.
    """
    processes = launch.nodes * launch.tasks
    for config in configs:
        devices = getattr(config.training, "devices", 1)
        if processes > 1 and processes != devices:
            raise ConfigError(
                f"launch.nodes={launch.nodes} times launch.tasks={launch.tasks} are {processes} "
                f"processes, and training.devices={devices}",
                where="launch settings",
                fix="one process for each device; on one node launch.tasks=1 will do, too",
            )


def links_of(config: TaskConfig, runs_root: Path) -> dict[str, Path]:
    """The finished runs that a run builds on.

    Raises:
        RunError: one is missing, and a job does not train it.
    """
    try:
        return find_links(config, runs_root)
    except RunError as error:
        fix = (error.fix or "").removesuffix(" (or add --with-dependencies)")
        raise RunError(error.what, where=error.where, fix=fix) from None


def next_runs(configs: Sequence[TaskConfig], runs_root: Path) -> list[Path]:
    """Where new runs would be made, if nobody else makes one meanwhile."""
    found: list[Path] = []
    for config in configs:
        parent = runs_root.absolute().joinpath(*config.levels())
        number = _next_number(parent, _RUN) + sum(path.parent == parent for path in found)
        found.append(parent / f"{_RUN}{number:03d}")
    return found


def submission_folder(folder: Path) -> Path:
    """Where the next submission is kept."""
    return folder.absolute() / f"{_SUBMISSION}{_next_number(folder, _SUBMISSION):03d}"


def _next_number(parent: Path, prefix: str) -> int:
    numbers = [path.name.removeprefix(prefix) for path in parent.glob(f"{prefix}*")]
    return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


def _job(run: Path) -> str:
    record = read_job(run)
    return record.job if record else ""
