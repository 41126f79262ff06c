"""The sbatch script of some saved run folders, and its submission, by submitit.

submitit's own way pickles a function and keeps its result beside the job's number; a stale pickle,
or a number given a second time, then brings back another job's result. Here a job is one command
on run folders that say everything, so submitit writes and submits the script and no more.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from graphwright.config.launch import LaunchConfig, minutes
from graphwright.errors import ConfigError, MissingExtraError, RunError, nearest

__all__ = ["ask_slurm", "script", "submit_script"]

# Slurm sends its signals to the whole job, also to a Python that is not yet ready to take them
_DEAF_UNTIL_READY = 'bash -c \'trap "" USR1 TERM; exec "$@"\' --'


def script(launch: LaunchConfig, folder: Path, count: int) -> str:
    """The text that sbatch gets.

    Args:
        launch: of all jobs.
        folder: of the submission (`slurm_array`): it holds the script and the jobs' logs.
        count: of runs; several are a job array.

    Raises:
        MissingExtraError: submitit is not installed.
    """
    text: str = _submitit()._make_sbatch_string(
        command=_command(launch, folder),
        folder=folder,
        map_count=count if count > 1 else None,
        **_parameters(launch),
    )
    return text


def submit_script(launch: LaunchConfig, folder: Path, count: int) -> str:
    """Submit; returns the job's number.

    Raises:
        RunError: there is no Slurm here, or sbatch refused.
    """
    slurm = _submitit()
    _require_slurm()
    executor = slurm.SlurmExecutor(folder)
    executor.update_parameters(**_parameters(launch))
    if count > 1:
        executor.parameters["map_count"] = count
    try:
        job = executor._submit_command(_command(launch, folder))
    except Exception as error:  # submitit's own classes, and what it lets through
        raise RunError(f"sbatch refused: {_last_line(str(error))}", where=folder) from None
    return str(job.job_id)


def ask_slurm(launch: LaunchConfig, text: str) -> str:
    """What Slurm would do with a script, without submitting it.

    Raises:
        ConfigError: an option that this sbatch does not know (the nearest is named), or one that
            this cluster cannot satisfy.
        RunError: there is no Slurm here.
    """
    _require_slurm()
    help_text = _run("sbatch", "--help").stdout if launch.extra else ""
    known = set(re.findall(r"--([a-z][a-z-]+)", help_text))
    for name in launch.extra:
        if known and name not in known:
            raise ConfigError(f"launch.extra.{name}: no option of sbatch{nearest(name, known)}")
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(text)
        file.flush()
        answer = _run("sbatch", "--test-only", file.name)
    lines = answer.stderr.strip().replace(file.name, "the script").splitlines()
    said = "; ".join(re.sub(r"^sbatch: (error: )?", "", line) for line in lines)
    if "fatal:" in said or "Unable to contact" in said:
        raise RunError(f"Slurm does not answer: {said}", fix="sinfo shows whether it is up")
    if answer.returncode != 0:
        raise ConfigError(
            f"Slurm refuses this job: {said}{_near_partition(launch.partition)}",
            where="launch settings",
            fix="sinfo lists partitions, nodes and limits",
        )
    return said


def _near_partition(name: str) -> str:
    known = _run("sinfo", "--noheader", "--format=%R").stdout.split()
    return nearest(name, known) if name and name not in known else ""


def _command(launch: LaunchConfig, folder: Path) -> str:
    python = f"{launch.venv}/bin/python" if launch.venv else sys.executable
    words = [python, "-u", "-m", "graphwright.launch.slurm.job", str(folder)]
    return f"{_DEAF_UNTIL_READY} {shlex.join(words)}"


def _parameters(launch: LaunchConfig) -> dict[str, Any]:
    """submitit's names; what is empty is left to the cluster."""
    chosen: dict[str, Any] = {
        "account": launch.account,
        "partition": launch.partition,
        "qos": launch.qos,
        "comment": launch.comment,
        "gpus_per_node": launch.gpus,
    }
    return {
        **{key: value for key, value in chosen.items() if value},
        "job_name": launch.name,
        "time": minutes(launch.time),
        "nodes": launch.nodes,
        "ntasks_per_node": launch.tasks,
        "cpus_per_task": launch.cpus,
        "array_parallelism": launch.array_limit,
        "stderr_to_stdout": True,
        "wckey": None,  # submitit's own would be unknown to a cluster that checks it
        "setup": _setup(launch),
        # since 22.05 srun does not take this from the job
        "srun_args": [f"--cpus-per-task={launch.cpus}", "--kill-on-bad-exit=1"],
        "additional_parameters": {
            "signal": f"USR1@{launch.signal_lead_s}",
            **({"mem": f"{round(launch.memory_gb * 1024)}M"} if launch.memory_gb else {}),
            **({"requeue": True} if launch.max_requeues else {"no-requeue": True}),
            **{key: value for key, value in launch.extra.items() if value is not False},
        },
    }


def _setup(launch: LaunchConfig) -> list[str]:
    variables = {"OMP_NUM_THREADS": str(launch.cpus), **launch.environment}
    return [
        *(f"module load {shlex.quote(name)}" for name in launch.modules),
        *([f"source {shlex.quote(launch.venv)}/bin/activate"] if launch.venv else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
        *launch.setup,
    ]


def _submitit() -> Any:
    try:
        from submitit.slurm import slurm
    except ImportError:
        raise MissingExtraError("submitit", "slurm", "submitting to Slurm") from None
    return slurm


def _require_slurm() -> None:
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise RunError(
            "there is no Slurm on this machine: sbatch and srun are not found",
            fix="run this on a login node of the cluster; --dry-run works anywhere",
        )


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].replace("sbatch: error: ", "") if lines else "without a word"
