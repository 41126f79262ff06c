"""The whole way in one go: train, evaluate against baselines, predict on raw input, report.

    python examples/demo.py --out demo

Everything is done through the commands that a user would type; they are printed as they run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything")
    parser.add_argument("overrides", nargs="*", help="settings, such as training.epochs=2")
    args = parser.parse_args()
    began = time.perf_counter()
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    places = ["--runs-root", f"{args.out}/runs", "--data-root", f"{args.out}/data"]
    graphwright("train", "geometry/scans", "--reference", "gcn", *args.overrides, *places)
    run = next((args.out / "runs").glob("geometry/scans/center_of_mass/painn/run_*"))
    raw = write_raw_input(args.out / "my_points.npz")
    graphwright("predict", str(run), str(raw), "-o", f"{args.out}/predictions.csv")
    page, card = args.out / "report.html", args.out / "card.md"
    graphwright("report", str(run), "-o", str(page), "--card", str(card))
    print(f"\ndone in {time.perf_counter() - began:.0f} s; open {page.resolve()}")


def graphwright(*words: str) -> None:
    """One command, shown as it is typed."""
    print("\n$ graphwright", *words, flush=True)
    subprocess.run([sys.executable, "-m", "graphwright", *words], check=True)


def write_raw_input(path: Path) -> Path:
    """Somebody's own point clouds: two balls, seen from one side, of 60 and 90 points."""
    rng = np.random.default_rng(0)
    clouds = []
    for count, centre in ((60, (1.0, 0.0, 0.0)), (90, (0.0, 2.0, 0.5))):
        points = rng.normal(size=(count, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points[:, 2] = np.abs(points[:, 2])  # the upper half only
        clouds.append(0.3 * points + np.array(centre))
    offsets = np.cumsum([0, *(len(cloud) for cloud in clouds)])
    np.savez(path, pos=np.concatenate(clouds), offsets=offsets, id=np.array(["ball_a", "ball_b"]))
    return path


if __name__ == "__main__":
    main()
