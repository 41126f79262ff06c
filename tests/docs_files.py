"""Files that pages of the documentation take for granted: somebody's own data, very small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphwright.config.presets import resolve_preset
from graphwright.launch.local import create_run

__all__ = ["write_files"]

WATER = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])


def write_files(folder: Path) -> None:
    """Write them all, and make two runs that were stopped before their first checkpoint:
    `geometry/molecules/center_of_mass/painn/run_000` and `run_001`."""
    _molecules(folder / "molecules.npz")
    rows = "".join(f"{z} {x} {y} {w}\n" for z, (x, y, w) in zip("OHH", WATER, strict=True))
    (folder / "water.xyz").write_text(f"3\nwater\n{rows}")
    (folder / "partners.txt").write_text("G0002\nG0003\nG0004\n")
    _plant(folder / "plant")
    centers = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    points = np.random.default_rng(0).normal(size=(2, 30, 3)) + centers[:, None]
    pos = points.reshape(-1, 3)
    np.savez(folder / "labelled.npz", pos=pos, offsets=[0, 30, 60], center_of_mass=centers)
    quick = ["training.epochs=1", "model.hidden_dim=8", "tracking.mlflow=off"]
    overrides = ["data.source.path=molecules.npz", *quick]
    for _ in range(2):
        create_run(resolve_preset("geometry/hidden_masses", overrides), folder / "runs")


def _molecules(path: Path, count: int = 20) -> None:
    """Bent waters; the dipole points from the hydrogens to the oxygen, more or less."""
    rng = np.random.default_rng(0)
    pos = WATER[None] + rng.normal(scale=0.05, size=(count, 3, 3))
    np.savez(
        path,
        pos=pos.reshape(-1, 3),
        z=np.tile([8, 1, 1], count),
        offsets=np.arange(count + 1) * 3,
        dipole=pos[:, 0] - pos[:, 1:].mean(1),
    )


def _plant(folder: Path) -> None:
    """An event log of three sensors; in the test one of them jumps."""
    rng = np.random.default_rng(0)
    for name in ("train_01/normal-1", "train_01/normal-2", "test_01/jump-1"):
        lines = ["time,tag,level,flow,label"]
        for number in range(2000):
            attack = name.startswith("test") and number > 1500 and number % 3 == 0
            level, flow = rng.normal(size=2) + 9 * attack
            lines.append(f"{number / 10:.1f},s{number % 3},{level:.3f},{flow:.3f},{int(attack)}")
        path = folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
