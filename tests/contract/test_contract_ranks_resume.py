"""A training by two processes goes on bit for bit: one was asked to stop, or was killed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from contract_case import assert_same
from rank_pair import RankPair

from graphwright.config import io
from graphwright.config.presets import resolve_preset
from graphwright.launch.local import create_run
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status
from graphwright.training.checkpoint import load_checkpoint

# random draws, batch normalisation, averaged weights; batches of 5 of 41: one rank has none at last
SETTINGS = (
    *("tracking.mlflow=off", "training.threads=1", "training.log_every=1"),
    *("data.split.train=41", "data.split.val=9", "data.split.test=20", "loading.batch_size=5"),
    *("loading.eval_batch_size=4", "training.validate_every=1", "training.ema_decay=0.9"),
    *("model=dag_ensemble", "model.dropout=0.2", "training.devices=2"),
)
NEVER = (0, 0)
STEPS = 9  # of an epoch; a look for a stop follows each, each of 3 validation batches, and the end


def test_as_undisturbed(pair: RankPair, tmp_path: Path) -> None:
    config = resolve_preset("nas/tiny", (*SETTINGS, "training.epochs=2"))
    whole, broken = (create_run(config, tmp_path / "runs") for _ in range(2))
    data_root = tmp_path / "data"
    assert pair("rank_jobs:train_until", whole.path, data_root, NEVER, False) == ["", ""]
    # in an epoch, in its validation, after its last step
    stops = ((1, 4), (0, STEPS - 4 + 2), (1, 3 + 1 + STEPS))
    for piece, stop in enumerate(stops):
        ended = pair("rank_jobs:train_until", broken.path, data_root, stop, piece > 0)
        assert ended == ["SIGUSR1"] * 2
    assert pair("rank_jobs:train_until", broken.path, data_root, NEVER, True) == ["", ""]
    states = [_state(run, io.digest(config)) for run in (whole, broken)]
    assert_same(*states)
    assert len(states[0]["random"]["ranks"]) == 2
    ours, theirs = (read_events(run.events_path) for run in (broken, whole))
    for name in ("train_loss_step", "train_loss", "val_loss", "val_kendall_tau", "grad_norm"):
        assert ours.series(name) == theirs.series(name), name
    assert len(ours.series("train_loss_step")[0]) == 2 * STEPS


def test_ranks_draw_numbers_of_their_own(pair: RankPair) -> None:
    first, second = pair("rank_jobs:draws")
    assert not set(first) & set(second)
    assert pair("rank_jobs:draws") != [first, second]  # rank 0 goes on with its stream
    assert pair("rank_jobs:draws")[1] == second


def test_ranks_at_different_steps_do_not_wait_for_each_other(pair: RankPair) -> None:
    said = "the ranks would go on from different steps: 3, 5"
    assert pair("rank_jobs:starts", (3, 5)) == [said] * 2
    assert pair("rank_jobs:starts", (4, 4)) == ["they go on"] * 2


def _state(run: RunFolder, digest: str) -> dict[str, object]:
    return load_checkpoint(run.checkpoints / "last.ckpt", digest)


def test_killed_and_taken_up_again(pair: RankPair, tmp_path: Path) -> None:
    """Started by the command, resumed as Slurm's srun starts ranks."""
    settings = (*SETTINGS, "training.epochs=10")
    command = ["train", "nas/tiny", *settings]
    roots = ["--runs-root", str(tmp_path / "runs"), "--data-root", str(tmp_path / "data")]
    process = _start(["graphwright", *command, *roots])
    _wait_for(lambda: any(tmp_path.rglob("last.ckpt")), process)
    children = psutil.Process(process.pid).children()
    (victim,) = (child for child in children if child.environ().get("RANK") == "1")
    victim.kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "error: rank 1 of 2 was killed by SIGKILL" in err
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("config.yaml"))
    assert read_status(folder).state == "failed"
    before = (folder / "config.yaml").read_bytes()

    _resume_with_srun(folder, tmp_path / "data")
    assert read_status(folder).state == "finished"
    assert (folder / "config.yaml").read_bytes() == before
    assert (folder / "bundle" / "model.json").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["run_000"]

    config = resolve_preset("nas/tiny", settings)
    whole = create_run(config, tmp_path / "whole")
    pair("rank_jobs:train_until", whole.path, tmp_path / "data", NEVER, False)
    run = RunFolder.open(folder)
    assert_same(_state(run, io.digest(config)), _state(whole, io.digest(config)))


def _resume_with_srun(run: Path, data_root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "localhost"}
    names["MASTER_PORT"] = str(port)
    arguments = ["graphwright.launch.rank", str(run), "--data-root", str(data_root), "--resume"]
    started = [
        _start(arguments, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), **names)
        for rank in range(2)
    ]
    try:
        for process in started:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    finally:
        for process in started:
            process.kill()


def _start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
