"""Stores of architectures: bytes of a cell, rows a second, and the memory that building takes.

The table is generated: NAS-Bench-201 cells as their own texts, one metric (13 % of its values are
sentinels), two features and a canonical id. Peer for the bytes: one `torch_geometric.data.Data`
object a cell, with one-hot operations, edges and label, as data sets of architectures usually are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _harness import Case, arguments, child_rss_mb, report
from graphwright.data.convert import pyg_data
from graphwright.tasks.nas.loaded import Loaded
from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.store import open_store

ROWS, OBJECTS = 300_000, 15_625

_CHILD = """
import json, logging, sys, time
from pathlib import Path
from graphwright.tasks.nas.data_config import NasData, TableSource
from graphwright.tasks.nas.store import open_or_build
import graphwright.tasks.nas.spaces.nasbench201

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key))

source = TableSource(path=sys.argv[1], metrics=("acc",), features=("params", "flops"), group="twin")
imported = status("VmRSS")
start = time.perf_counter()
loaded = open_or_build(NasData(source=source), Path(sys.argv[2]))
seconds = time.perf_counter() - start
print(json.dumps([seconds, status("VmHWM") - imported, str(loaded.folder), len(loaded)]))
"""


def write_table(path: Path, rows: int) -> None:
    """A table of random cells."""
    rng = np.random.default_rng(0)
    space = get_space("nasbench201")
    with path.open("w") as file:
        file.write("index,arch,acc,params,flops,twin\n")
        for start in range(0, rows, 10_000):
            digits = rng.integers(0, 5, (min(10_000, rows - start), 6))
            texts = space.decode(space.encode(["".join(map(str, row)) for row in digits])[0])
            acc = rng.normal(85, 5, len(texts))
            acc[rng.random(len(texts)) < 0.13] = 1e6
            whole = zip(
                texts, acc.tolist(), rng.integers(70_000, 1_500_000, len(texts)), strict=True
            )
            for row, (text, label, size) in enumerate(whole, start):
                file.write(f"{row},{text},{label:.6g},{size},{size / 7e3:.6g},{row // 2}\n")


def as_objects(loaded: Loaded, count: int) -> list[Any]:
    """Cells as one Python object each."""
    make, eye = pyg_data().Data, torch.eye(len(loaded.ops))
    found = []
    for number in range(count):
        graph = loaded.store.graph(number)
        label = graph.graphs["target"][0].clone()
        ops = eye[graph.nodes["op"].long()]
        found.append(make(x=ops, edge_index=graph.edge_index.clone(), y=label))
    return found


def equal(loaded: Loaded, objects: list[Any]) -> bool:
    """Whether the store and the objects hold the same."""
    return all(
        torch.equal(loaded.store.graph(number).nodes["op"].long(), found.x.argmax(1))
        and torch.equal(loaded.store.graph(number).edge_index, found.edge_index)
        for number, found in enumerate(objects)
    )


def main() -> None:
    """Run and print."""
    options = arguments(__doc__, repeats=1, threads=1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_table(folder / "table.csv", ROWS)
        command = [sys.executable, "-c", _CHILD, str(folder / "table.csv"), str(folder / "root")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, peak_mb, store, rows = json.loads(done.stdout.splitlines()[-1])
        loaded = open_store(Path(store))
        size = sum(file.stat().st_size for file in (Path(store) / "store").iterdir())
        pyg_data()  # its import is not counted
        as_objects(loaded, 100)
        memory = child_rss_mb(lambda: as_objects(loaded, OBJECTS)) * 1e6 / OBJECTS
        same = equal(loaded, as_objects(loaded, 500)) and rows == ROWS
        loaded.store.verify()
        cases = [
            Case("bytes_per_architecture", "B", size / rows, memory, same, note="at most 70"),
            Case("build_peak_rss_above_import", "MB", peak_mb, note="300,000 rows, below 400"),
            Case("build", "1/s", rows / seconds, note="rows a second", larger_is_better=True),
        ]
    report("nas_store", cases, options)


if __name__ == "__main__":
    main()
