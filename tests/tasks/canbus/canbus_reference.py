"""Graphs of windows in plain Python, as slow and as obvious as they can be."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

from graphwright.tasks.canbus.frames import Frames

LONGEST = 86_400.0


def gap(before: float, after: float) -> float:
    return min(max(after - before, 0.0), LONGEST)


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def sd(values: list[float]) -> float:
    if not values or min(values) == max(values):
        return 0.0
    middle = mean(values)
    return math.sqrt(mean([(v - middle) ** 2 for v in values]))


def entropy(values: list[Any]) -> float:
    counts, total = Counter(values).values(), len(values)
    return -math.fsum(c / total * math.log2(c / total) for c in counts)


def moment(values: list[float], power: int) -> float:
    middle = mean(values)
    return mean([(v - middle) ** power for v in values])


def shape(values: list[float]) -> tuple[float, float]:
    if min(values) == max(values):
        return 0.0, 0.0
    m2 = moment(values, 2)
    return moment(values, 3) / m2**1.5, moment(values, 4) / m2**2 - 3


def window_rows(frames: Frames, start: int, size: int) -> list[dict[str, Any]]:
    """The frames of one window, with the bytes that entropies are taken of."""
    rows = []
    for i in range(start, start + size):
        node = int(frames.id[i]) + (2**31 if frames.extended[i] else 0)
        payload = [float(v) for v in frames.payload[i]]
        rows.append(
            {
                "node": node,
                "time": float(frames.time[i]),
                "payload": payload,
                "codes": [int(v) for v in payload],
                "length": int(frames.length[i]),
                "attack": int(frames.attack[i]),
            }
        )
    if frames.payload.dtype.kind == "f":
        for field in range(frames.payload.shape[1]):
            column = [row["payload"][field] for row in rows]
            low, high = min(column), max(column)
            for row in rows:
                value = row["payload"][field]
                row["codes"][field] = (
                    math.floor((value - low) / (high - low) * 255) if high > low else 0
                )
    return rows


def reference_graph(frames: Frames, start: int, size: int, features: str) -> dict[str, Any]:
    """One window as a graph."""
    rows = window_rows(frames, start, size)
    nodes = sorted({row["node"] for row in rows})
    pairs = list(itertools.pairwise(rows))
    transitions: dict[tuple[int, int], list[int]] = {}
    for place, (a, b) in enumerate(pairs):
        transitions.setdefault((a["node"], b["node"]), []).append(place)
    edges = sorted(transitions, key=lambda e: (e[1], e[0]))
    node_row = basic_node if features == "basic" else rich_node
    edge_row = basic_edge if features == "basic" else rich_edge
    return {
        "node_id": nodes,
        "edges": [(nodes.index(a), nodes.index(b)) for a, b in edges],
        "node_x": [node_row(rows, node, transitions) for node in nodes],
        "edge_x": [edge_row(rows, edge, transitions) for edge in edges],
        "stats": statistics(rows, transitions),
        "attack_frames": sum(row["attack"] for row in rows),
        "start_time": rows[0]["time"],
        "end_time": rows[-1]["time"],
    }


def columns(rows: list[dict[str, Any]]) -> list[list[float]]:
    return [list(column) for column in zip(*(row["payload"] for row in rows), strict=True)]


def basic_node(rows: list[dict[str, Any]], node: int, _: Any) -> list[float]:
    own = [row for row in rows if row["node"] == node]
    last = max(i for i, row in enumerate(rows) if row["node"] == node)
    return [*(mean(c) for c in columns(own)), len(own), last / (len(rows) - 1)]


def rich_node(rows: list[dict[str, Any]], node: int, transitions: Any) -> list[float]:
    own = [row for row in rows if row["node"] == node]
    places = [i for i, row in enumerate(rows) if row["node"] == node]
    repeats = list(itertools.pairwise(own))
    intervals = [gap(a["time"], b["time"]) for a, b in repeats]
    pooled = [value for row in own for value in row["payload"]]
    neighbours = {a: set() for a in {row["node"] for row in rows}}
    for a, b in transitions:
        if a != b:
            neighbours[a].add(b)
            neighbours[b].add(a)
    around = neighbours[node]
    closed = sum(1 for a in around for b in around if b in neighbours[a])
    possible = len(around) * (len(around) - 1)
    return [
        *(mean(c) for c in columns(own)),
        *(sd(c) for c in columns(own)),
        *(max(c) - min(c) for c in columns(own)),
        entropy([code for row in own for code in row["codes"]]),
        *shape(pooled),
        closed / possible if possible else 0.0,
        mean([float(place >= len(rows) // 2) for place in places]),
        mean([float(a["payload"] != b["payload"]) for a, b in repeats]),
        mean(intervals),
        sd(intervals),
        sum(1 for _, b in transitions if b == node),
        sum(1 for a, _ in transitions if a == node),
    ]


def basic_edge(rows: list[dict[str, Any]], edge: tuple[int, int], transitions: Any) -> list[float]:
    places, last = transitions[edge], len(rows) - 1
    steps = [float(b - a) for a, b in itertools.pairwise(places)]
    degree = Counter(a for e, p in transitions.items() for a in e for _ in p)
    a, b = edge
    return [
        len(places),
        len(places) / last,
        mean(steps),
        sd(steps),
        1 / (1 + sd(steps)) if steps else 0.0,
        places[0] / last,
        places[-1] / last,
        (places[-1] - places[0]) / last,
        float((b, a) in transitions),
        degree[a] * degree[b],
        degree[a] / degree[b],
    ]


def rich_edge(rows: list[dict[str, Any]], edge: tuple[int, int], transitions: Any) -> list[float]:
    places = transitions[edge]
    pairs = [(rows[p], rows[p + 1]) for p in places]
    moves = [
        [abs(y - x) for x, y in zip(a["payload"], b["payload"], strict=True)] for a, b in pairs
    ]
    return [
        mean([gap(a["time"], b["time"]) for a, b in pairs]),
        *(mean(list(column)) for column in zip(*moves, strict=True)),
        float(edge[::-1] in transitions),
        len(places) / (len(rows) - 1),
    ]


def statistics(rows: list[dict[str, Any]], transitions: Any) -> list[float]:
    nodes = [row["node"] for row in rows]
    times = [row["time"] for row in rows]
    gaps = [gap(a, b) for a, b in itertools.pairwise(times)]
    values = [value for row in rows for value in row["payload"]]
    last: dict[int, dict[str, Any]] = {}
    repeats = []
    for row in rows:
        if row["node"] in last:
            repeats.append((last[row["node"]], row))
        last[row["node"]] = row
    intervals = [gap(a["time"], b["time"]) for a, b in repeats]
    moves = [
        abs(y - x) for a, b in repeats for x, y in zip(a["payload"], b["payload"], strict=True)
    ]
    return [
        len(set(nodes)),
        entropy(nodes),
        max(Counter(nodes).values()) / len(nodes),
        mean(gaps),
        sd(gaps),
        min(gaps),
        max(gaps),
        min(intervals, default=math.fsum(gaps)),
        mean(values),
        sd(values),
        entropy([code for row in rows for code in row["codes"]]),
        mean([float(a["payload"] != b["payload"]) for a, b in repeats]),
        mean(moves),
        len(transitions),
        mean([float(a == b) for a, b in itertools.pairwise(nodes)]),
        mean([float(row["length"]) for row in rows]),
        mean([float(row["length"] == 0) for row in rows]),
    ]
