"""A sweep of 100 runs whose process is killed five times: each is there once, and nothing else.

The kills come when so many runs are finished, and a moment later: the numbers and moments are drawn
with a seed, so that they spread over the sweep however fast the machine is.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from graphwright.runs.index import find_runs

RUNS, KILLS, PATIENCE_S = 100, 5, 300.0
SHORT = (
    "tracking.mlflow=off",
    "training.epochs=1",
    "model=simple_gcn",
    *(f"data.split.{part}=20" for part in ("train", "val", "test")),
)


def _finished(runs: Path) -> int:
    return sum(
        json.loads(path.read_bytes())["state"] == "finished" for path in runs.rglob("status.json")
    )


def _alive(home: Path) -> list[psutil.Process]:
    """Processes that were started with this place in their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and str(home) in words:
            found.append(process)
    return found


def _kill(sweep: subprocess.Popen[str], runs: Path, after: int, pause_s: float) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _finished(runs) < after:
        assert sweep.poll() is None, sweep.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(pause_s)
    sweep.kill()
    sweep.communicate(timeout=PATIENCE_S)


def test_100_runs_and_5_kills(start, place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHWRIGHT_HOME_OF_THIS_TEST", str(place.home))
    arguments = ("sweep", "nas/tiny", *SHORT, "--seeds", RUNS, "--workers", 2,
                 "--sweeps-root", place.home / "sweeps", *place.roots)  # fmt: skip
    draw = random.Random(7)
    moments = sorted(draw.sample(range(RUNS - 10), KILLS))
    for after in moments:
        _kill(start(*arguments), place.runs, after, draw.uniform(0.0, 1.0))
        assert _finished(place.runs) < RUNS
    last = start(*arguments)
    out, err = last.communicate(timeout=PATIENCE_S)

    assert last.returncode == 0, err
    assert out.startswith(f"{RUNS} finished: ")
    runs = find_runs(place.runs)
    assert len(runs) == RUNS
    assert {run.state for run in runs} == {"finished"}
    assert len({run.digest for run in runs}) == RUNS
    rows = json.loads((place.home / "sweeps" / "nas_tiny" / "result.json").read_text())
    assert {row["run"] for row in rows} == {str(run.path) for run in runs}
    assert [path for path in place.files() if ".tmp" in path.name] == []
    assert {path.parent for path in place.runs.rglob("run_*") if path.is_dir()} == {
        runs[0].path.parent
    }
    _, left = psutil.wait_procs(_alive(place.home), timeout=10.0)
    assert left == []
    assert sum(_sessions(run.path) > 1 for run in runs) <= 2 * KILLS


def _sessions(run: Path) -> int:
    provenance = json.loads((run / "provenance.json").read_text())
    return 1 + len(provenance.get("resumed_from", []))
