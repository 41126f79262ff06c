"""Perturbed gene networks: the shared graph against a batch that repeats it for every gene set.

The encoder of the genes task: three layers of nine GINs (64 features), the mean over the networks,
forward and backward, on nine of the twelve real networks on the 6,400 STRING genes and pairs of
deletions of the digenic table. The peer is the form that PyG users write: the edges of a network
cloned for each gene set with offsets, a mask of kept edges for each, messages gathered and summed
by `index_add`, torch's own layers. Both encode the wild type beside the B cells.

    same         both in this process, allocator `keep`, taking turns; results compared first
    default      the peer in a process that sets nothing (system allocator, threads that spin)
    peak         resident memory that the batch and two steps add, each in a process of its own with
                 the system allocator
    pipeline     one gene set from the table to the batch

Where the peer would need more than 11 GB (B = 32), both are measured at the largest batch that
stays below, and the note says which; a further line has our time at the size itself.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from _harness import Case, arguments, interleaved, report
from graphwright.nn.shared_cells import PerturbedCells
from graphwright.nn.shared_gin import SharedGINs
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.gene_source import GeneSets
from graphwright.training.allocator import set_allocator

ROOT = Path(__file__).resolve().parents[2] / "shared/data/genes"
# the other three are string9.1_fusion, string9.1_cooccurence and bionic_Hu-2007, with 2,722, 5,328
# and 29,652 of the 835,594 edges of the twelve
NINE = (
    "bionic_Costanzo-2016",
    "bionic_Krogan-2006",
    "kisr_biogrid_physical",
    "string11act_activation",
    "string11act_binding",
    "string11act_catalysis",
    "string11act_reaction",
    "string9.1_database",
    "string9.1_neighborhood",
)
DIM, LAYERS = 64, 3
SIZES = (8, 32)
MOST_MB = 11_000.0
Batch = tuple[Tensor, Tensor]


class Peer(nn.Module):
    """The replicated form with the weights of ours."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers

    def forward(
        self, x_ND: Tensor, copies: int, networks: Sequence[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """`[(B + 1) N, D]` from the replicated edges and masks of each network."""
        x = x_ND.repeat(copies, 1)
        for layer in self.layers:
            outs = [self._gin(layer, g, x, *pair) for g, pair in enumerate(networks)]
            x = torch.stack(outs).mean(0)
        return x

    def _gin(self, layer: SharedGINs, g: int, x: Tensor, edges: Tensor, kept: Tensor) -> Tensor:
        source, target = edges[:, kept]
        total = torch.zeros_like(x).index_add(0, target, x.index_select(0, source))
        hidden = ((1 + layer.eps[g]) * x + total) @ layer.first_weight[g] + layer.first_bias[g]
        norm = layer.norm_weight[g], layer.norm_bias[g]
        hidden = nn.functional.layer_norm(hidden, hidden.shape[-1:], *norm).relu()
        return hidden @ layer.second_weight[g] + layer.second_bias[g]


class Setting:
    """Networks, gene sets, weights and inputs."""

    def __init__(self) -> None:
        with np.load(ROOT / "networks/graphs_on_string_genes.npz", allow_pickle=False) as arrays:
            pairs = [[arrays[f"{n}__{part}"] for part in ("indptr", "indices")] for n in NINE]
        self.graphs = [SharedGraph.from_csr(*map(torch.from_numpy, pair)) for pair in pairs]
        self.num_genes = self.graphs[0].num_nodes
        node = torch.arange(self.num_genes)
        targets = [torch.repeat_interleave(node, g.indptr.diff()) for g in self.graphs]
        sources = [g.indices.long() for g in self.graphs]
        self.edges = [torch.stack(pair) for pair in zip(sources, targets, strict=True)]
        self.sets = _gene_sets()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(SharedGINs(len(NINE), DIM, DIM) for _ in range(LAYERS))
        self.peer = Peer(self.layers)
        self.x_ND = nn.Parameter(torch.randn(self.num_genes, DIM))
        self.factor_ND = torch.randn(self.num_genes, DIM)

    def batch(self, size: int) -> Batch:
        """Our batch: a few integers."""
        rows = np.random.default_rng(size).choice(len(self.sets), size, replace=False)
        batch = self.sets.batch(np.sort(rows))
        return batch.gene_index, batch.gene_ptr

    def replicate(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """The peer's batch: edges `[2, (B + 1) E]` and masks of each network; wild type first."""
        sets = [batch[0][:0], *batch[0].split(batch[1].diff().tolist())]
        found = []
        for edges in self.edges:
            clones, masks = [], []
            for number, deleted in enumerate(sets):
                keep = torch.ones(self.num_genes, dtype=torch.bool)
                keep[deleted] = False
                masks.append(keep[edges[0]] & keep[edges[1]])
                clones.append(edges + number * self.num_genes)
            found.append((torch.cat(clones, 1), torch.cat(masks)))
        return found

    def ours_step(self, batch: Batch) -> Tensor:
        """Forward and backward; wild type and cells `[B + 1, N, D]`."""
        cells = PerturbedCells.start(self.x_ND, *batch)
        for layer in self.layers:
            cells = layer.aggregate(self.graphs, cells, "mean")
        self._backward(cells.wild_ND, cells.x_BND)
        return torch.cat([cells.wild_ND.detach()[None], cells.x_BND.detach()])

    def peer_step(self, size: int, networks: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The same."""
        out = self.peer(self.x_ND, size + 1, networks)
        out_BND = out.view(size + 1, self.num_genes, DIM)
        self._backward(out_BND[0], out_BND[1:])
        return out_BND.detach()

    def _backward(self, wild_ND: Tensor, cells_BND: Tensor) -> None:
        for parameter in (self.x_ND, *self.layers.parameters()):
            parameter.grad = None
        factor = self.factor_ND
        ((cells_BND * factor).mean() + (wild_ND * factor).square().mean()).backward()

    def gradients(self) -> list[Tensor]:
        """Of the embeddings and of all weights, after a step."""
        parameters = (self.x_ND, *self.layers.parameters())
        return [p.grad for p in parameters if p.grad is not None]


def _gene_sets() -> GeneSets:
    """The pairs of the digenic table whose genes are in the networks."""
    names = (ROOT / "networks/yeast_string_genes.txt").read_text().split("\n")
    place = {line.split()[0]: number for number, line in enumerate(names) if line.strip()}
    with (ROOT / "digenic_kuzmin2018_kgbox.tsv").open(newline="") as file:
        pairs = [(row["q"], row["a"]) for row in csv.DictReader(file, delimiter="\t")]
    known = [(place[q], place[a]) for q, a in pairs if q in place and a in place]
    genes, labels = np.array(known, dtype=np.int32).ravel(), np.zeros(len(known))
    return GeneSets(genes, np.arange(0, len(genes) + 1, 2), {"label": labels})


def equal(setting: Setting, size: int) -> bool:
    """Values and all gradients to float32's accuracy, relative to the largest of each tensor."""
    batch = setting.batch(size)
    found = []
    for step in (
        lambda: setting.ours_step(batch),
        lambda: setting.peer_step(size, setting.replicate(batch)),
    ):
        out = step()
        found.append([out, *(gradient.clone() for gradient in setting.gradients())])
    gaps = ((a - b).abs().max() / b.abs().max() for a, b in zip(*found, strict=True))
    return max(float(gap) for gap in gaps) < 1e-4


def same_process(setting: Setting, size: int, repeats: int) -> tuple[float, float]:
    """Median seconds of a step of ours and of the peer, whose batch is ready.

    They take turns in blocks of three, and the first of a block does not count: it works in memory
    that the other form left cold, which no step of a training does.
    """
    batch = setting.batch(size)
    networks = setting.replicate(batch)
    runs = (lambda: setting.ours_step(batch), lambda: setting.peer_step(size, networks))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, found in zip(runs, times, strict=True):
            found.extend(_seconds(run) for _ in range(3))
    ours, peer = (statistics.median(_without_first(found)) for found in times)
    return ours, peer


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _without_first(times: Sequence[float]) -> list[float]:
    return [seconds for number, seconds in enumerate(times) if number % 3]


def pipeline(setting: Setting, size: int, repeats: int) -> tuple[float, float]:
    """Median seconds of a gene set from the table to the batch."""
    batch = setting.batch(size)
    rows = np.arange(size)
    (ours,) = interleaved([lambda: setting.sets.batch(rows)], repeats=repeats, inner=100)
    (peer,) = interleaved([lambda: setting.replicate(batch)], repeats=repeats, warmup=1)
    return ours / size, peer / size


def child(form: str, size: int, steps: int, policy: str, threads: int) -> dict[str, float]:
    """Seconds of a step and the memory that steps add, in a process of its own."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        environment.pop(name, None) if policy == "system" else None
    command = [sys.executable, __file__, "--work", form, str(size), str(steps), policy]
    done = subprocess.run(
        [*command, str(threads)], env=environment, capture_output=True, text=True, check=True
    )
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def work(form: str, size: int, steps: int, policy: str, threads: int) -> None:
    """The child's process. The peer's batch counts: it is what its form needs."""
    set_allocator("keep" if policy == "keep" else "system")
    if policy == "keep":  # a process that sets nothing has torch's own number of threads
        torch.set_num_threads(threads)
    setting = Setting()
    batch, before, times = setting.batch(size), _peak_mb(), []
    networks = setting.replicate(batch) if form == "peer" else []
    for _ in range(steps):
        start = time.perf_counter()
        setting.peer_step(size, networks) if form == "peer" else setting.ours_step(batch)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times[1:] or times)
    print(json.dumps({"seconds": seconds, "peak": _peak_mb() - before}))


def _peak_mb() -> float:
    # not getrusage's ru_maxrss: a child inherits that of the process that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1e3


def cases_of(
    setting: Setting, size: int, fits: int, apart: Sequence[dict[str, float]], options: Namespace
) -> list[Case]:
    """All lines of one batch size; the peer has batches of `fits` where `size` is too large."""
    used, count = min(size, fits), options.repeats
    note = "" if used == size else f"the peer needs too much memory at {size}: both at {used}"
    name, same = f"batch_{size}", equal(setting, min(used, 8))
    ours, peer = same_process(setting, used, count)
    alone, default = apart
    found = [
        Case(f"{name}/same", "s", ours, peer, same, note=note),
        Case(f"{name}/default", "s", ours, default["seconds"], same, note=note),
        Case(f"{name}/peak", "MB", alone["peak"], default["peak"], note=note),
    ]
    if used != size:
        (full,) = interleaved([lambda: setting.ours_step(setting.batch(size))], repeats=count)
        found.append(Case(f"{name}/ours", "s", full, note=f"ours at {size}"))
    return found


def main() -> None:
    """Run all cases."""
    set_allocator("keep")
    options = arguments(__doc__, repeats=5)
    if not ROOT.is_dir():
        sys.exit(f"no {ROOT}: this benchmark is on real networks")
    setting = Setting()
    needed = child("peer", SIZES[0], 1, "system", options.threads)["peak"]
    fits = int(MOST_MB / needed * (SIZES[0] + 1)) - 1
    # first, while this process is small: the peer's two forms together would not fit
    apart = {
        size: [
            child(form, min(size, fits), 2, "system", options.threads) for form in ("ours", "peer")
        ]
        for size in SIZES
    }
    found = [case for size in SIZES for case in cases_of(setting, size, fits, apart[size], options)]
    times = pipeline(setting, SIZES[0], options.repeats)
    found.append(Case("pipeline/a_gene_set", "s", *times, note=f"in batches of {SIZES[0]}"))
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"{load}; the peer fits up to B = {fits} in {MOST_MB:g} MB")
    report("genes_step", found, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6]))
    else:
        main()
