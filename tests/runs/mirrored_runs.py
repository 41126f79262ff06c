"""Runs to mirror, and what a tracker should have of them."""

from __future__ import annotations

import math
from pathlib import Path

from click.testing import CliRunner, Result

from graphwright.cli import app
from graphwright.runs.events import EventWriter, read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirrors.names import shown_name
from graphwright.runs.status import session

CONFIG = "task: {task}\nseed: 3\nmodel:\n  name: painn\n  note: null\n"
PROVENANCE = {
    "command": ["/bin/graphwright", "train", "geometry/tiny"],
    "start": "2026-01-01T00:00:00+00:00",
    "host": "lab",
    "git": {"commit": "c0ffee", "dirty": False},
    "data_digest": "d" * 64,
}


def log(run: RunFolder, steps: range, *, resume: int | None = None) -> None:
    with EventWriter(run.events_path) as writer:
        if resume is not None:
            writer.mark_resume(resume)
        for step in steps:
            writer.log({"train_loss": 1 / step, "odd @name": math.nan, "lr": 0.1}, step, step // 10)
            if step % 10 == 0:
                writer.log({"val_loss": math.inf, "rss_mb": 7.5}, step, step // 10)


def begun_run(root: Path, task: str = "geometry") -> RunFolder:
    """Killed after 33 steps."""
    run = RunFolder.create(root, [task, "painn"], CONFIG.format(task=task))
    run.write_json("provenance.json", PROVENANCE)
    log(run, range(1, 34))
    return run


def make_run(root: Path, task: str = "geometry") -> RunFolder:
    """Finished, in two sessions of which the first was killed."""
    run = begun_run(root, task)
    finish(run)
    return run


def finish(run: RunFolder) -> None:
    with session(run):
        log(run, range(21, 61), resume=20)
        with EventWriter(run.events_path) as writer:
            writer.log({"test_mae": 0.25}, 60, 6)
        metrics = {"mae": 0.25, "rmse": 0.5}
        report = {"split": "test", "primary": "mae", "metrics": metrics}
        run.write_json("metrics.json", report)


def expected(run: RunFolder) -> dict[str, list[tuple[int, float, float]]]:
    """Step, value and time of every event, by the name that trackers show."""
    events = read_events(run.events_path)
    found = {}
    for name in events.names():
        steps, _, values = events.series(name)
        found[shown_name(name)] = list(zip(steps, values, events.times(name), strict=True))
    return found


def same(value: float, other: float) -> bool:
    return value == other or (math.isnan(value) and math.isnan(other))


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["mirror", *map(str, arguments)])
