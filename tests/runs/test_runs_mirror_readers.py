"""TensorBoard and W&B, read back with their own readers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mirrored_runs import begun_run, command, expected, finish, make_run, same

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of packages that are not ours
    pytest.mark.usefixtures("elsewhere"),
]

DIE_BEFORE_THE_END = """
import os, signal, sys
from graphwright.runs.mirror import main
from graphwright.runs.mirrors.{tracker} import {name}
{name}.finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main([sys.argv[1], "--to", "{tracker}"])
"""


# -- TensorBoard ---------------------------------------------------------------------------------


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        tag: [(event.step, event.value, event.wall_time) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def test_tensorboard_has_every_value_step_and_time(tmp_path: Path) -> None:
    """Also when a mirror was killed before its end."""
    run = make_run(tmp_path / "runs")
    logs = tmp_path / "logs"
    killed = DIE_BEFORE_THE_END.format(tracker="tensorboard", name="TensorboardTracker")
    done = subprocess.run([sys.executable, "-c", killed, str(run.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    for arguments in ((), (), ("--uri", logs), ("--uri", logs)):
        result = command(run.path, "--to", "tensorboard", "--runs-root", run.root, *arguments)
        assert result.exit_code == 0, result.output
    assert "nothing new" in result.stderr
    assert str(logs) in result.stdout
    for folder in (run.mirrors / "tensorboard", logs / "geometry" / "painn" / "run_000"):
        found = tensorboard_scalars(folder)
        assert found.pop("test/rmse")[0][:2] == (60, 0.5)
        events = expected(run)
        assert found.keys() == events.keys()
        for name, series in events.items():
            assert [row[0] for row in found[name]] == [row[0] for row in series], name
            assert [row[2] for row in found[name]] == [row[2] for row in series], name
            for (_, value, _), (_, true_value, _) in zip(found[name], series, strict=True):
                assert value == pytest.approx(true_value, rel=1e-6, nan_ok=True)  # float32


# -- W&B -----------------------------------------------------------------------------------------


def wandb_records(piece: Path) -> list[dict[str, Any]]:
    """W&B's own reader of its files."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "wandb", "leet", "inspect", "--json", str(piece)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "WANDB_ERROR_REPORTING": "false"},
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def wandb_number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]  # "NaN" and "Infinity" are texts there


def test_wandb_has_every_row_by_its_own_reader(tmp_path: Path) -> None:
    """Also when a mirror was killed before its end, and a training; and twice is once."""
    run = begun_run(tmp_path / "runs")
    killed = DIE_BEFORE_THE_END.format(tracker="wandb", name="WandbTracker")
    done = subprocess.run([sys.executable, "-P", "-c", killed, str(run.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        result = command(run.path, "--to", "wandb", "--runs-root", run.root)
        assert result.exit_code == 0, result.output
    assert "nothing new" in result.stderr
    finish(run)
    assert (
        "/1 geometry/painn/run_000: 88 values"
        in command(run.path, "--to", "wandb", "--runs-root", run.root).stderr
    )
    pieces = sorted((run.mirrors / "wandb").glob("offline-run-*"))
    assert len(pieces) == 2
    assert len({piece.name[-16:] for piece in pieces}) == 1  # one run
    before, records = map(wandb_records, pieces)
    rows = rows_of(before) + rows_of(records)
    times: dict[int, list[float]] = {}
    for event in map(json.loads, run.events_path.read_text().splitlines()):
        times.setdefault(event["step"], []).append(event["time"])
    own_steps = [row["_step"] for row in rows]
    assert own_steps == sorted(set(own_steps))  # W&B drops what goes back
    for name, series in expected(run).items():
        found = [row for row in rows if name in row]
        assert [row["step"] for row in found] == [step for step, *_ in series], name
        assert [row["epoch"] for row in found] == [step // 10 for step, *_ in series]
        for row, (step, value, _) in zip(found, series, strict=True):
            assert same(wandb_number(row[name]), value), name
            # a row has one time, that of its last metric; of repeated steps the earlier copy
            assert row["_timestamp"] in times[step]
    (begun,) = [record["run"] for record in records if record["type"] == "run"]
    assert begun["display_name"] == "painn/run_000"
    assert begun["project"] == "graphwright"
    config = begun["config"]["update"]
    assert config["model"] == {"name": "painn", "note": None}
    assert config["seed"] == 3
    assert config["run"]["git_commit"] == "c0ffee"
    summary: dict[str, Any] = {}
    for record in records:
        if record["type"] == "summary":
            summary.update(record["summary"]["update"])
    assert summary["test/mae"] == 0.25
    assert summary["test/rmse"] == 0.5
    assert summary["state"] == "finished"
    (end,) = [record["exit"] for record in records if record["type"] == "exit"]
    assert end.get("exit_code", 0) == 0
    assert not any(record["type"] == "stats" for record in records)  # of another machine
