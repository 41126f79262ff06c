"""Frames to window graphs against pandas, and captures to a packed store end to end.

First, frames that are in memory: nodes, edges and all features of windows of 100 frames, ours in
one pass (with the 17 statistics, which the peer does not make), pandas by straightforward groupby
calls in every window. Every array is compared before anything is timed.

Then CSV files (can-train-and-test's columns) to a finished store on disk: parsing with all checks,
graphs, digests. A parser and a builder work side by side, so two cores are used. Figures are
frames per second; where ../shared/data has real captures, those (gzipped) are read as well.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from _harness import Case, arguments, interleaved, report
from graphwright.tasks.canbus.capture_source import CaptureSource, file_pieces
from graphwright.tasks.canbus.data_config import FolderSource, WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import SourceNames
from graphwright.tasks.canbus.store_build import build_store
from graphwright.tasks.canbus.windows import WindowGraphs, window_graphs

SIZE, COMPARED, WRITTEN, IDS, SEED = 100, 20_000, 1_000_000, 50, 7
REAL = Path(__file__).parents[2] / "shared/data/canbus/can-train-and-test/set_04"
BYTES = [f"b{i}" for i in range(8)]
Features = Literal["basic", "rich"]


def make_frames(count: int, seed: int = SEED) -> Frames:
    """Periodic ids with jitter, counters and payloads of several lengths."""
    rng = np.random.default_rng(seed)
    periods = rng.choice([0.01, 0.02, 0.05, 0.1], IDS)
    span = count / (1 / periods).sum() * 1.01
    times, ids = [], []
    for number, period in enumerate(periods):
        own = np.arange(0, span, period)
        times.append(own + rng.uniform(0, period) + rng.normal(0, period / 50, len(own)))
        ids.append(np.full(len(own), 16 + 20 * number, np.uint32))
    time_all = np.concatenate(times)
    order = np.argsort(time_all)[:count]
    length = rng.choice([0, 2, 8, 8, 8, 8], IDS).astype(np.uint8)
    id_N = np.concatenate(ids)[order]
    length_N = length[(id_N - 16) // 20]
    payload = rng.integers(0, 256, (len(order), 8)).astype(np.uint8)
    payload[:, 2:6] = (id_N[:, None] % 251).astype(np.uint8)
    payload[np.arange(8) >= length_N[:, None]] = 0
    return Frames(
        time=1.6e9 + time_all[order],
        id=id_N,
        extended=np.zeros(len(order), np.bool_),
        length=length_N,
        payload=payload,
        attack=(rng.random(len(order)) < 0.01).astype(np.uint8),
    )


# -- the peer: one window after the other, by groupby --------------------------------------------


def pandas_graphs(frames: Frames) -> list[tuple[Any, ...]]:
    """Ids, ends of edges, node and edge features of every window."""
    table = pd.DataFrame(frames.payload, columns=BYTES)
    table["id"], table["time"] = frames.id, frames.time
    windows = table.groupby(np.arange(len(table)) // SIZE)
    return [pandas_window(window.reset_index(drop=True)) for _, window in windows]


def pandas_window(window: pd.DataFrame) -> tuple[Any, ...]:
    """One window."""
    last = len(window) - 1
    window["place"] = window.index
    nodes = window.groupby("id")
    node_x = nodes[BYTES].mean()
    node_x["count"] = nodes.size()
    node_x["last"] = nodes["place"].max() / last
    pairs = pd.DataFrame(
        {
            "source": window["id"].iloc[:-1].to_numpy(),
            "target": window["id"].iloc[1:].to_numpy(),
            "place": np.arange(last),
        }
    )
    edges = pairs.groupby(["target", "source"])
    pairs["step"] = edges["place"].diff()
    edges = pairs.groupby(["target", "source"])
    edge_x = pd.DataFrame({"count": edges.size()})
    edge_x["frequency"] = edge_x["count"] / last
    edge_x["interval_mean"] = edges["step"].mean().fillna(0.0)
    edge_x["interval_sd"] = edges["step"].std(ddof=0).fillna(0.0)
    many = edge_x["count"] > 1
    edge_x["regularity"] = (1 / (1 + edge_x["interval_sd"])).where(many, 0.0)
    edge_x["first"] = edges["place"].min() / last
    edge_x["last"] = edges["place"].max() / last
    edge_x["span"] = edge_x["last"] - edge_x["first"]
    edge_x["both"] = edge_x.index.swaplevel().isin(edge_x.index)
    degree = pd.concat([pairs["source"], pairs["target"]]).value_counts()
    ends = edge_x.index.to_frame()
    from_, to = ends["source"].map(degree), ends["target"].map(degree)
    edge_x["product"], edge_x["ratio"] = from_ * to, from_ / to
    place = {name: number for number, name in enumerate(node_x.index)}
    index = np.stack([ends["source"].map(place), ends["target"].map(place)])
    return node_x.index.to_numpy(), index, node_x.to_numpy(float), edge_x.to_numpy(float)


def same(ours: WindowGraphs, peer: list[tuple[Any, ...]]) -> bool:
    """Whether all graphs are equal, features to 1e-6."""
    ids, index, node_x, edge_x = zip(*peer, strict=True)
    return (
        len(ours) == len(peer)
        and np.array_equal(ours.node_id, np.concatenate(ids))
        and np.array_equal(ours.edge_index, np.concatenate(index, axis=1))
        and np.allclose(ours.node_x, np.concatenate(node_x), rtol=1e-6, atol=1e-6)
        and np.allclose(ours.edge_x, np.concatenate(edge_x), rtol=1e-6, atol=1e-6)
    )


def compared(options: argparse.Namespace) -> list[Case]:
    """Frames in memory to graphs, ours and pandas."""
    frames, config = make_frames(COMPARED), WindowConfig(size=SIZE, stride=SIZE)
    equal = same(window_graphs(frames, config), pandas_graphs(frames))
    runs = (lambda: window_graphs(frames, config), lambda: pandas_graphs(frames))
    ours, peer = interleaved(runs, repeats=min(options.repeats, 5), warmup=1)
    note = f"{COMPARED // SIZE} windows of {SIZE} frames, basic features"
    count = len(frames)
    return [
        Case(
            "graphs/pandas",
            "1/s",
            count / ours,
            count / peer,
            equal,
            note=note,
            larger_is_better=True,
        )
    ]


# -- end to end ----------------------------------------------------------------------------------


def write_csv(frames: Frames, path: Path) -> None:
    """As can-train-and-test writes captures."""
    rows = zip(
        frames.time.tolist(),
        frames.id.tolist(),
        frames.length.tolist(),
        frames.payload,
        frames.attack.tolist(),
        strict=True,
    )
    with path.open("w", encoding="ascii") as file:
        file.write("timestamp,arbitration_id,data_field,attack\n")
        for t, i, n, payload, attack in rows:
            file.write(f"{t:.6f},{i:03X},{payload.tobytes()[:n].hex().upper()},{attack}\n")


def captures_in(folder: Path) -> list[CaptureSource]:
    """Every file below a folder as a capture."""
    source = FolderSource(path=str(folder))
    return [
        CaptureSource(
            folder=path.parent.name,
            name=path.name,
            attack="",
            sha256=str(path),
            pieces=file_pieces(path, source, SourceNames()),
        )
        for path in sorted(folder.rglob("*.csv*"))
    ]


def end_to_end(name: str, folder: Path, features: Features, options: argparse.Namespace) -> Case:
    """Captures on disk to a finished store on disk."""
    rates, used = [], []
    window = WindowConfig(size=SIZE, stride=SIZE, features=features)
    for _ in range(min(options.repeats, 3)):
        out = Path(tempfile.mkdtemp())
        start, cpu = time.perf_counter(), time.process_time()
        build_store(
            captures_in(folder), out, window=window, fields=8, deduplicate=True, strict=False
        )
        wall, busy = time.perf_counter() - start, time.process_time() - cpu
        frames = frames_in(out)
        shutil.rmtree(out)
        rates.append(frames / wall)
        used.append(busy / wall)
    note = f"{frames} frames, {features} features, {np.median(used):.2f} cores used"
    return Case(name, "1/s", float(np.median(rates)), None, None, note=note, larger_is_better=True)


def frames_in(out: Path) -> int:
    """Frames that a store was made from."""
    from graphwright.data.packed import PackedGraphs

    captures = PackedGraphs.open(out / "store").attributes["captures"]
    return sum(int(capture["frames"]) for capture in captures)


def main() -> None:
    """Run and report."""
    options = arguments(__doc__, repeats=5)
    cases = compared(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(2):
            write_csv(make_frames(WRITTEN, number), folder / f"capture-{number}.csv")
        cases.append(end_to_end("csv to store", folder, "basic", options))
        cases.append(end_to_end("csv to store, rich", folder, "rich", options))
    if REAL.is_dir():
        cases.append(end_to_end("real csv.gz to store", REAL, "basic", options))
    report("canbus_build", cases, options)


if __name__ == "__main__":
    main()
