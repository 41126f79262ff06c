"""A service under load: 50 clients on loopback, while others send what is wrong, too much or slow.

Ours and the peer are the same server in turn, with and without batching, in a process of its own;
each client asks for one structure of its own over and over, and every answer is compared with
`graphwright predict`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from _harness import Case, report
from graphwright import predict, resolve_preset, train
from http_clients import answer, ask, post, trickle

SETTINGS = ("tracking.mlflow=off", "training.threads=1", "training.epochs=2")
LIMITS = ("--max-body-mb", "1", "--upload-timeout-s", "2", "--threads", "1")
AFTER_S = 10  # until then caches fill
TOLERANCE = 1e-5
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
EXPECTED = {"garbage": 400, "no json": 422, "bad npz": 422, "bomb": 413, "too large": 413}


@dataclass
class Load:
    """What the clients of one server saw."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    worst: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    harmful: list[str] = field(default_factory=list)
    rss: dict[int, float] = field(default_factory=dict)
    calls: float = 0.0
    samples: float = 0.0
    cpu: float = 0.0


def main() -> None:
    """Measure, then print."""
    logging.getLogger("graphwright").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--peer-seconds", type=int, default=20)
    options = parser.parse_args()
    options.threads, options.repeats = 1, 1
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        config = resolve_preset("geometry/tiny", SETTINGS)
        run = train(config, runs_root=home / "runs", data_root=home / "data").path
        requests, expected = structures(options.clients, run, home)
        before = os.getloadavg()[0]
        ours = measure(run, requests, expected, options.seconds, ())
        peer = measure(run, requests, expected, options.peer_seconds, ("--no-batching",))
    load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{options.clients} clients, {options.seconds} s (peer {options.peer_seconds} s), {load}")
    tell("ours", ours)
    tell("peer", peer)
    report("serve", cases(ours, peer, options, load), options)
    if ours.wrong or ours.harmful or set(ours.statuses) != {200}:
        sys.exit("there were errors")


def structures(count: int, run: Path, home: Path) -> tuple[list[bytes], list[list[float]]]:
    """A request for each client, and what `graphwright predict` says to it."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(10, 30, count)
    points = [rng.normal(size=(int(n), 3)) for n in sizes]
    path = home / "all.npz"
    np.savez(path, pos=np.concatenate(points), offsets=np.concatenate([[0], np.cumsum(sizes)]))
    columns = predict(run, path).columns
    expected = [[float(columns[f"predicted_{a}"][i]) for a in "xyz"] for i in range(count)]
    bodies = [json.dumps({"structures": [{"points": p.tolist()}]}).encode() for p in points]
    return [post("/predict", body, "application/json") for body in bodies], expected


def measure(
    run: Path, requests: list[bytes], expected: list[list[float]], seconds: int, more: Any
) -> Load:
    """One server, started, loaded, stopped."""
    command = [sys.executable, "-m", "graphwright", "serve", str(run), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, *LIMITS, *more], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r":(\d+)/about", line)
        if found is None:
            sys.exit(f"the server did not start: {line}")
        try:
            load = asyncio.run(drive(int(found[1]), server.pid, requests, expected, seconds))
        finally:
            server.terminate()
        if code := server.wait(timeout=60):
            load.harmful.append(f"exit code {code}")
    return load


async def drive(
    port: int, process: int, requests: list[bytes], expected: list[list[float]], seconds: int
) -> Load:
    """All clients at once, the bad ones too."""
    load, until = Load(), time.monotonic() + seconds
    start = _value((await ask(port, METRICS))[1], "process_cpu_seconds_total")
    tasks = [
        client(port, request, answer, load, until)
        for request, answer in zip(requests, expected, strict=True)
    ]
    await asyncio.gather(
        *tasks, watch(process, load, until), bad_clients(port, load, until), slow(port, load, until)
    )
    text = (await ask(port, METRICS))[1]
    load.calls, load.samples = (
        _value(text, f"graphwright_call_samples_{x}") for x in ("count", "sum")
    )
    load.cpu = _value(text, "process_cpu_seconds_total") - start
    return load


async def client(port: int, request: bytes, expected: Any, load: Load, until: float) -> None:
    """One request after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (start := time.monotonic()) < until:
        writer.write(request)
        status, body = await answer(reader)
        load.seconds.append(time.monotonic() - start)
        load.statuses[status] += 1
        if status == 200:
            row = json.loads(body)["rows"][0]
            found = [row[f"predicted_{axis}"] for axis in "xyz"]
            error = max(abs(a - b) for a, b in zip(found, expected, strict=True))
            load.worst = max(load.worst, error)
            load.wrong += error > TOLERANCE
    writer.close()


async def bad_clients(port: int, load: Load, until: float) -> None:
    """What is wrong or too large, five times a second."""
    bomb = _bomb()
    wrong = {
        "garbage": b"\x00\x01nonsense\r\n\r\n",
        "no json": post("/predict", b'{"structures": [[[', "application/json"),
        "bad npz": post("/predict?file=../../x.npz", b"PK\x03\x04" + b"\0" * 300, "x/y"),
        "bomb": post("/predict?file=bomb.npz", bomb, "application/octet-stream"),
        "too large": post("/predict", b"[" * 1_500_000, "application/json"),
    }
    while time.monotonic() < until - 1:
        for name, request in wrong.items():
            await asyncio.sleep(0.2)
            status = (await ask(port, request))[0]
            load.refused[name] += 1
            if status != EXPECTED[name]:
                load.harmful.append(f"{name}: {status}")


async def slow(port: int, load: Load, until: float) -> None:
    """Ten connections that never end their headers, ten that never end their bodies."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    while time.monotonic() < until - 4:
        begun = [head] * 10 + [head + b"Content-Length: 100\r\n\r\n{"] * 10
        ended = await asyncio.gather(*(trickle(port, start) for start in begun))
        load.refused["slow"] += len(ended)
        load.harmful += [f"slow: open after {s:.1f} s" for s in ended if s > 8]


async def watch(process: int, load: Load, until: float) -> None:
    """Resident memory of the server, each second."""
    server, began = psutil.Process(process), time.monotonic()
    while (now := time.monotonic()) < until:
        load.rss[round(now - began)] = server.memory_info().rss / 1e6
        await asyncio.sleep(1)


def _value(text: bytes, name: str) -> float:
    found = re.search(rf"^{name} (\S+)".encode(), text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def _bomb() -> bytes:
    """An .npz of a few kB that unpacks to 100 MB."""
    with tempfile.TemporaryFile() as file:
        np.savez_compressed(file, pos=np.zeros((4_000_000, 3)), offsets=np.array([0, 4_000_000]))
        file.seek(0)
        return file.read()


def tell(name: str, load: Load) -> None:
    """What was refused, and memory over time, for people."""
    shown = {s: round(m, 1) for s, m in load.rss.items() if s in (1, 5) or s % 10 == 0}
    print(f"{name}: statuses {dict(load.statuses)}, refused {dict(load.refused)}, RSS MB {shown}")
    print(f"{name}: largest difference to predict {load.worst:.1e}, harm: {load.harmful or 'none'}")


def cases(ours: Load, peer: Load, options: argparse.Namespace, load: str) -> list[Case]:
    """The table."""
    name, is_right = f"{options.clients}_clients", not (ours.wrong or peer.wrong)
    spans = (options.seconds, options.peer_seconds)
    rate = [len(one.seconds) / span for one, span in zip((ours, peer), spans, strict=True)]
    p50, p99 = ([1e3 * float(np.quantile(x.seconds, q)) for x in (ours, peer)] for q in (0.5, 0.99))
    mean = [one.samples / one.calls for one in (ours, peer)]
    cpu = [1e3 * one.cpu / len(one.seconds) for one in (ours, peer)]
    failed = float(sum(n for status, n in ours.statuses.items() if status != 200))
    rows = [
        Case(f"{name}/p50", "ms", *p50, is_right, note=load),
        Case(f"{name}/p99", "ms", *p99, is_right),
        Case(f"{name}/requests", "1/s", *rate, is_right, larger_is_better=True),
        Case(f"{name}/cpu_per_request", "ms", *cpu, is_right, note="of the server"),
        Case(f"{name}/samples_per_call", "", *mean, is_right, larger_is_better=True),
        Case(f"{name}/errors", "", failed, None, is_right, note=f"of {len(ours.seconds):,}"),
        Case(f"{name}/refused", "", float(ours.refused.total()), None, not ours.harmful),
    ]
    late = [mb for second, mb in ours.rss.items() if second >= AFTER_S]
    if len(late) > 1:
        note = f"{late[-1]:.0f} MB at the end"
        rows.append(Case(f"{name}/rss_growth", "MB", late[-1] - late[0], None, note=note))
    return rows


if __name__ == "__main__":
    main()
