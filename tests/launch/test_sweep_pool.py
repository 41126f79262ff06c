"""A worker that dies takes only its own run with it; a sweep that is stopped saves them all."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from graphwright.config.presets import resolve_preset
from graphwright.launch.sweep.existing import existing_run, existing_runs, remove_remains
from graphwright.launch.sweep.many import run_all, threads_for
from graphwright.launch.sweep.pool import cores
from graphwright.runs.folder import RunFolder
from graphwright.runs.status import read_status

PATIENCE_S = 180.0


@pytest.fixture(scope="module")
def long(tiny) -> tuple[str, ...]:
    """Overrides for a training that is met in its middle."""
    return (*(text for text in tiny if "epochs" not in text), "training.epochs=400")


def _wait_for_step(runs: Path) -> Path:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := list(runs.rglob("last.ckpt"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0].parents[1]


def test_a_dead_worker_is_one_failed_run(place, tiny, long) -> None:
    endless, short = (resolve_preset("geometry/tiny", words) for words in (long, tiny))

    def kill() -> None:
        os.kill(read_status(_wait_for_step(place.runs)).pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    first, second = run_all([endless, short], runs_root=place.runs, data_root=place.data)
    killer.join()
    assert first.run is None
    assert "SIGKILL (out of memory, perhaps)" in first.error
    assert second.run is not None
    assert read_status(second.run).state == "finished"
    (left,) = (run for run in place.run_folders() if run != second.run)
    assert read_status(left).state == "interrupted"


def test_asked_to_stop_it_saves_and_says_how_to_go_on(start, place, long) -> None:
    sweep = start("sweep", "geometry/tiny", *long, "--seeds", 3, "--name", "s",
                  "--sweeps-root", place.home / "sweeps", *place.roots)  # fmt: skip
    run = _wait_for_step(place.runs)
    sweep.send_signal(signal.SIGTERM)
    _, err = sweep.communicate(timeout=PATIENCE_S)
    assert sweep.returncode == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert json.loads((run / "status.json").read_text())["state"] == "interrupted"
    rows = json.loads((place.home / "sweeps/s/result.json").read_text())
    assert [row["state"] for row in rows] == ["pending"] * 3


def test_failed_runs_are_exit_code_1_and_stand_until_asked(cli, place, tiny) -> None:
    command = ("sweep", "geometry/tiny", *tiny, "model.cutoff=1e-9", "training.optimizer.lr=1e30",
               "--sweeps-root", place.home / "sweeps", *place.roots)  # fmt: skip
    result = cli(*command)
    assert result.code == 1, result.err
    assert "1 of 1 runs failed" in result.err
    assert "--retry-failed" in result.err
    (run,) = place.run_folders()
    assert read_status(run).state == "failed"
    before = read_status(run)
    assert cli(*command).code == 1
    assert read_status(run) == before


def test_a_configuration_is_found_however_it_is_written(place, tiny) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    folder = RunFolder.create(place.runs, config.levels(), "task: geometry\nseed: 5\n").path
    assert existing_run(config, place.runs) is None
    defaults = replace(resolve_preset("geometry/scans"), seed=5)
    plain = type(config)(seed=5)
    broken = RunFolder.create(place.runs, config.levels(), "task: [\n").path
    assert existing_runs([plain, defaults, config], place.runs) == [folder, None, None]
    assert broken.is_dir()


def test_remains_of_a_killed_process_go_and_nobody_elses(place, tiny) -> None:
    config = resolve_preset("geometry/tiny", tiny)
    parent = place.runs.joinpath(*config.levels())
    for name, pid in (("run_000", 4711), ("run_001", 4712)):
        (parent / name).mkdir(parents=True)
        (parent / name / f".config.yaml.tmp-{pid}-0123abcd").touch()
    kept = RunFolder.create(place.runs, config.levels(), "task: geometry\n").path
    (kept / ".status.json.tmp-4711-0123abcd").touch()
    remove_remains([config], place.runs, 4711)
    assert sorted(path.name for path in parent.iterdir()) == ["run_001", "run_002"]
    assert (kept / ".status.json.tmp-4711-0123abcd").exists()


def test_cores_are_shared_out() -> None:
    assert threads_for(1) == cores()
    assert threads_for(10 * cores()) == 1


def test_a_search_prunes_real_runs(cli, place, tiny) -> None:
    pytest.importorskip("optuna")
    words = (*(text for text in tiny if "epochs" not in text), "training.epochs=40")
    result = cli("sweep", "geometry/tiny", *words, "training.optimizer.lr=log(1e-6,1e-1)",
                 "--search", "optuna", "--trials", 9, "--name", "s", "--seed", 1,
                 "--sweeps-root", place.home / "sweeps", *place.roots)  # fmt: skip
    assert result.code == 0, result.err
    rows = json.loads((place.home / "sweeps/s/result.json").read_text())
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert len(rows) == len(place.run_folders()) == 9
    assert f"{9 - len(pruned)} finished, {len(pruned)} pruned: " in result.out
    assert pruned
    stopped = [read_status(Path(row["run"])) for row in pruned]
    assert all(status.state == "interrupted" for status in stopped)
    assert all(
        status.error == f"pruned by the sweep s after {row['epochs']} epochs"
        for status, row in zip(stopped, pruned, strict=True)
    )
    best = json.loads((place.home / "sweeps/s/search.json").read_text())["best"]
    assert best["value"] == min(row["value"] for row in rows if row["state"] == "finished")
    compared = cli("compare", place.home / "sweeps/s", *place.roots[:2])
    assert compared.code == 0, compared.err
