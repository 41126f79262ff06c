"""Training FR-NAS: ours against the same predictor built from PyG's layers and its DataLoader.

400 architectures of NAS-Bench-201 (CIFAR-10 validation accuracy at 200 epochs), batches of 16, 300
epochs, Adam, cosine, loss 0.2 MSE + 0.8 relation of both encoders: the preset nasbench201_fr_nas in
both. The peer is two stacks of three GINConv with batch normalisation, and a plain loop that does
nothing but train: no records, no checkpoints. Both train in this process and take turns; a figure
is the median. The quality, Kendall's tau on 5,000 other architectures, is the mean over the seeds.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, global_mean_pool

from _harness import Case, report
from graphwright.data.packed import PackedGraphs
from graphwright.tasks.nas.data_config import SplitConfig, TinySource
from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.recipes import make_preset
from graphwright.tasks.nas.task import NasTask
from graphwright.training.allocator import set_allocator
from graphwright.training.fit import fit_in_memory
from graphwright.training.task import TaskData

TABLE = Path(__file__).resolve().parents[2] / "shared/data/nas/nasbench201.csv.gz"
TEST = 5000


class PeerEncoder(nn.Module):
    """Three GINConv, each with batch normalisation; mean; 32 -> 16 -> 1."""

    def __init__(self, operations: int, dim: int = 32, head: int = 16) -> None:
        super().__init__()
        widths = [operations, dim, dim, dim]
        self.convs = nn.ModuleList(
            GINConv(nn.Sequential(nn.Linear(i, o), nn.ReLU(), nn.Linear(o, o)))
            for i, o in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim) for _ in self.convs)
        self.head = nn.Sequential(nn.Linear(dim, head), nn.ReLU(), nn.Linear(head, 1))

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions `[B]` and embeddings `[B, dim]`."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(conv(x, edge_index))
        pooled = global_mean_pool(x, batch)
        return self.head(pooled)[:, 0], pooled


class Peer(nn.Module):
    """One encoder along the edges, one against them."""

    def __init__(self, operations: int) -> None:
        super().__init__()
        self.along, self.against = PeerEncoder(operations), PeerEncoder(operations)

    def forward(self, data: Data) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions, and both embeddings."""
        first, forward = self.along(data.x, data.edge_index, data.batch)
        second, reverse = self.against(data.x, data.edge_index.flip(0), data.batch)
        return (first + second) / 2, forward, reverse


def peer_fit(task: NasTask, graphs: list[Data], operations: int, seed: int) -> Peer:
    """The plain loop that anyone would write."""
    torch.manual_seed(seed)
    settings, model = task.config.training, Peer(operations)
    config, weight = settings.optimizer, task.config.loss.relation
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.lr, betas=config.betas, weight_decay=config.weight_decay
    )
    loader = DataLoader(graphs, batch_size=task.config.loading.batch_size, shuffle=True)
    steps = settings.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for _ in range(settings.epochs):
        for data in loader:
            predicted, forward, reverse = model(data)
            gap = torch.cdist(forward, forward) - torch.cdist(reverse, reverse)
            error = (predicted - data.y).square().mean()
            loss = (1 - weight) * error + weight * gap.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def peer_graphs(source: PackedGraphs, operations: int) -> list[Data]:
    """One object an architecture, as PyG's data sets hold them."""
    codes, found = torch.eye(operations), []
    for row in range(len(source)):
        graph = source.graph(row)
        x, y = codes[graph.nodes["op"].long()], graph.graphs["target"][0, :1]
        found.append(Data(x=x, edge_index=graph.edge_index, y=y))
    return found


def make_task(options: Any, folder: str) -> tuple[NasTask, str]:
    """The preset on the table, or on embedded cells where there is no table."""
    config = replace(make_preset("nasbench201_fr_nas"), seed=0)
    data = replace(config.data, split=SplitConfig(train=400, val=0, test=TEST))
    if options.table.is_file():
        where, source = options.table.name, replace(data.source, path=str(options.table))
    else:
        where, source = "embedded cells: the table is not there", TinySource()
        data = replace(data, split=SplitConfig(train=400, val=0, test=1000))
    training = replace(config.training, epochs=options.epochs)
    config = replace(config, data=replace(data, source=source), training=training)
    return NasTask(config, Path(folder)), where


@torch.inference_mode()
def ours_tau(task: NasTask, model: nn.Module, data: TaskData) -> float:
    """On the test split."""
    test = data.sources["test"]
    values = model(test.batch(np.arange(len(test)))).values_MBT[:, :, 0].mean(0)
    return _tau(values, test)


@torch.inference_mode()
def peer_tau(model: Peer, graphs: list[Data], test: Any) -> float:
    """The same for the peer."""
    loader = DataLoader(graphs, batch_size=1024)
    return _tau(torch.cat([model(data)[0] for data in loader]), test)


def _tau(values: Tensor, test: Any) -> float:
    known = test.batch(np.arange(len(test))).graphs
    valid = known["valid"][:, 0] > 0
    return kendall_tau(values[valid].numpy(), known["target"][valid, 0].numpy())


def run(options: Any, folder: str) -> list[Case]:
    """One training of each a seed, one after the other."""
    task, where = make_task(options, folder)
    data = task.split(task.load())
    source, operations = data.sources["train"], len(data.state["vocabulary"])
    train = peer_graphs(source.graphs, operations)
    test = peer_graphs(data.sources["test"].graphs, operations)
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    taus: dict[str, list[float]] = {"ours": [], "peer": []}
    for seed in range(options.repeats):
        start = time.perf_counter()
        torch.manual_seed(seed)
        model = fit_in_memory(task, task.build_model(data.state), source, seed=seed)
        middle = time.perf_counter()
        peer = peer_fit(task, train, operations, seed)
        times["ours"].append(middle - start)
        times["peer"].append(time.perf_counter() - middle)
        taus["ours"].append(ours_tau(task, model, data))
        taus["peer"].append(peer_tau(peer, test, data.sources["test"]))
        print(f"seed {seed}: {times['ours'][-1]:.2f} s, {times['peer'][-1]:.2f} s", flush=True)
    return _cases(times, taus, f"{options.epochs} epochs, {where}", len(train))


def _cases(
    times: dict[str, list[float]], taus: dict[str, list[float]], note: str, count: int
) -> list[Case]:
    ours, peer = (statistics.mean(taus[name]) for name in ("ours", "peer"))
    equal = abs(ours - peer) <= 0.02
    seconds = [statistics.median(times[name]) for name in ("ours", "peer")]
    return [
        Case(f"fr_nas/train_{count}", "s", *seconds, equal, note=note),
        Case("fr_nas/kendall_tau", "", ours, peer, equal, larger_is_better=True),
    ]


def main() -> None:
    """Train, compare, report."""
    set_allocator("keep")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="seeds")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--table", type=Path, default=TABLE)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        report("nas_train", run(options, folder), options)


if __name__ == "__main__":
    main()
