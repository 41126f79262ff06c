"""One epoch of training: graphwright's loop against a hand-written one and Lightning + PyG.

All three train the same network from the same weights with the same optimizer, clipping and
batches, and validate after every epoch. The hand-written loop does nothing else: no metrics, no
records, no checkpoints, all of which ours has. The Lightning peer reads an InMemoryDataset through
PyG's DataLoader and logs nine values a step, with Lightning's default logger and checkpoints.

Data: generated scans (the preset geometry/scans with fewer structures) and small molecules (the
preset geometry/qm7 on molecules made at random). A figure is the median time of an epoch, from the
end of one validation to the end of the next, without the first epoch. The three take turns, each
with a short training a round. All have the memory allocator and the way to wait for threads that
`graphwright train` has; `allocator.py` measures these.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import InMemoryDataset
from torch_geometric.loader import DataLoader

from _harness import Case, arguments, report
from graphwright.config import io
from graphwright.config.presets import resolve_preset
from graphwright.data.batch import GraphBatch
from graphwright.data.convert import to_pyg_list
from graphwright.data.loader import Loader
from graphwright.runs.folder import RunFolder
from graphwright.tasks.geometry.task import GeometryTask
from graphwright.training.allocator import set_allocator
from graphwright.training.engine import fit, prepare
from graphwright.training.optim import build_optimizer
from graphwright.training.phases import Phases
from graphwright.training.signals import StopRequest
from graphwright.training.task import TaskData
from graphwright.training.threads import cpu_pressure, settle_waiting

EPOCHS = 3
# the plain loop that anyone would write: no schedule, no averaged weights, no augmentation
PLAIN = [
    f"training.epochs={EPOCHS}",
    "training.scheduler.name=none",
    "training.ema_decay=0",
    "augment.rotate=false",
    "augment.jitter=0",
    "augment.stretch=0",
]

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Setting:
    """One data set with its preset."""

    task: GeometryTask
    data: TaskData
    folder: Path

    @property
    def config(self) -> Any:
        """The configuration that all loops follow."""
        return self.task.config

    def loader(self, split: str) -> Loader:
        """Batches exactly as graphwright makes them."""
        loading = self.config.loading
        size = loading.batch_size if split == "train" else loading.eval_batch_size
        source, seed = self.data.sources[split], self.config.seed
        return Loader(source, batch_size=size, seed=seed, shuffle=split == "train")

    def model(self) -> nn.Module:
        """With the weights that graphwright starts from."""
        torch.manual_seed(self.config.seed)
        return self.task.build_model(self.data.state).to(torch.float32)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The one that the preset names."""
        return build_optimizer(model.parameters(), self.config.training.optimizer)

    def loss(self, model: nn.Module, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Loss, and error vectors [B, 3]."""
        error = model(batch) - batch.graphs["target"]
        scaled = error / model.scale.to(error.dtype)
        if self.config.loss == "mae":
            return scaled.abs().mean(), error
        return (scaled.square().sum(1) + 1e-12).sqrt().mean(), error


# -- the three loops: final weights, and the time at the end of each epoch ------------------------


class EpochClock(Phases):
    """graphwright's start-up clock, which is told of every epoch's end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def after_epoch(self) -> None:
        super().after_epoch()
        self.ends.append(time.perf_counter())


def graphwright(setting: Setting) -> tuple[Weights, list[float]]:
    """The product's own training: records, metrics, checkpoints."""
    folder = RunFolder.create(setting.folder, ("loop",), io.to_yaml(setting.config))
    clock = EpochClock()
    prepared = prepare(setting.task, clock)
    model = fit(setting.task, prepared, folder, clock, StopRequest(), resume=False)
    return model.state_dict(), clock.ends


def hand_written(setting: Setting) -> tuple[Weights, list[float]]:
    """What one writes without any framework."""
    model, ends = setting.model(), []
    optimizer, clip = setting.optimizer(model), setting.config.training.gradient_clip
    train, validation = setting.loader("train"), setting.loader("val")
    for epoch in range(EPOCHS):
        model.train()
        train.set_epoch(epoch)
        for batch in train:
            optimizer.zero_grad()
            loss, _ = setting.loss(model, batch.to(dtype=torch.float32))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for batch in validation:
                float(setting.loss(model, batch.to(dtype=torch.float32))[0])
        ends.append(time.perf_counter())
    return model.state_dict(), ends


def lightning_pyg(setting: Setting) -> tuple[Weights, list[float]]:
    """Lightning with its defaults, PyG's data set and loader, nine `self.log` calls a step."""
    module = LoggingModule(setting)
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        gradient_clip_val=setting.config.training.gradient_clip,
        default_root_dir=setting.folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *(pyg_loader(setting, split) for split in ("train", "val")))
    return module.model.state_dict(), module.ends


class LoggingModule(pl.LightningModule):
    """The usual module."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting, self.model = setting, setting.model()
        self.ends: list[float] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.setting.optimizer(self.model)

    def training_step(self, data: Any, number: int) -> Tensor:
        loss, error = self.setting.loss(self.model, as_graph_batch(data))
        mae, mse = error.detach().abs().mean(0), error.detach().square().mean(0)
        values = {"loss": loss, "mae": mae.mean(), "mse": mse.mean()}
        for i, axis in enumerate("xyz"):
            values |= {f"mae_{axis}": mae[i], f"mse_{axis}": mse[i]}
        for name, value in values.items():
            self.log(f"train_{name}", value, on_step=True, on_epoch=True, batch_size=len(error))
        return loss

    def validation_step(self, data: Any, number: int) -> None:
        loss, error = self.setting.loss(self.model, as_graph_batch(data))
        self.log("val_loss", loss, batch_size=len(error))

    def on_validation_end(self) -> None:
        self.ends.append(time.perf_counter())


class Held(InMemoryDataset):
    """An InMemoryDataset of a list of graphs."""

    def __init__(self, graphs: list[Any]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(graphs)


class Planned:
    """A batch sampler that gives PyG the batches of our loader, epoch after epoch."""

    def __init__(self, loader: Loader) -> None:
        self.loader, self.epoch = loader, 0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[int]]:
        plan = self.loader.plan(self.epoch)
        self.epoch += 1
        return iter([index.tolist() for index in plan])


def pyg_loader(setting: Setting, split: str) -> DataLoader:
    """The split as an InMemoryDataset, in float32, and a loader with the same batches."""
    source = setting.data.sources[split]
    whole = source.batch(np.arange(len(source))).to(dtype=torch.float32)
    return DataLoader(Held(to_pyg_list(whole)), batch_sampler=Planned(setting.loader(split)))


def as_graph_batch(data: Any) -> GraphBatch:
    """The tensors of a PyG batch under the names that the network knows; nothing is copied."""
    nodes = {name: data[name] for name in ("pos", "z") if name in data}
    return GraphBatch(
        edge_index=data.edge_index,
        node_ptr=data.ptr,
        edge_ptr=data._slice_dict["edge_index"],
        index=torch.arange(data.num_graphs),
        num_nodes=data.num_nodes,
        nodes=nodes,
        graphs={"target": data.target},
    )


# -- data ------------------------------------------------------------------------------------------


def scans(folder: Path) -> Setting:
    """400 generated scans in batches of 16."""
    return prepared_setting("geometry/scans", ["data.source.count=400"], folder)


def molecules(folder: Path) -> Setting:
    """1,000 molecules of 7 to 23 atoms in batches of 32."""
    rng = np.random.default_rng(0)
    counts = rng.integers(7, 24, 1000)
    cells = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), -1).reshape(-1, 3)
    cells = cells[np.argsort(np.linalg.norm(cells, axis=1), kind="stable")]
    places = np.concatenate([cells[:count] for count in counts])
    np.savez(
        folder / "molecules.npz",
        offsets=np.concatenate([[0], counts.cumsum()]),
        pos=1.3 * places + rng.normal(0, 0.1, places.shape),
        z=rng.choice([1, 6, 7, 8, 16], len(places)),
        dipole_gfn2_au=rng.normal(size=(len(counts), 3)),
    )
    source = f"data.source.path={folder / 'molecules.npz'}"
    return prepared_setting("geometry/qm7", [source], folder)


def prepared_setting(preset: str, overrides: list[str], folder: Path) -> Setting:
    """A preset's data, model and optimizer."""
    task = GeometryTask(resolve_preset(preset, [*overrides, *PLAIN]), folder)
    return Setting(task, task.split(task.load()), folder)


# -- measuring -------------------------------------------------------------------------------------

LOOPS: dict[str, Callable[[Setting], tuple[Weights, list[float]]]] = {
    "ours": graphwright,
    "hand_written": hand_written,
    "lightning_pyg": lightning_pyg,
}


def cases(setting: Setting, suffix: str, options: argparse.Namespace) -> list[Case]:
    """Both comparisons on one data set."""
    times: dict[str, list[float]] = {name: [] for name in LOOPS}
    weights: dict[str, Weights] = {}
    for _ in range(options.repeats):
        for name, loop in LOOPS.items():
            weights[name], ends = loop(setting)
            times[name] += np.diff(ends).tolist()
    seconds = {name: statistics.median(values) for name, values in times.items()}
    steps = len(setting.loader("train"))
    found = []
    for peer in ("hand_written", "lightning_pyg"):
        equal, how = compare(weights["ours"], weights[peer])
        note = f"{steps} steps an epoch; final weights {how}"
        ours, theirs = seconds["ours"], seconds[peer]
        found.append(Case(f"epoch/{peer}{suffix}", "s", ours, theirs, equal, note=note))
    return found


def compare(ours: Weights, peer: Weights) -> tuple[bool, str]:
    """Whether the final weights are the same, and how closely."""
    if all(torch.equal(ours[name], peer[name]) for name in ours):
        return True, "bit-equal"
    gap = max(float((ours[name] - peer[name]).abs().max()) for name in ours)
    close = all(torch.allclose(ours[name], peer[name], rtol=1e-3, atol=1e-4) for name in ours)
    return close, f"{'allclose' if close else 'different'}, largest difference {gap:.1e}"


def main() -> None:
    """Run all cases."""
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        settle_waiting(cpu_pressure())  # counts only before torch is loaded: start anew
        os.execv(sys.executable, [sys.executable, *sys.argv])
    options = arguments(__doc__, repeats=8)
    set_allocator("keep")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        found = cases(scans(Path(name)), "", options)
        found += cases(molecules(Path(name)), "/molecules", options)
    report("loop", found, options)


if __name__ == "__main__":
    main()
