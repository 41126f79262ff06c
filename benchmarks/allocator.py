"""What the process settings of a training cost: memory allocator and waiting threads on a CPU.

Each setting has a process of its own, which holds a model of the geometry task and generated scans;
the processes take turns and do a few training steps each. `step` is the median time of one
optimizer step, `rss` the resident memory after all steps. Models: painn, the default, whose
operator works in small blocks, and egnn, which makes large tensors at every step; in batches of 16
structures (the preset) or 64. Ways to wait are measured with painn_16 only.

    keep         freed memory stays in the process (training.allocator=keep)
    huge_pages   the kernel is asked for huge pages
    system       glibc's own way
    sleeping     keep, and threads that wait for work sleep at once
    brief        keep, and they spin briefly before they sleep
    spinning     keep, and they spin as long as GNU OpenMP has it
    default      system and spinning: what a process does that sets nothing

In the first three, threads wait as a training would choose it now: sleeping where cores are scarce,
else brief. The peer is `system` for them and `default` for the others. What is best depends on what
else runs; the notes have the share of the cores that others had.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import cast

import psutil

from _harness import Case, arguments, report, rss_mb
from graphwright.training.allocator import Policy, set_allocator
from graphwright.training.threads import cpu_pressure, settle_waiting

HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}  # the harness imports torch, which reads it then
# setting: (training.allocator, changes of the environment; None: threads wait as chosen here)
SETTINGS: dict[str, tuple[Policy, dict[str, str] | None]] = {
    "keep": ("keep", None),
    "huge_pages": ("huge_pages", None),
    "system": ("system", None),
    "sleeping": ("keep", {"OMP_WAIT_POLICY": "passive"}),
    "brief": ("keep", {"GOMP_SPINCOUNT": "3000"}),
    "spinning": ("keep", {}),
    "default": ("system", {}),
}
PEERS = {"keep": "system", "huge_pages": "system"}
PEERS |= {"sleeping": "default", "brief": "default", "spinning": "default"}
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
ALLOCATORS = ("keep", "huge_pages", "system")
STEPS, COUNT = 2, 400


class Worker:
    """A process that trains when it is told to."""

    def __init__(self, setting: str, training: str, folder: Path, threads: int) -> None:
        policy, waiting = SETTINGS[setting]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        if waiting is not None:
            environment = {k: v for k, v in environment.items() if k not in WAITING} | waiting
        if policy == "huge_pages":
            environment |= HUGE_PAGES
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", policy, training, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def steps(self, count: int) -> dict[str, float]:
        """Do some steps: {"seconds" of one, "rss" in MB, "loss"}."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def work(policy: Policy, training: str, folder: Path) -> None:
    """The worker's process: one line with a number of steps in, one line of JSON out."""
    set_allocator(policy)
    step = training_step(training, folder)
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        losses = [step() for _ in range(count)]
        seconds = (time.perf_counter() - start) / count
        answer = {"seconds": seconds, "rss": rss_mb(), "loss": losses[-1]}
        print(json.dumps(answer), flush=True)


def training_step(training: str, folder: Path) -> Callable[[], float]:
    """A function that trains on the next batch ("painn_16": model and size), giving its loss."""
    import torch

    from graphwright.config.presets import resolve_preset
    from graphwright.data.loader import Loader
    from graphwright.tasks.geometry.task import GeometryTask
    from graphwright.training.optim import build_optimizer, gradient_norm

    model_name, size = training.split("_")
    changes = [f"data.source.count={COUNT}", f"model={model_name}"]
    config = resolve_preset("geometry/scans", changes)
    task = GeometryTask(config, folder)
    data = task.split(task.load())
    torch.manual_seed(0)
    model = task.build_model(data.state)
    optimizer = build_optimizer(model.parameters(), config.training.optimizer)
    loader = Loader(data.sources["train"], batch_size=int(size), seed=0, shuffle=True)
    batches = cycle(loader.plan(0))

    def step() -> float:
        batch = loader.source.batch(next(batches)).to("cpu", dtype=torch.float32)
        optimizer.zero_grad()
        loss = task.step(model, batch, "train").loss
        loss.backward()
        gradient_norm(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def cases(
    training: str, settings: Sequence[str], folder: Path, options: argparse.Namespace
) -> list[Case]:
    """Time and memory of some settings with one model and batch size."""
    start, others = time.perf_counter(), busy_of_others_s()
    workers = {}
    for name in settings:
        workers[name] = Worker(name, training, folder, options.threads)
        workers[name].steps(STEPS)  # not timed
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(options.repeats):
        for name, worker in workers.items():
            answers[name].append(worker.steps(STEPS))
    for worker in workers.values():
        worker.close()
    others = (busy_of_others_s() - others) / (time.perf_counter() - start) / (os.cpu_count() or 1)
    crowd = f"others had {max(0.0, others):.0%} of the cores"  # both clocks tick: near 0 is 0
    seconds = {n: statistics.median(a["seconds"] for a in answers[n]) for n in workers}
    memory = {n: answers[n][-1]["rss"] for n in workers}
    equal = {n: answers[n][-1]["loss"] == answers["keep"][-1]["loss"] for n in workers}
    found = []
    for name in settings:
        peer, case = PEERS.get(name), f"{training}/{name}"
        times = (seconds[name], seconds[peer] if peer else None)
        sizes = (memory[name], memory[peer] if peer else None)
        note = f"peer: {peer}; {crowd}" if peer else crowd
        found.append(Case(f"{case}/step", "s", *times, equal[name], note=note))
        found.append(Case(f"{case}/rss", "MB", *sizes, note=note))
    return found


def busy_of_others_s() -> float:
    """CPU seconds of all processes but this one and its children that have ended."""
    total = psutil.cpu_times()
    return float(sum(total) - total.idle - total.iowait - sum(os.times()[:4]))


def main() -> None:
    """Run all cases."""
    options = arguments(__doc__, repeats=9)
    settle_waiting(cpu_pressure())  # too late for this process, in time for the workers
    with tempfile.TemporaryDirectory() as name:
        training_step("painn_16", Path(name))  # makes the data, which is no worker's business
        found = cases("painn_16", list(SETTINGS), Path(name), options)
        for training in ("painn_64", "egnn_16", "egnn_64"):
            found += cases(training, ALLOCATORS, Path(name), options)
    report("allocator", found, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(cast(Policy, sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
