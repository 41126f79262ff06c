"""Start many trainings of one preset at the same moment: each must get a run folder of its own.

    python tools/start_together.py --processes 20 --preset geometry/tiny

The processes also meet at the data set, which one of them packs while the others wait. Exit code 1
if any fails, two share a folder, a number is left out, or a temporary file remains.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = ("tracking.mlflow=off", "training.threads=1")


def start(folder: Path, preset: str, overrides: list[str]) -> subprocess.Popen[str]:
    """One short training; its last line of output names the run."""
    command = [sys.executable, "-m", "graphwright", "train", preset, *overrides, *SETTINGS]
    return subprocess.Popen(
        [*command, "--fast-dev-run", "1"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def problems(folder: Path, outputs: list[str], codes: list[int]) -> list[str]:
    """Everything that is not as it should be."""
    found = [f"process {i} exits {code}" for i, code in enumerate(codes) if code != 0]
    named = [Path(text.rsplit(": ", 1)[-1].strip()) for text in outputs]
    runs = sorted(path.parent for path in (folder / "runs").rglob("config.yaml"))
    if sorted(set(named)) != runs or len(set(named)) != len(codes):
        found.append(
            f"{len(codes)} processes name {len(set(named))} folders; there are {len(runs)}"
        )
    if [run.name for run in runs] != [f"run_{i:03d}" for i in range(len(codes))]:
        found.append(f"the numbers are {', '.join(run.name for run in runs)}")
    states = [json.loads((run / "status.json").read_text())["state"] for run in runs]
    found += [f"{run.name} is {s}" for run, s in zip(runs, states, strict=True) if s != "finished"]
    if len({(run / "config.yaml").read_bytes() for run in runs}) != 1:
        found.append("the configurations differ")
    if len(stores := list((folder / "data").rglob("schema.json"))) != 1:
        found.append(f"{len(stores)} data sets were packed")
    return found + [f"left behind: {p}" for p in folder.rglob("*") if ".tmp" in p.name]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options and overrides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=20, help="(default 20)")
    parser.add_argument("--preset", default="geometry/tiny")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Start, wait, check; 0 if all is well."""
    options = parse(arguments)
    folder = Path(tempfile.mkdtemp(prefix="start-together-"))
    began = time.monotonic()
    processes = [start(folder, options.preset, options.overrides) for _ in range(options.processes)]
    results = [process.communicate() for process in processes]
    codes = [process.returncode for process in processes]
    found = problems(folder, [out for out, _ in results], codes)
    for line in found:
        print(line)
    for i, (_, error) in enumerate(results):
        if codes[i] != 0:
            print(f"--- process {i}\n{error}")
    verdict = "FAILED" if found else "each got its own folder"
    print(f"{options.processes} processes, {time.monotonic() - began:.1f} s: {verdict}")
    if found:
        print(f"kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
