"""Random windows and their state, for the tests of the models."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphwright.data.batch import GraphBatch

KNOWN = (0x100, 0x1A4, 0x2C0, 0x316, 0x43F, 0x80000123)
STRANGE = (0x7, 0x555, 0x80000999)


def window_batch(windows: int = 6, *, seed: int = 0, attacks: bool = True) -> GraphBatch:
    """Windows of 1 to 9 ids, known and strange ones; attacks have larger features."""
    rng = np.random.default_rng(seed)
    ids, ends, xs, edge_xs, nodes, edges, labels = [], [], [], [], [], [], []
    for window in range(windows):
        pool = np.array(KNOWN + STRANGE)
        count = int(rng.integers(1, len(pool) + 1))
        label = int(attacks and window % 2)
        target, source = (rng.random((count, count)) < 0.4).nonzero()
        ids.append(np.sort(rng.permutation(pool)[:count]))
        ends.append(np.stack([source, target]))
        xs.append(rng.normal(3 * label, 1, (count, 10)))
        edge_xs.append(rng.normal(0, 1, (len(source), 11)))
        nodes.append(count)
        edges.append(len(source))
        labels.append(label)
    return GraphBatch.from_arrays(
        node_counts=nodes,
        edge_counts=edges,
        edge_index=np.concatenate(ends, axis=1),
        nodes={"id": np.concatenate(ids), "x": np.concatenate(xs).astype(np.float32)},
        edges={"edge_x": np.concatenate(edge_xs).astype(np.float32)},
        graphs={
            "label": np.array(labels, dtype=np.uint8),
            "stats": window_numbers(rng, np.array(labels)),
        },
        local=True,
    )


def window_numbers(rng: np.random.Generator, label: np.ndarray) -> np.ndarray:
    """The 17 statistics of random windows; in attacks an id repeats early."""
    stats = rng.uniform(0.5, 1, (len(label), 17)).astype(np.float32)
    stats[:, 0] = rng.integers(5, 9, len(label))
    stats[:, 7] = np.where(label > 0, 0.01, 4.0) * stats[:, 3]
    return stats


def window_state(*, id_free: bool = False) -> dict[str, Any]:
    """As fitted on training windows."""
    return {
        "ids": list(KNOWN),
        "node_mean": [0.1] * 10,
        "node_sd": [1.5] * 9 + [0.0],
        "edge_mean": [0.0] * 11,
        "edge_sd": [1.0] * 11,
        "stats_mean": [0.75] * 17,
        "stats_sd": [0.2] * 17,
        "relative_mean": [-0.5, 1.6, 1.9, 0.75],
        "relative_sd": [0.5, 0.3, 0.3, 0.2],
        "id_free": id_free,
    }
