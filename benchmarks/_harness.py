"""What every benchmark shares: equality first, then interleaved repeats, then one table.

Ours and the peer run in one process on the same inputs; repeats alternate between them, so that a
change of the machine's speed meets both. Reported are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import psutil
import torch

__all__ = [
    "Case",
    "arguments",
    "child_rss_mb",
    "header",
    "interleaved",
    "kept_mb",
    "report",
    "rss_mb",
]


@dataclass(frozen=True)
class Case:
    """One line of a benchmark.

    Attributes:
        case: name, for example "100_nodes/dataloader".
        unit: unit of `ours` and `peer`: "s", "MB", "1/s"…
        ours: our figure.
        peer: the peer's figure; None where there is none.
        equal: whether both gave the same result; None where nothing was compared.
        note: anything a reader needs beside the figures.
        larger_is_better: whether the figure is a speed or a score and not a time or a size.
    """

    case: str
    unit: str
    ours: float
    peer: float | None = None
    equal: bool | None = None
    note: str = field(default="", kw_only=True)
    larger_is_better: bool = field(default=False, kw_only=True)

    @property
    def ratio(self) -> float | None:
        """How much better ours is (above 1: better): peer / ours, or ours / peer for scores."""
        if self.peer is None or not self.ours or not self.peer:
            return None
        return self.ours / self.peer if self.larger_is_better else self.peer / self.ours

    def row(self) -> dict[str, object]:
        """As an object of the JSON report."""
        row: dict[str, object] = {
            "case": self.case,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer,
            "ratio": self.ratio,
            "equal": self.equal,
        }
        return {**row, "note": self.note} if self.note else row


def arguments(
    description: str | None, *, repeats: int = 30, threads: int | None = None
) -> argparse.Namespace:
    """`--json`, `--threads`, `--repeats`; sets the threads of torch."""
    parser = argparse.ArgumentParser(description=(description or "").strip().split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=threads or os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=repeats)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def interleaved(
    runs: Sequence[Callable[[], object]], *, repeats: int, inner: int = 1, warmup: int = 3
) -> list[float]:
    """Median seconds of one call of each, over `repeats` rounds in which all take turns.

    Args:
        runs: what is measured.
        repeats: rounds.
        inner: calls timed together in one round (for calls of microseconds).
        warmup: untimed rounds before.
    """
    times: list[list[float]] = [[] for _ in runs]
    for number in range(warmup + repeats):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            for _ in range(inner):
                run()
            if number >= warmup:
                own.append((time.perf_counter() - start) / inner)
    return [statistics.median(own) for own in times]


def rss_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    return float(psutil.Process().memory_info().rss) / 1e6


def child_rss_mb(work: Callable[[], object]) -> float:
    """How much resident memory a fresh child gains by `work`, in MB."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = rss_mb()
            kept = work()
            os.write(writer, f"{rss_mb() - before}".encode())
            del kept
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return float(text)


def header(options: argparse.Namespace) -> str:
    """The machine and the versions, for the first line of a report."""
    return (
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{options.threads} threads, medians of {options.repeats} interleaved repeats"
    )


def report(name: str, cases: Sequence[Case], options: argparse.Namespace) -> None:
    """Print the table and, with `--json`, one object as the last line."""
    print(f"{name}: {header(options)}")
    width = max((len(case.case) for case in cases), default=4)
    print(f"{'case':<{width}}  {'ours':>11}  {'peer':>11}  {'unit':<4}  {'ratio':>7}  equal  note")
    for case in cases:
        peer = "-" if case.peer is None else f"{case.peer:.4g}"
        ratio = "-" if case.ratio is None else f"{case.ratio:.2f}"
        equal = "-" if case.equal is None else str(case.equal).lower()
        line = f"{case.case:<{width}}  {case.ours:>11.4g}  {peer:>11}  {case.unit:<4}  {ratio:>7}"
        print(f"{line}  {equal:<5}  {case.note}".rstrip())
    if options.json:
        rows = [case.row() for case in cases]
        print(json.dumps({"name": name, "threads": options.threads, "rows": rows}))


def kept_mb(forward: Callable[[], torch.Tensor], given: Iterable[torch.Tensor]) -> float:
    """MB that autograd keeps of a forward pass for the backward pass, each storage once.

    Args:
        forward: the pass.
        given: tensors that are there anyway: parameters, inputs.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = forward()
    del out
    return sum(sizes.values()) / 1e6
