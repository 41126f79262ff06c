"""Start-up: from the command to the end of the first optimizer step, and to the help text.

`first_step` runs `graphwright train geometry/tiny` as it is: all defaults, an MLflow mirror beside
it where MLflow is installed, its data prepared before. The figure is `total_s` of the run's
startup.json: from the start of the process to the end of the first step, imports counted. The peer
does `import torch, torch_geometric, lightning` and nothing else, timed likewise: the end of the
process is not counted. All take turns; the files are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _harness import Case, arguments, report

COMMAND = [sys.executable, "-m", "graphwright"]
PEER = "import torch, torch_geometric, lightning; import time; print(time.monotonic())"


def first_step(folder: Path) -> float:
    """Seconds to the end of the first optimizer step of a whole training."""
    runs = Path(tempfile.mkdtemp(dir=folder))
    roots = ["--runs-root", str(runs), "--data-root", str(folder / "data")]
    run([*COMMAND, "train", "geometry/tiny", *roots])
    (path,) = runs.glob("**/startup.json")
    return float(json.loads(path.read_text())["total_s"])


def imports(folder: Path) -> float:
    """Seconds until the peer has imported its packages."""
    start = time.monotonic()  # one clock for all processes
    return float(run([sys.executable, "-c", PEER]).splitlines()[-1]) - start


def help_text(*command: str) -> Callable[[Path], float]:
    """Seconds of a whole process that prints a help text."""

    def measure(folder: Path) -> float:
        start = time.monotonic()
        run([*COMMAND, *command, "--help"])
        return time.monotonic() - start

    return measure


def run(command: list[str]) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def cases(options: argparse.Namespace) -> list[Case]:
    """All rows: every round measures each once, the first round warms the caches."""
    measures = {
        "first_step": first_step,
        "peer": imports,
        "help": help_text(),
        "train_help": help_text("train"),
    }
    times: dict[str, list[float]] = {name: [] for name in measures}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(1 + options.repeats):
            for key, measure in measures.items():
                seconds = measure(folder)
                if number:
                    times[key].append(seconds)
    median = {key: statistics.median(values) for key, values in times.items()}
    return [
        Case(
            "first_step",
            "s",
            median["first_step"],
            median["peer"],
            note="peer: import torch, torch_geometric, lightning; target: ratio >= 0.77",
        ),
        Case("help", "s", median["help"], note="graphwright --help, target < 0.3 s"),
        Case("train_help", "s", median["train_help"], note="graphwright train --help, < 0.3 s"),
    ]


def main() -> None:
    """Run all cases."""
    options = arguments(__doc__, repeats=7)
    report("startup", cases(options), options)


if __name__ == "__main__":
    main()
