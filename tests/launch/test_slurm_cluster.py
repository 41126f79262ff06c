"""A real Slurm of one node: submitted, preempted, out of time, cancelled, and bit for bit the same.

The cluster is `tools/slurm_node.sh`; everything goes through the command line, as users do it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from contract_case import assert_same

from graphwright.config.presets import resolve_preset
from graphwright.launch.local import train
from graphwright.launch.slurm.requeue import read_facts
from graphwright.runs.queue import job_states, notes, read_job
from graphwright.runs.status import read_status
from run_results import results_of

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "munged")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"Slurm is not installed: no {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="starting Slurm's daemons needs root"),
]

SCRIPT = Path(__file__).parents[2] / "tools" / "slurm_node.sh"
PATIENCE_S = 150.0
COMMON = ("tracking.mlflow=off", "training.threads=1", "training.log_every=1")
GEOMETRY = (
    *("geometry/tiny", *COMMON),
    *("training.epochs=40", "data.source.count=40", "model.hidden_dim=8"),
)
GENES = ("genes/tiny", *COMMON, "training.epochs=24")


@dataclass(frozen=True)
class Cluster:
    """A place for runs beside a Slurm that is up."""

    home: Path

    @property
    def roots(self) -> tuple[str, ...]:
        return ("--runs-root", str(self.home / "runs"), "--data-root", str(self.home / "data"))

    def submit(self, *words: str) -> Path:
        """`graphwright submit train WORDS`: the run's folder."""
        done = _graphwright("submit", "train", *words, *self.roots)
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.split(": ", 1)[1].strip())

    def sweep(self, *words: str) -> list[Path]:
        """`graphwright sweep WORDS --seeds 2 --launcher slurm`: the folders of the runs."""
        options = (
            "--seeds",
            "2",
            "--launcher",
            "slurm",
            "--sweeps-root",
            str(self.home / "sweeps"),
        )
        done = _graphwright("sweep", *words, *options, *self.roots)
        assert done.returncode == 0, done.stderr
        (submission,) = (self.home / "sweeps").glob("*/slurm/submission_000/submission.json")
        return [Path(run) for run in json.loads(submission.read_text())["runs"]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("cluster")
    place = home / "slurm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(place / "slurm.conf"))
        patch.setenv("OMP_NUM_THREADS", "1")
        try:
            subprocess.run([SCRIPT, "up", place], check=True)
            yield Cluster(home)
        finally:
            subprocess.run([SCRIPT, "down", place], check=True)


@dataclass(frozen=True)
class Disturbed:
    """Two of four runs of two tasks that Slurm has finished."""

    preempted: Path
    out_of_time: Path


@pytest.fixture(scope="module")
def runs(cluster: Cluster) -> Disturbed:
    """One is preempted and one runs out of time, each between its first and its last step."""
    long = ("launch.time=0:10:00", "launch.signal_lead_s=30")
    steady = ("launch.partition=steady", *long)
    low = ("launch.partition=low", "launch.cpus=2", *long)
    slow = cluster.submit(*GENES, *steady)
    victim, second = cluster.sweep(*GEOMETRY, *low, "launch.array_limit=1")
    processes = _stop_in_training([victim, slow])
    _limit(slow, (_ran_s(slow) + 40) // 60 + 1)  # minutes: Slurm sends its signal up to 90 s before
    # of four CPUs one is free: the two that this needs are those of the job in `low`
    _slurm("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=true")
    other = cluster.submit(*GENES, "seed=1", *steady)
    for process in processes:
        _wait_for(lambda pid=process: _has_signal(pid), "Slurm's signal")
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)
    _wait_for(lambda: "time limit" in _reasons(slow), "the time limit")
    _wait_for(lambda: job_states([slow])[slow] == "REQUEUED", "the queue")
    _limit(slow, 10)  # once is enough
    for run in (victim, second, slow, other):
        _wait_for(lambda one=run: read_status(one).state in ("finished", "failed"), str(run))
        assert read_status(run).state == "finished", _log(run)
    # the job's last word comes a moment after the run's state
    _wait_for(lambda: notes(victim)[-1]["event"] == "finished", _log(victim))
    return Disturbed(victim, slow)


def test_preempted_run_goes_on(runs: Disturbed) -> None:
    assert _reasons(runs.preempted) == ["preempted"]
    assert [line["event"] for line in notes(runs.preempted)] == [
        *("started", "requeued", "started", "finished")
    ]


def test_run_out_of_time_goes_on(runs: Disturbed) -> None:
    assert set(_reasons(runs.out_of_time)) == {"time limit"}
    assert "stopped by SIGUSR1" in _log(runs.out_of_time)


@pytest.mark.parametrize("words", [GEOMETRY, GENES], ids=["preempted", "out of time"])
def test_bit_equal(runs: Disturbed, tmp_path: Path, words: tuple[str, ...]) -> None:
    """To the last bit what the same configuration gives in this process, undisturbed."""
    run = runs.preempted if words is GEOMETRY else runs.out_of_time
    config = resolve_preset(words[0], (*words[1:], "seed=0"))
    alone = train(config, runs_root=tmp_path / "runs", data_root=tmp_path / "data").path
    assert_same(results_of(run), results_of(alone))


def test_what_slurm_refuses_leaves_nothing(cluster: Cluster, cli, place) -> None:
    result = cli("submit", "train", *GEOMETRY, "launch.partition=lov", *place.roots)
    assert result.code == 2
    assert "invalid partition" in result.err
    assert "did you mean low?" in result.err
    assert place.files() == set()


def test_in_the_queue(cluster: Cluster, cli, place) -> None:
    """A job that is held: what was announced is what is submitted, and it is not done twice."""
    words = ("train", *GEOMETRY, "launch.extra.hold=true", "launch.comment=a b", *place.roots)
    announced = cli("submit", *words, "--dry-run")
    assert announced.code == 0, announced.err
    assert place.files() == set()
    assert cli("submit", *words).code == 0
    (run,) = place.run_folders()
    record = read_job(run)
    assert record is not None
    script = (record.submission / f"{record.job}_submission.sh").read_text()
    assert announced.out.startswith(script.rstrip())
    for path in (run, record.submission, place.data):
        assert f"{path}\n" in announced.out
    assert f"{record.job} PENDING" in cli("runs", *place.roots[:2]).out
    again = cli("submit", "resume", run, "launch.extra.hold=true", *place.roots)
    assert again.code == 2
    assert f"its job {record.job} is PENDING" in again.err
    _slurm("scancel", record.job)
    assert f"{record.job} CANCELLED" in cli("runs", *place.roots[:2]).out
    assert cli("submit", "resume", run, "launch.extra.hold=true", *place.roots).code == 0
    after = read_job(run)
    assert after is not None
    assert after.earlier == (record.job,)
    _slurm("scancel", after.job)


def test_cancelled_stays_away(cluster: Cluster) -> None:
    """Two ranks of one run, started by srun; they save their state and do not come back."""
    ranks = ("training.devices=2", "launch.tasks=2", "launch.partition=steady")
    run = cluster.submit(*GENES, "seed=2", *ranks)
    _wait_for(lambda: (run / "checkpoints" / "last.ckpt").exists(), _log(run))
    _slurm("scancel", _job(run))
    _wait_for(lambda: read_status(run).state == "interrupted", "the end")
    _wait_for(lambda: notes(run)[-1]["event"] == "left", "the note")
    _wait_for(lambda: job_states([run])[run] == "CANCELLED", "the queue")
    assert _reasons(run) == []
    assert "stopped by SIGTERM" in _log(run)


def _stop_in_training(runs: Sequence[Path]) -> list[int]:
    """The runs' processes, each stopped as soon as it has a checkpoint: they wait without work."""
    found: dict[Path, int] = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < len(runs):
        for run in runs:
            assert read_status(run).state in ("created", "running"), _log(run)
            if run not in found and (run / "checkpoints" / "last.ckpt").exists():
                found[run] = read_status(run).pid
                os.kill(found[run], signal.SIGSTOP)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [found[run] for run in runs]


def _has_signal(pid: int) -> bool:
    """Whether SIGUSR1 has reached a stopped process (or it goes on, or is gone, by now)."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    pending = int(fields["ShdPnd"], 16) >> (signal.SIGUSR1 - 1) & 1
    return bool(pending) or not fields["State"].startswith("T")


def _job(run: Path) -> str:
    record = read_job(run)
    assert record is not None
    return record.job


def _limit(run: Path, whole_minutes: int) -> None:
    _slurm("scontrol", "update", f"JobId={_job(run)}", f"TimeLimit={whole_minutes}")


def _ran_s(run: Path) -> int:
    return read_facts(_slurm("scontrol", "show", "job", "--oneliner", _job(run))).ran_s


def _reasons(run: Path) -> list[str]:
    return [line["why"] for line in notes(run) if line["event"] == "requeued"]


def _log(run: Path) -> str:
    record = read_job(run)
    return record.log.read_text() if record and record.log.exists() else "there is no log"


def _wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def _slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _graphwright(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "graphwright", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)
