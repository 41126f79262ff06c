"""Kill a training with SIGKILL at random instants, resume it, and compare with an unharmed one.

    python tools/kill_and_resume.py --kills 20 --seed 0 --preset geometry/tiny training.epochs=4

Every training is a process of its own and works in a folder of its own, so that reading and packing
the data is hit too; all runs lie below one runs root. An instant is drawn uniformly over the whole
duration: imports, data, training, validation, evaluation, export. After each resumed run:

* the complete last checkpoint (weights, optimizer, random state, …) and the bundle's weights are
  bit-equal to the reference, and `metrics.json` is equal,
* no temporary file is left anywhere,
* no file of a run that had finished before has changed.

Exit code 1 if any of these fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

PATIENCE_S = 600.0
SETTINGS = ("tracking.mlflow=off",)


@dataclass
class Workshop:
    """Where the trainings take place: one runs root, and a working directory for each."""

    folder: Path
    preset: str
    overrides: list[str]
    finished: dict[Path, dict[str, str]] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """The runs root that all share."""
        return self.folder / "runs"

    def start(self, place: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """A `graphwright` process that keeps its data in `place`."""
        place.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "graphwright", *arguments, "--runs-root", str(self.runs)]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        with (place / "output.txt").open("ab") as output:
            return subprocess.Popen(
                command, cwd=place, env=environment, stdout=output, stderr=output
            )

    def train(self, place: Path) -> subprocess.Popen[bytes]:
        """A new run."""
        return self.start(place, "train", self.preset, *self.overrides, *SETTINGS)

    def run_folders(self) -> set[Path]:
        """Every folder that is a run."""
        return {path.parent for path in self.runs.rglob("config.yaml")}

    def note_finished(self, run: Path) -> None:
        """Remember the contents of a finished run."""
        self.finished[run] = contents(run)

    def changed(self) -> list[str]:
        """Finished runs whose files are no longer what they were."""
        return [run.name for run, before in self.finished.items() if contents(run) != before]

    def strays(self, place: Path) -> list[str]:
        """Temporary files in the runs root and in the data of `place`."""
        return [
            str(path.relative_to(self.folder))
            for root in (self.runs, place)
            for path in root.rglob("*")
            if ".tmp" in path.name
        ]


@dataclass
class Trial:
    """One training that was killed at least once, and how it compares."""

    number: int
    kills: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    run: Path | None = None

    def line(self) -> str:
        """A row of the table."""
        verdict = "; ".join(self.problems) or "bit-equal"
        name = "-" if self.run is None else self.run.name
        return f"{self.number:5d}  {name:<8}  {', '.join(self.kills):<64}  {verdict}"


def contents(run: Path) -> dict[str, str]:
    """SHA-256 of every file of a run."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


def state_of(run: Path) -> str:
    """What `status.json` says, or `absent`."""
    path = run / "status.json"
    return str(json.loads(path.read_text())["state"]) if path.exists() else "absent"


def where_it_died(run: Path | None) -> str:
    """How far a killed run had come."""
    if run is None:
        return "before the run"
    if state_of(run) in ("absent", "created"):
        return "imports"
    if (run / "metrics.json").exists():
        return "end"
    if (run / "predictions.parquet").exists():
        return "export"
    events = run / "events.jsonl"
    if not events.exists() or not events.stat().st_size:
        return "start-up"
    steps = [
        json.loads(line)["step"] for line in events.read_text().splitlines() if line[-1] == "}"
    ]
    return f"step {steps[-1]}"


def same(a: Any, b: Any, where: str = "state") -> str:
    """An empty text if two states are bit-equal, else where they differ first."""
    if isinstance(a, torch.Tensor):
        equal = isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        return "" if equal else where
    if isinstance(a, dict):
        if not isinstance(b, dict) or a.keys() != b.keys():
            return where
        return next((bad for key in a if (bad := same(a[key], b[key], f"{where}.{key}"))), "")
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return where
        pairs = enumerate(zip(a, b, strict=True))
        return next((bad for i, (x, y) in pairs if (bad := same(x, y, f"{where}[{i}]"))), "")
    return "" if a == b else where


def compare(run: Path, reference: Path) -> list[str]:
    """What differs between a resumed run and the unharmed one."""
    problems = []
    if (state := state_of(run)) != "finished":
        return [f"state is {state}"]
    states = [
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
        for folder in (run, reference)
    ]
    if bad := same(*states):
        problems.append(f"last.ckpt differs at {bad}")
    for name in ("bundle/weights.safetensors", "predictions.parquet"):
        if (run / name).read_bytes() != (reference / name).read_bytes():
            problems.append(f"{name} differs")
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (run, reference)]
    if metrics[0] != metrics[1]:
        problems.append("metrics.json differs")
    return problems


def train_reference(shop: Workshop) -> tuple[Path, float]:
    """A training that nobody disturbs, and how long it takes."""
    place = shop.folder / "reference"
    began = time.monotonic()
    code = shop.train(place).wait(PATIENCE_S)
    duration = time.monotonic() - began
    if code != 0:
        sys.exit(f"the reference run failed:\n{(place / 'output.txt').read_text()}")
    (run,) = shop.run_folders()
    shop.note_finished(run)
    return run, duration


def kill_at(process: subprocess.Popen[bytes], instant: float) -> bool:
    """SIGKILL after so many seconds; false if the process ended by itself before."""
    try:
        process.wait(instant)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


def one_trial(
    shop: Workshop, number: int, kills: int, draw: random.Random, reference: Path, duration: float
) -> Trial:
    """Train, kill and resume until `kills` kills hit, then resume to the end and compare."""
    trial = Trial(number)
    place = shop.folder / f"trial_{number:02d}"
    before = shop.run_folders()
    while len(trial.kills) < kills:
        process = _go_on(shop, place, trial.run)
        instant = draw.uniform(0.0, duration)
        hit = kill_at(process, instant)
        trial.run = next(iter(shop.run_folders() - before), None)
        if not hit:  # it was faster than the reference: this draw does not count
            break
        trial.kills.append(f"{instant:.2f} s ({where_it_died(trial.run)})")
    if trial.run is None or state_of(trial.run) != "finished":
        code = _go_on(shop, place, trial.run).wait(PATIENCE_S)
        if code != 0:
            trial.problems.append(f"going on exits {code}, see {place / 'output.txt'}")
    trial.run = next(iter(shop.run_folders() - before), None)
    trial.problems += ["no run"] if trial.run is None else compare(trial.run, reference)
    trial.problems += [f"left behind: {path}" for path in shop.strays(place)]
    trial.problems += [f"finished {name} was changed" for name in shop.changed()]
    if trial.run is not None:
        shop.note_finished(trial.run)
    return trial


def _go_on(shop: Workshop, place: Path, run: Path | None) -> subprocess.Popen[bytes]:
    if run is None:
        return shop.train(place)
    if state_of(run) == "finished":  # killed on its way out: there is nothing left to kill
        return subprocess.Popen([sys.executable, "-c", ""])
    return shop.start(place, "resume", str(run))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options and overrides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="in all (default 20)")
    parser.add_argument("--kills-per-run", type=int, default=1, help="(default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (default 0)")
    parser.add_argument("--preset", default="geometry/tiny")
    parser.add_argument("--keep", type=Path, help="work in this new folder, and keep it")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run all trials; 0 if every one was bit-equal."""
    options = parse(arguments)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    folder.mkdir(parents=True, exist_ok=options.keep is None)
    shop = Workshop(folder.absolute(), options.preset, options.overrides)
    draw = random.Random(options.seed)
    reference, duration = train_reference(shop)
    print(f"reference: {duration:.1f} s\ntrial  run       killed after")
    trials: list[Trial] = []
    while (done := sum(len(trial.kills) for trial in trials)) < options.kills:
        kills = min(options.kills_per_run, options.kills - done)
        trial = one_trial(shop, len(trials), kills, draw, reference, duration)
        trials.append(trial)
        print(trial.line(), flush=True)
    failed = [trial for trial in trials if trial.problems]
    print(f"{done} kills in {len(trials)} runs, {len(trials) - len(failed)} bit-equal")
    if failed or options.keep:
        print(f"kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
