"""Run folders as the other rooms write them, without training anything."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

STARTED = 1763790000.0
CONFIG: dict[str, Any] = {
    "task": "geometry",
    "schema_version": 1,
    "seed": 0,
    "training": {
        "epochs": 60,
        "optimizer": {"name": "adam", "lr": 0.001, "weight_decay": 1e-05, "betas": [0.9, 0.999]},
        "scheduler": {"name": "plateau", "patience": 10, "factor": 0.5},
        "gradient_clip": 1.0,
        "precision": "32",
        "device": "auto",
    },
    "loading": {"batch_size": 16, "num_workers": 0},
    "tracking": {"mlflow": "auto", "wandb": "off", "wandb_name": None},
    "data": {"source": "qm7", "neighbors": 10, "degree": 1, "split": {"train": 0.9, "val": 0.1}},
    "model": {"name": "painn", "hidden_dim": 64, "num_layers": 4, "cutoff": 5.0},
}
PHASES = {
    "imports": (1.93, {}),
    "directories": (0.004, {"run": "run_000"}),
    "data loading and validation": (0.412, {"structures": 7165, "rejected": 3}),
    "split": (0.0021, {"train": 5732, "val": 716, "test": 714}),
    "loaders": (0.0034, {"batch_size": 16, "workers": 0}),
    "model": (0.061, {"parameters": 581_251}),
    "compilation": (0.0, {}),
    "logging": (0.019, {"mirrors": ["mlflow"]}),
    "trainer configuration": (0.108, {"precision": "32", "device": "cpu"}),
}


class RunBuilder:
    """Writes one run folder, part by part."""

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        path.mkdir(parents=True)
        self.path = path
        self.config = config
        (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def json(self, name: str, content: Any) -> None:
        (self.path / name).write_text(json.dumps(content))

    def status(self, state: str, error: str | None = None, took: float | None = 1834.2) -> None:
        ended = None if took is None else STARTED + took
        self.json(
            "status.json",
            {
                "state": state,
                "pid": 4242,
                "host": "node-7",
                "started": STARTED,
                "ended": ended,
                "error": error,
                "earlier_s": 0.0,
            },
        )

    def events(self, epochs: int, *, level: float = 0.02, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        lines = []

        def log(step: int, epoch: int, name: str, value: float) -> None:
            shown = value if math.isfinite(value) else "NaN"
            record = {
                "step": step,
                "epoch": epoch,
                "time": STARTED + step,
                "name": name,
                "value": shown,
            }
            lines.append(json.dumps(record))

        for epoch in range(epochs):
            step = (epoch + 1) * 358
            fall = level + 0.46 * math.exp(-epoch / 9) + 0.06 * math.exp(-epoch / 30)
            noise = 1 + 0.05 * rng.standard_normal(8)
            for name, factor in (("loss", 1.0), ("mae", 1.0), ("mse", 0.004), ("angle_deg", 40.0)):
                log(step, epoch, f"train_{name}", factor * fall * noise[0] * 0.93)
                log(step, epoch, f"val_{name}", factor * fall * noise[1] * 1.04)
            for axis in "xyz":
                log(step, epoch, f"val_mae_{axis}", fall * noise[ord(axis) % 8])
            for part in range(10):
                log(
                    step - 358 + 35 * part,
                    epoch,
                    "train_loss_step",
                    fall * (1 + 0.2 * float(rng.standard_normal())),
                )
            log(step, epoch, "lr", 1e-3 * 0.5 ** (epoch // 25))
            log(step, epoch, "grad_norm", 2.5 * fall * noise[2])
            log(step, epoch, "samples_per_s", 940 * noise[3])
            log(step, epoch, "rss_mb", 812 + epoch * 0.2)
            log(step, epoch, "device_mem_mb", 0.0)
            log(step, epoch, "epoch_s", 30 * noise[4])
        (self.path / "events.jsonl").write_text("\n".join(lines) + "\n")

    def predictions(self, count: int = 714, noise: float = 0.03) -> None:
        rng = np.random.default_rng(1)
        columns: dict[str, Any] = {
            "id": np.arange(count + 20),
            "split": ["test"] * count + ["val"] * 20,
        }
        for axis in "xyz":
            target = rng.standard_normal(count + 20) * 0.6
            columns[f"target_{axis}"] = target
            columns[f"predicted_{axis}"] = target + noise * rng.standard_normal(count + 20)
        pq.write_table(pa.table(columns), self.path / "predictions.parquet")

    def metrics(self, mae: float = 0.0213, **changes: Any) -> None:
        name = self.config["model"]["name"]
        rows = [
            [name, mae, mae**2 * 2.4, mae * 1.9, 3.1],
            ["zero", 0.4839, 0.412, 0.9121, None],
            ["GCN", 0.4404, 0.36, 0.8312, 62.4],
            ["GCN + rotation augmentation", 0.4837, 0.41, 0.9101, 88.0],
        ]
        columns = ["model", "MAE (a.u.)", "MSE (a.u.²)", "mean error (a.u.)", "angle (°)"]
        rotated = [rows[0], rows[1], ["GCN", 0.5622, 0.52, 1.02, 91.3], rows[3]]
        metrics = {
            "mae": mae,
            "mse": mae**2 * 2.4,
            "displacement": mae * 1.9,
            **{f"mae_{axis}": mae * f for axis, f in zip("xyz", (0.98, 1.01, 1.02), strict=True)},
        }
        tables = [
            {
                "title": "Test set",
                "note": "Structures never seen in training; every model got the same split.",
                "columns": columns,
                "rows": rows,
                "highlight": name,
            },
            {
                "title": "Test set, randomly rotated",
                "note": "A model that lives off an object's canonical pose fails here.",
                "columns": columns,
                "rows": rotated,
                "highlight": name,
            },
        ]
        content = {
            "task": "geometry",
            "split": "test",
            "primary": "mae",
            "higher_is_better": False,
            "metrics": metrics,
            "tables": tables,
            "scatter": {
                "target": ["target_x", "target_y", "target_z"],
                "predicted": ["predicted_x", "predicted_y", "predicted_z"],
                "label": "dipole",
                "unit": "a.u.",
            },
            "data": {
                "splits": {"train": 5732, "val": 716, "test": 714},
                "rejected": {
                    "count": 3,
                    "reasons": {"non-finite positions": 2, "fewer than 2 points": 1},
                },
                "digest": "9f2c" * 16,
                "split_digest": "07ab" * 16,
            },
            "parameters": 581_251,
            "equivariance": {
                "float32": {
                    "rotation": 4.1e-7,
                    "reflection": 3.8e-7,
                    "translation": 2.2e-7,
                    "permutation": 3e-7,
                },
                "float64": {
                    "rotation": 6e-16,
                    "reflection": 5.1e-16,
                    "translation": 2.7e-16,
                    "permutation": 4e-16,
                },
            },
        }
        self.json("metrics.json", content | changes)

    def startup(self) -> None:
        phases = [{"name": n, "seconds": s, "details": d} for n, (s, d) in PHASES.items()]
        marks = {"first_batch_s": 0.231, "first_epoch_s": 29.4, "steady_batch_s": 0.0494}
        self.json("startup.json", {"phases": phases, **marks, "total_s": 2.54})

    def provenance(self) -> None:
        self.json(
            "provenance.json",
            {
                "command": ["graphwright", "train", "geometry/painn", "data.source=qm7"],
                "start": "2025-11-22T05:40:00+00:00",
                "host": "node-7",
                "python": "3.11.2",
                "platform": "Linux-6.1-x86_64",
                "cores": 8,
                "memory_gb": 31.2,
                "versions": {"graphwright": "0.1.0", "torch": "2.13.0", "lightning": "2.6.6"},
                "git": {"commit": "c0ffee" * 6 + "abcd", "dirty": False},
                "data": {"digest": "9f2c" * 16},
                "seed": 0,
            },
        )

    def bundle(self) -> None:
        folder = self.path / "bundle"
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"w" * 2_325_004)
        (folder / "model.json").write_text("{}")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunBuilder]:
    """See `run_maker`."""
    return run_maker(tmp_path)


@pytest.fixture(scope="session")
def five_by_three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of five configurations with three seeds each."""
    make = run_maker(tmp_path_factory.mktemp("five"))
    found = []
    for place, model in enumerate(("painn", "egnn", "tfn", "gcn", "a_model_with_a_long_name")):
        for seed in range(3):
            run = make(model=model, seed=seed)
            mae = 0.02 + 0.004 * place + 0.001 * ((seed * (place + 2)) % 3)
            run.metrics(mae, parameters=10 ** (3 + place), main=["mae", "mse", "displacement"])
            run.status("finished", took=100.0 * (5 - place))
            found.append(run.path)
    return found


def run_maker(root: Path) -> Callable[..., RunBuilder]:
    """A builder of run folders: `make_run()` is finished and complete.

    `make_run("bare")` has a configuration only; "failed" and "running" stopped on the way.
    """

    def make(
        kind: str = "finished",
        *,
        model: str = "painn",
        seed: int = 0,
        mae: float = 0.0213,
        **more: Any,
    ) -> RunBuilder:
        config = copy.deepcopy(CONFIG)
        config["seed"] = seed
        config["model"]["name"] = model
        for key, value in more.items():
            section, name = key.split("__")
            config[section][name] = value
        parent = root / "runs" / "geometry" / model / "qm7"
        number = len(list(parent.glob("run_*"))) if parent.exists() else 0
        run = RunBuilder(parent / f"run_{number:03d}", config)
        if kind == "bare":
            return run
        run.provenance()
        run.startup()
        run.events(60 if kind == "finished" else 17, level=mae, seed=seed)
        if kind == "failed":
            run.status("failed", "TrainingError: the loss is not finite at step 6,086 <NaN & co>")
            (run.path / "log.txt").write_text(
                "epoch 16\nTraceback (most recent call last):\n  boom"
            )
            return run
        run.status("finished")
        run.metrics(mae)
        run.predictions()
        run.bundle()
        return run

    return make
