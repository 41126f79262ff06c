"""Simulated searches on NAS-Bench-201: our default against random, evolution and FR-NAS guidance.

150 architectures are trained in all, whoever chooses them: the same 30 first ones for the guided
searches, then six rounds of 20. Regularised evolution (population 50, sample 10) chooses one at a
time. Each seed of each strategy is kept in --folder and never simulated again.

The regret is the best CIFAR-10 test accuracy in the table (94.3733) minus that of the architecture
that the search chose by its validation accuracy.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from _harness import Case
from graphwright.runs.files import write_json_atomic
from graphwright.tasks.nas.search.config import PoolConfig, SearchConfig, TableTrainer
from graphwright.tasks.nas.search.lookup import Lookup
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.run import open_problem
from graphwright.tasks.nas.search.simulate import Trace, simulate, strategy_config, summarise

TABLE = Path(__file__).resolve().parents[2] / "shared/data/nas/nasbench201.csv.gz"
OURS = "dag_ensemble"
PEERS = ("random", "regularised_evolution", "fr_nas")


def main() -> None:
    """Run what is missing, then report."""
    options = _arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in (*PEERS, OURS) if name in options.strategies.split(",")]
    jobs = [(name, seed, options) for seed in range(options.seeds) for name in names]
    with ProcessPoolExecutor(options.processes) as processes:
        for name, seed, seconds in processes.map(_one, jobs):
            if seconds:
                print(f"{name} seed {seed}: {seconds:.1f} s", flush=True)
    _report(names, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--strategies", default=",".join((*PEERS, OURS)))
    parser.add_argument("--folder", type=Path, default=Path("benchmark_nas_search"))
    return parser.parse_args()


def _config(table: Path) -> SearchConfig:
    trainer = TableTrainer(
        path=str(table),
        metric="cifar10_val200",
        test_metric="cifar10_test200",
        arch=("arch_str",),
    )
    return SearchConfig(trainer=trainer, pool=PoolConfig(kind="table", space="nasbench201"))


@cache
def _problem(table: Path) -> tuple[PoolSource, Lookup]:
    source, lookup = open_problem(_config(table), Path())
    assert lookup is not None
    return source, lookup


def _one(job: tuple[str, int, argparse.Namespace]) -> tuple[str, int, float]:
    """Simulate a seed if nobody has; returns the seconds that it took."""
    name, seed, options = job
    path = _path(options.folder, name, seed)
    if path.exists():
        return name, seed, 0.0
    import torch

    torch.set_num_threads(1)
    source, lookup = _problem(options.table)
    began = time.process_time()  # other seeds run beside this one
    config = strategy_config(dataclasses.replace(_config(options.table), seed=seed), name)
    trace = simulate(config, source, lookup)
    seconds = time.process_time() - began
    write_json_atomic(path, {**trace.to_json(), "seconds": seconds})
    return name, seed, seconds


def _path(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name}_{seed:03d}.json"


def _report(names: list[str], options: argparse.Namespace) -> None:
    found = {}
    for name in names:
        data = [
            json.loads(_path(options.folder, name, seed).read_text())
            for seed in range(options.seeds)
        ]
        summary = summarise(name, [Trace.from_json(one) for one in data])
        summary["seconds"] = statistics.median(one["seconds"] for one in data)
        found[name] = summary
    print(f"{'strategy':<24} {'median':>8} {'lower':>8} {'upper':>8} {'mean':>8}  val regret  s")
    for name, summary in found.items():
        val, test = summary["regret"]
        ends = [test[part][-1] for part in ("median", "low", "high")]
        ends.append(statistics.fmean(test["final"]))
        words = " ".join(f"{end:8.4f}" for end in ends)
        print(f"{name:<24} {words}  {val['median'][-1]:10.4f}  {summary['seconds']:.1f}")
    if OURS in found:
        _compare(found, options)


def _compare(found: dict[str, dict[str, Any]], options: argparse.Namespace) -> None:
    cases = []
    for which, metric in ((1, "test"), (0, "val")):
        ours = found[OURS]["regret"][which]
        cases += [
            Case(
                f"{metric}_regret/{name}",
                "%",
                ours["median"][-1],
                summary["regret"][which]["median"][-1],
                note=f"{options.seeds} seeds, 150 trained; medians",
            )
            for name, summary in found.items()
            if name != OURS
        ]
    for case in cases:
        print(f"{case.case:<36} ours {case.ours:.4f}  peer {case.peer:.4f}")
    if options.json:
        rows = [case.row() for case in cases]
        finals = {name: one["regret"][1]["final"] for name, one in found.items()}
        print(json.dumps({"name": "nas_search", "rows": rows, "final_test_regret": finals}))


if __name__ == "__main__":
    main()
