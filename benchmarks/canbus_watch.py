"""Watching a bus with student models on one core: frames a second, time to the verdict, memory.

Replay: a recorded capture (`../shared/data/canbus`; generated traffic where there is none) from
file to verdicts as fast as it goes, 64 windows at a time. Live: the same frames as `can.Message`
objects, 8,000 a second (a full bus of 1 Mbit/s), through the receiving thread, one window at a
time. Alone: the CPU time of one window, with hot and with cold caches. Memory: 10 M frames in one
watch. Weights are random, calibrated on the first seconds: speed does not depend on them.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import can
import numpy as np
import torch

from _harness import Case, arguments, report, rss_mb
from graphwright.config.presets import resolve_preset
from graphwright.data.rejects import Rejects
from graphwright.tasks.canbus.capture_writer import write_capture
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.models.score import calibrate
from graphwright.tasks.canbus.models.vgae import VGAEModel
from graphwright.tasks.canbus.raw_input import pack_windows
from graphwright.tasks.canbus.readers import read_frames
from graphwright.tasks.canbus.state import fit_state
from graphwright.tasks.canbus.task import CanbusTask
from graphwright.tasks.canbus.traffic import generate_traffic
from graphwright.tasks.canbus.watch import Alarm, Piece, Summary, Watch
from graphwright.tasks.canbus.watch.bus import BusPieces
from graphwright.tasks.canbus.watch.detector import BundleDetector
from graphwright.tasks.canbus.watch.pieces import FilePieces
from graphwright.tasks.canbus.windows import window_graphs
from graphwright.training.bundle import Bundle

REAL = Path(
    "../shared/data/canbus/can-train-and-test/set_04/"
    "test_01_known_vehicle_known_attack/speed-accessory-1.csv.gz"
)
PRESETS = {
    "gat": "canbus/automotive_traffic_classifier_gat_student_no_all_samples",
    "vgae": "canbus/automotive_traffic_unsupervised_vgae_student_no_all_samples",
}
RATE, LIVE_S = 8_000, 15.0
PREFIX_S = 10.0
LONG, EARLY = 10_000_000, 1_000_000


class Silent:
    """A report that says nothing."""

    def alarm(self, alarm: Alarm) -> None: ...

    def warning(self, what: str, count: int) -> None: ...

    def calibrated(self, threshold: float, windows: int) -> None: ...

    def summary(self, summary: Summary) -> None: ...


class PacedBus:
    """Messages at a steady rate, for so many seconds."""

    def __init__(self, frames: Frames, rate: int, seconds: float) -> None:
        count = int(rate * seconds)
        self._messages = itertools.islice(itertools.cycle(messages(frames, 20_000)), count)
        self._began, self._given, self._rate = time.perf_counter(), 0, rate
        self.late_s: list[float] = []

    def recv(self, timeout: float) -> Any:
        due = self._began + self._given / self._rate
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        self.late_s.append(time.perf_counter() - due)
        self._given += 1
        message = next(self._messages, None)
        if message is None:
            raise can.CanOperationError("that was all")
        message.timestamp = self._given / self._rate
        return message

    def shutdown(self) -> None: ...


class Looped:
    """A file again and again, as one capture."""

    lost = overruns = 0

    def __init__(self, path: Path, detector: BundleDetector, frames: int) -> None:
        self._path, self._detector, self._frames = path, detector, frames
        self.early_mb = 0.0

    def __iter__(self) -> Iterator[Piece]:
        count = 0
        while True:
            for piece in FilePieces(self._path, self._detector.window, Rejects(None)):
                count += len(piece.frames)
                yield piece
                if count >= EARLY and not self.early_mb:
                    self.early_mb = rss_mb()
                if count >= self._frames:
                    return


def messages(frames: Frames, count: int) -> list[can.Message]:
    """The first frames as python-can gives them."""
    rows = range(min(count, len(frames)))
    return [
        can.Message(
            arbitration_id=int(frames.id[k]),
            is_extended_id=bool(frames.extended[k]),
            data=frames.payload[k, : frames.length[k]].tobytes(),
        )
        for k in rows
    ]


def detector_of(name: str, frames: Frames) -> BundleDetector:
    """A student with random weights, its scales and its score fitted on the first seconds."""
    torch.manual_seed(0)
    config = resolve_preset(PRESETS[name], ())
    graphs = window_graphs(frames.rows(0, 20_000), config.data.window)
    store = pack_windows(graphs, config.data.window, 8)
    benign = np.flatnonzero(graphs.attack_frames == 0)
    state = fit_state(store, benign, id_free=False) | {"sources": [], "fields": 8}
    task = CanbusTask(config, Path("data"))
    model = task.build_model(state).eval()
    if isinstance(model.network, VGAEModel):
        calibrate(model.network, [store.batch(benign)])
    return BundleDetector(Bundle(task, model, state, {}), [])


def watched(detector: BundleDetector, pieces: Any, calibrate_s: float = PREFIX_S) -> Summary:
    """One watch; a bus that has nothing more to say ends it."""
    watch = Watch(detector, Silent(), Rejects(None), calibrate_s=calibrate_s)
    try:
        return watch.run(pieces)
    except Exception as error:
        if "that was all" not in str(error):
            raise
        return watch.summary()


def replay(name: str, detector: BundleDetector, path: Path, repeats: int) -> list[Case]:
    """From file to verdicts."""
    runs = []
    for _ in range(repeats + 1):
        begin = time.process_time()
        summary = watched(detector, FilePieces(path, detector.window, Rejects(None)))
        runs.append((summary.frames_per_s, summary.frames / (time.process_time() - begin)))
    speed, cpu_speed = np.median(runs[1:], axis=0)
    note = f"{summary.frames} frames, target 100,000; per second of CPU {cpu_speed:,.0f}"
    return [Case(f"{name}/replay", "1/s", float(speed), note=note, larger_is_better=True)]


def live(name: str, detector: BundleDetector, frames: Frames) -> list[Case]:
    """At the pace of a full bus."""
    bus = PacedBus(frames, RATE, LIVE_S)
    pieces = BusPieces(bus, "paced", detector.window, Rejects(None))
    begin, cpu = time.perf_counter(), time.process_time()
    summary = watched(detector, pieces, calibrate_s=2.0)
    cpu = time.process_time() - cpu
    busy = cpu / (time.perf_counter() - begin)
    what = f"{summary.windows} windows at {RATE} frames/s, {100 * busy:.0f} % of a core"
    what += f", at most {summary.most_waiting} frames waited"
    what += f"; frames met {1e3 * np.percentile(bus.late_s, 99):.2f} ms late (p99)"
    assert summary.latency_p50_s is not None
    assert summary.latency_p99_s is not None
    return [
        Case(f"{name}/live_p50", "ms", 1e3 * summary.latency_p50_s, note=what),
        Case(f"{name}/live_p99", "ms", 1e3 * summary.latency_p99_s, note="target 5"),
        Case(f"{name}/live_cpu", "ms", 1e3 * cpu / summary.windows, note="a window, all threads"),
    ]


def alone(name: str, detector: BundleDetector, frames: Frames) -> list[Case]:
    """One window at a time without a bus: at once, and after 10 ms in which others have the core
    and its caches, as between two windows of a full bus."""
    cases = []
    for kind, pause in (("hot", 0.0), ("cold", 0.01)):
        times = []
        for first in range(0, 15_000, 100):
            time.sleep(pause)
            begin = time.thread_time()
            detector.score(window_graphs(frames.rows(first, first + 100), detector.window))
            times.append(1e3 * (time.thread_time() - begin))
        note = f"of CPU; p99 {np.percentile(times, 99):.2f}"
        cases.append(Case(f"{name}/window_{kind}", "ms", float(np.median(times)), note=note))
    return cases


def memory(name: str, detector: BundleDetector, path: Path) -> list[Case]:
    """How much is gained between 1 M and 10 M frames."""
    pieces = Looped(path, detector, LONG)
    summary = watched(detector, pieces)
    gained = rss_mb() - pieces.early_mb
    note = f"from {EARLY:,} to {summary.frames:,} frames; {pieces.early_mb:.0f} MB before"
    return [
        Case(f"{name}/rss_gained", "MB", gained, note=note),
        Case(f"{name}/replay_10M", "1/s", summary.frames_per_s, larger_is_better=True),
    ]


def main() -> None:
    """Run and print."""
    options = arguments(__doc__, repeats=3, threads=1)
    sys.setswitchinterval(5e-4)  # as the command does
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all threads
    with tempfile.TemporaryDirectory() as temporary:
        path = REAL
        if not path.is_file():
            path = Path(temporary) / "traffic-1.csv"
            write_capture(generate_traffic(120.0, seed=0), path)
        frames = read_frames(path, rejects=Rejects(None))
        cases = []
        for name in PRESETS:
            detector = detector_of(name, frames)
            gc.collect()
            gc.freeze()  # as the command does
            cases += replay(name, detector, path, options.repeats)
            cases += alone(name, detector, frames)
            cases += live(name, detector, frames)
        cases += memory(name, detector, path)
    kind = "real" if path == REAL else "generated"
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    # latencies mean something only on a core that nothing else wants
    print(f"capture: {path.name}, {kind}; random weights; {load}")
    report("canbus_watch", cases, options)


if __name__ == "__main__":
    main()
