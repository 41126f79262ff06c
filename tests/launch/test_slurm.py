"""What is sent to Slurm and what its answers mean, with stand-ins for its programs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.config import io
from graphwright.config.launch import LaunchConfig, minutes
from graphwright.config.presets import resolve_preset
from graphwright.errors import ConfigError, RunError
from graphwright.launch.local import create_run
from graphwright.launch.slurm import array as slurm_array
from graphwright.launch.slurm import submit as slurm_submit
from graphwright.launch.slurm.options import read_launch, split_launch
from graphwright.launch.slurm.requeue import come_back, job_number, read_facts
from graphwright.launch.slurm.script import script
from graphwright.launch.sweep.plan import SweepPlan
from graphwright.launch.sweep.run import submit_sweep
from graphwright.runs import queue
from graphwright.runs.status import Status, write_status

Stub = Callable[[str, str], None]
RUNNING = (
    "JobId=7 JobState=RUNNING Requeue=1 Restarts={restarts} RunTime={ran} TimeLimit={limit} "
    "EndTime=2026-11-22T13:14:25 PreemptTime={preempted} Command=/a/b"
)


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Puts a shell script in the place of a program; no other Slurm is seen."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def write(name: str, text: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)

    for name in ("squeue", "sacct", "sbatch", "srun", "scontrol"):
        write(name, "echo 'slurm_load_jobs error: not here' >&2; exit 1")
    return write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was created and no more."""
    return create_run(resolve_preset("geometry/tiny"), tmp_path / "runs").path


def _submitted(run: Path, job: str = "12_3") -> Path:
    queue.JobRecord(
        job=job,
        submission=run / "slurm" / "submission_000",
        log=run / "log.out",
        submitted=time.time(),
        launch=io.to_dict(LaunchConfig()),
    ).write(run)
    return run


# -- the launch configuration -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("launch.partiton=gpu", "did you mean launch.partition?"),
        ("launch.time=90", "should be a valid string"),
        ("launch.time=30:00", "hours:minutes:seconds"),
        ("launch.gpus=-1", "greater than or equal to 0"),
        ("launch.memory_gb=8G", "should be a valid number"),
        ("launch.signal_lead_s=3600", "must be less than launch.time=1:00:00"),
        ("launch.extra.signal=USR2", "use launch.signal_lead_s"),
        ("launch.extra.output=x", "this program sets it"),
        ("launch.environment.1A=x", "not the name of a variable"),
        ("launch.environment.A", "not an override"),
        ("launch.account='a b'", "one word"),
        ("launch.partition=a,b", "one value"),
    ],
)
def test_nonsense_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_launch([override])
    assert said in str(caught.value)


def test_file_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "launch.yaml"
    file.write_text("partition: gpu\ntime: '2-12'\nenvironment: {A: b}\nextra: {nice: 100}\n")
    launch = read_launch(["launch.time=1:00:00", "launch.environment.C=d e"], file)
    assert launch == LaunchConfig(
        partition="gpu", time="1:00:00", environment={"A": "b", "C": "d e"}, extra={"nice": 100}
    )
    file.write_text("time: 1:30:00\n")  # 5400 for YAML
    with pytest.raises(ConfigError, match="not a text"):
        read_launch([], file)
    with pytest.raises(ConfigError, match="cannot read"):
        read_launch([], tmp_path / "missing.yaml")


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "slurm.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert {field.name for field in fields(LaunchConfig)} <= named


def test_placement_is_no_part_of_the_run(cli, place) -> None:
    words = ["training.epochs=5", "launch.partition=gpu", "launch.extra.nice=3"]
    assert split_launch(words) == (words[:1], words[1:])
    shown = cli("submit", "train", "geometry/tiny", *words, "--show-launch").out
    assert io.parse_yaml(shown)["extra"] == {"nice": "3"}
    refused = cli("train", "geometry/tiny", *words, *place.roots)
    assert refused.code == 2
    assert "launch.partition: no such key" in refused.err


@given(st.integers(0, 40), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_minutes(days: int, hours: int, whole: int, seconds: int) -> None:
    total = ((days * 24 + hours) * 60 + whole) * 60 + seconds
    assert minutes(f"{days}-{hours:02}:{whole:02}:{seconds:02}") == -(-total // 60)


# -- the script -------------------------------------------------------------------------------


def test_script(tmp_path: Path) -> None:
    launch = LaunchConfig(
        account="lab",
        gpus=2,
        cpus=6,
        memory_gb=1.5,
        modules=("cuda/12.4",),
        venv="/opt/venv",
        setup=("ulimit -c 0",),
        environment={"A": "b c", "OMP_NUM_THREADS": "3"},
        array_limit=4,
        signal_lead_s=90,
        extra={"constraint": "a100|h100", "exclusive": True, "contiguous": False},
    )
    lines = script(launch, tmp_path / "sub", 9).splitlines()
    assert {
        "#SBATCH --account=lab",
        "#SBATCH --array=0-8%4",
        "#SBATCH --constraint='a100|h100'",
        "#SBATCH --cpus-per-task=6",
        "#SBATCH --exclusive",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --mem=1536M",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR1@90",
        "#SBATCH --time=60",
        f"#SBATCH --output={tmp_path}/sub/%A_%a_0_log.out",
    } <= set(lines)
    assert not any("contiguous" in line or "wckey" in line for line in lines)
    setup = lines[lines.index("# setup") + 1 : lines.index("# command")]
    assert setup[:5] == [
        "module load cuda/12.4",
        "source /opt/venv/bin/activate",
        "export OMP_NUM_THREADS=3",
        "export A='b c'",
        "ulimit -c 0",
    ]
    assert lines[-1].startswith("srun ")
    assert "--cpus-per-task=6 --kill-on-bad-exit=1" in lines[-1]
    assert lines[-1].endswith(f"/opt/venv/bin/python -u -m {_MODULE} {tmp_path}/sub")


_MODULE = "graphwright.launch.slurm.job"


def test_never_requeued(tmp_path: Path) -> None:
    text = script(LaunchConfig(max_requeues=0), tmp_path, 1)
    assert "#SBATCH --no-requeue" in text
    assert "--array" not in text


def test_dry_run_of_a_sweep(place, stub: Stub, tiny) -> None:
    stub("sbatch", "[ $1 = --help ] || echo 'sbatch: Job 9 to start at noon' >&2")
    configs = [resolve_preset("geometry/tiny", [*tiny, f"seed={seed}"]) for seed in range(3)]
    old = create_run(configs[1], place.runs)
    roots = {"runs_root": place.runs, "data_root": place.data, "folder": place.home / "slurm"}
    before = place.files()
    text = slurm_array.dry_run(configs, LaunchConfig(), **roots)
    assert place.files() == before
    parent = old.path.parent
    for name in ("run_001", "run_000", "run_002"):
        assert f"# run:        {parent / name}\n" in text
    assert "--array=0-2%3" in text
    assert text.endswith("Job 9 to start at noon")
    write_status(old.path, Status(state="finished"))
    text = slurm_array.dry_run(configs[1:2], LaunchConfig(), **roots)
    assert text.endswith("nothing to submit")


def test_processes_and_devices(tiny) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    with pytest.raises(ConfigError, match=r"2 processes, and training.devices=1"):
        slurm_submit.check_devices([config], LaunchConfig(tasks=2))


def test_without_slurm(cli, place, monkeypatch: pytest.MonkeyPatch, tiny) -> None:
    monkeypatch.setenv("PATH", str(place.home))
    words = ("submit", "train", "geometry/tiny", *tiny, *place.roots)
    assert "not asked: there is no Slurm" in cli(*words, "--dry-run").out
    refused = cli(*words)
    assert refused.code == 2
    assert "there is no Slurm on this machine" in refused.err
    assert place.files() == set()


def test_sbatch_refuses_at_last(place, stub: Stub, tiny) -> None:
    """What --test-only does not see, a limit of jobs in the queue for example."""
    stub("sbatch", 'case $1 in --*) exit 0;; esac; echo "sbatch: error: too many" >&2; exit 1')
    configs = [resolve_preset("geometry/tiny", [*tiny, f"seed={seed}"]) for seed in range(2)]
    roots = {"runs_root": place.runs, "data_root": place.data}
    with pytest.raises(RunError, match="too many"):
        slurm_array.submit_all(configs, LaunchConfig(), **roots, folder=place.home / "slurm")
    assert place.run_folders() == []
    with pytest.raises(RunError, match="too many"):
        slurm_submit.submit_new(configs[0], LaunchConfig(), **roots)
    assert place.run_folders() == []


def test_a_sweep_is_submitted_once(place, stub: Stub, tiny) -> None:
    """The same sweep again: what is finished or in the queue is left alone."""
    stub("sbatch", 'case $1 in --*) exit 0;; esac; echo "Submitted batch job 40"')
    configs = [resolve_preset("geometry/tiny", [*tiny, f"seed={seed}"]) for seed in range(3)]
    roots = {"runs_root": place.runs, "data_root": place.data, "folder": place.home / "slurm"}
    first = slurm_array.submit_all(configs, LaunchConfig(), **roots)
    assert [one.job for one in first] == ["40_0", "40_1", "40_2"]
    write_status(first[0].run, Status(state="finished"))
    write_status(first[2].run, Status(state="failed", error="TrainingError: nan"))
    folder = place.home / "slurm" / "submission_000"
    stub("squeue", f"echo '40_1|PENDING|{folder}/x.sh'; echo '40_2|FAILED|{folder}/x.sh'")
    outcomes = slurm_array.collect(first)
    assert [outcome.run for outcome in outcomes] == [first[0].run, None, None]
    assert [outcome.pending for outcome in outcomes] == [False, True, False]
    assert outcomes[2].error == "job 40_2 is FAILED, the run failed: TrainingError: nan"
    stub("sbatch", 'case $1 in --*) exit 0;; esac; echo "Submitted batch job 41"')
    second = slurm_array.submit_all(configs, LaunchConfig(), **roots)
    assert [one.run for one in second] == [one.run for one in first]
    assert [(one.job, one.new) for one in second] == [("", False), ("40_1", False), ("41", True)]
    record = queue.read_job(first[2].run)
    assert record is not None
    assert (record.job, record.earlier) == ("41", ("40_2",))


def test_each_is_told_as_it_ends(place, stub: Stub, tiny) -> None:
    stub("sbatch", 'case $1 in --*) exit 0;; esac; echo "Submitted batch job 40"')
    configs = [resolve_preset("geometry/tiny", [*tiny, f"seed={seed}"]) for seed in range(2)]
    roots = {"runs_root": place.runs, "data_root": place.data, "folder": place.home / "slurm"}
    jobs = slurm_array.submit_all(configs, LaunchConfig(), **roots)
    script = place.home / "slurm" / "submission_000" / "x.sh"
    stub("squeue", f"echo '40_0|RUNNING|{script}'; echo '40_1|COMPLETED|{script}'")
    write_status(jobs[1].run, Status(state="finished"))
    told = slurm_array.as_ended(jobs, every_s=0)
    assert next(told).run == jobs[1].run
    stub("squeue", f"echo '40_0|TIMEOUT|{script}'")
    assert [outcome.error for outcome in told] == ["job 40_0 is TIMEOUT, the run created"]


def test_a_submitted_sweep_counts_what_has_ended(place, stub: Stub, tiny) -> None:
    stub("sbatch", 'case $1 in --*) exit 0;; esac; echo "Submitted batch job 40"')
    plan = SweepPlan(name="small", preset="geometry/tiny", overrides=tuple(tiny), seeds=(0, 1, 2))
    roots = {"runs_root": place.runs, "data_root": place.data, "sweeps_root": place.home}
    script = place.home / "small" / "slurm" / "submission_000" / "x.sh"
    stub("squeue", f'for i in 0 1 2; do echo "40_$i|PENDING|{script}"; done')
    heard: list[tuple[int, int, bool]] = []

    def submit() -> None:
        heard.clear()
        submit_sweep(
            plan,
            LaunchConfig(),
            after_each=lambda count, total, one: heard.append((count, total, one.pending)),
            **roots,
        )

    submit()
    assert heard == [(0, 3, True)] * 3
    write_status(place.run_folders()[0], Status(state="finished"))
    write_status(place.run_folders()[2], Status(state="failed", error="TrainingError: nan"))
    submit()
    assert heard == [(1, 3, False), (2, 3, False), (2, 3, True)]


# -- the queue --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("squeue", "sacct", "state"),
    [
        ("12_3|PENDING|{run}/slurm/submission_000/x.sh", "", "PENDING"),
        ("12_3|RUNNING|{run}/slurm/submission_000/x.sh", "", "RUNNING"),
        ("12_3|RUNNING|/somebody/elses.sh", "", "GONE"),
        ("", "12_3|CANCELLED by 0", "CANCELLED"),
        ("", "12_3|NODE_FAIL", "NODE_FAIL"),
        ("", "12_3|RUNNING", "GONE"),  # an old row of an accounting that missed the end
        ("", "", "GONE"),
    ],
)
def test_states(stub: Stub, run: Path, squeue: str, sacct: str, state: str) -> None:
    stub("squeue", f"echo '{squeue.format(run=run)}' | grep .; true")
    stub("sacct", f"echo '{sacct}'")
    assert queue.job_states([_submitted(run)]) == {run: state}


def test_requeued(stub: Stub, run: Path) -> None:
    stub("squeue", f"echo '12_3|PENDING|{run}/slurm/submission_000/x.sh'")
    queue.note(_submitted(run), "started", job="12_3")
    assert queue.job_states([run]) == {run: "REQUEUED"}


def test_list_of_runs(cli, stub: Stub, run: Path) -> None:
    root = ("--runs-root", run.parents[len(resolve_preset("geometry/tiny").levels())])
    assert "job" not in cli("runs", *root).out
    _submitted(run)
    stub("squeue", "echo >&2 down; exit 1")
    assert "12_3 ?" in cli("runs", *root).out
    with pytest.raises(RunError, match="down"):
        queue.job_states([run])
    stub("squeue", "true")
    assert "12_3 GONE" in cli("runs", *root).out
    (run / "launch.json").write_text("{}")
    assert run.name in cli("runs", *root).out
    _submitted(run)
    write_status(run, Status(state="finished"))
    assert "12_3" not in cli("runs", *root).out


def test_notes_survive_a_kill(run: Path) -> None:
    assert queue.notes(run) == []
    queue.note(run, "started", job="7")
    with (run / "jobs.jsonl").open("a") as file:
        file.write('{"event": "fin')
    assert [line["event"] for line in queue.notes(run)] == ["started"]


# -- inside a job -----------------------------------------------------------------------------


def _answer(**changes: Any) -> str:
    values = {"restarts": 0, "ran": "00:10:00", "limit": "01:00:00", "preempted": "None"}
    return RUNNING.format(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "signal"),
        ({"preempted": "2026-11-22T13:14:15"}, "preempted"),
        ({"ran": "00:58:10"}, "time limit"),
        ({"ran": "00:57:10"}, "time limit"),  # up to a minute early
        ({"ran": "00:50:00"}, "signal"),
        ({"ran": "1-11:59:00", "limit": "1-12:00:00"}, "time limit"),
        ({"ran": "9-11:59:00", "limit": "UNLIMITED"}, "signal"),
    ],
)
def test_reason(changes: dict[str, Any], reason: str) -> None:
    assert read_facts(_answer(**changes)).reason(120) == reason


def _come_back(run: Path, monkeypatch: pytest.MonkeyPatch, **launch: Any) -> int:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    settings = io.to_dict(replace(LaunchConfig(), **launch))
    return come_back(run, settings, "graphwright submit resume RUN")


def _scontrol(stub: Stub, line: str, requeue: str = "true") -> None:
    stub("scontrol", f"case $1 in show) echo '{line}';; requeue) {requeue};; esac")


def test_comes_back(run: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    _scontrol(stub, _answer(preempted="2026"), f"echo $2 >> {tmp_path}/requeued")
    assert _come_back(run, monkeypatch) == 0
    assert (tmp_path / "requeued").read_text() == "7\n"
    (line,) = queue.notes(run)
    assert (line["event"], line["job"], line["why"]) == ("requeued", "7", "preempted")


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING"])
def test_leaves_what_slurm_ends(run: Path, stub: Stub, monkeypatch, state: str) -> None:
    _scontrol(stub, _answer().replace("RUNNING", state), "exit 9")
    assert _come_back(run, monkeypatch) == 0
    assert [(line["event"], line["why"]) for line in queue.notes(run)] == [("left", state)]


def test_limits_of_coming_back(run: Path, stub: Stub, monkeypatch, caplog) -> None:
    _scontrol(stub, _answer(ran="00:59:00", restarts=3))
    assert _come_back(run, monkeypatch, max_timeouts=2) == 0
    assert _come_back(run, monkeypatch, max_timeouts=2) == 0
    assert _come_back(run, monkeypatch, max_timeouts=2) == 1
    assert "launch.max_timeouts=2 is reached; go on with: graphwright submit" in caplog.text
    assert _come_back(run, monkeypatch, max_requeues=3) == 1
    assert "launch.max_requeues=3 is reached" in caplog.text
    assert [line["event"] for line in queue.notes(run)] == [*["requeued"] * 2, *["left"] * 2]


def test_slurm_does_not_requeue(run: Path, stub: Stub, monkeypatch, caplog) -> None:
    _scontrol(stub, _answer(), "echo disabled >&2; exit 1")
    assert _come_back(run, monkeypatch) == 1
    assert "does not requeue job 7: disabled" in caplog.text
    assert queue.notes(run)[-1]["event"] == "left"


def _job(run: Path, *, job: str = "7") -> subprocess.Popen[str]:
    """The process that a job starts."""
    submission = run / "slurm"
    submission.mkdir(exist_ok=True)
    settings = {"launch": io.to_dict(LaunchConfig()), "data_root": str(run / "data")}
    content = json.dumps({"runs": ["/not/this", str(run)], **settings})
    (submission / "submission.json").write_text(content)
    words = shlex.split(script(LaunchConfig(), submission, 1).splitlines()[-1])
    return subprocess.Popen(
        words[words.index("bash") :],  # what srun is given
        env={**os.environ, "SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_stopped_before_training(run: Path, stub: Stub, tmp_path: Path) -> None:
    """A preemption while Python is still importing: nothing is lost, and it comes back."""
    _scontrol(stub, _answer(preempted="2026"), f"echo $2 >> {tmp_path}/requeued")
    process = _job(run)
    while not queue.notes(run):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    for _ in range(20):  # as Slurm does, both at a time; before this process listens, in vain
        if process.poll() is None:
            process.send_signal(signal.SIGUSR1)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.02)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "before training" in err
    assert (tmp_path / "requeued").read_text() == "7_1\n"
    assert [line["event"] for line in queue.notes(run)] == ["started", "requeued"]


def test_finished_already(run: Path, stub: Stub) -> None:
    """A second job of the same run has nothing to do."""
    write_status(run, Status(state="finished"))
    process = _job(run)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "is finished already" in err
    assert [line["event"] for line in queue.notes(run)] == ["started", "finished"]


def test_number_in_an_array() -> None:
    """The array's own number belongs to its last job, too: requeueing it would take all."""
    last = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}
    assert job_number(last) == "12_3"
    assert job_number({"SLURM_JOB_ID": "12"}) == "12"
