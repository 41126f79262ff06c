"""Windows written down by hand, and drawn at random, for the tests of evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphwright.tasks.canbus.window_table import Place, Windows


def windows(
    *captures: Sequence[int],
    places: Sequence[Place] | None = None,
    length_s: float = 0.9,
    stats: np.ndarray | None = None,
) -> Windows:
    """Windows that begin every second, 100 frames each, with the labels given per capture.

    Every capture starts at the same second, as the real ones do.
    """
    named = places or [Place("test_01", f"dos-{i}", "dos") for i in range(len(captures))]
    number = [np.arange(len(labels)) for labels in captures]
    index = np.concatenate(number).astype(np.int64)
    label = np.concatenate([np.asarray(labels) for labels in captures]).astype(np.uint8)
    return Windows(
        places=tuple(named),
        stride=100,
        capture=np.repeat(np.arange(len(captures)), [len(labels) for labels in captures]),
        position=index * 100,
        start_time=1e9 + index,
        end_time=1e9 + index + length_s,
        label=label,
        attack_frames=label.astype(np.int32) * 7,
        stats=np.zeros((len(label), 17), np.float32) if stats is None else stats,
    )


def traffic(seed: int, count: int, folders: Sequence[str], attacks: Sequence[str]) -> Windows:
    """One capture of each attack in each folder; statistic 0 is higher in attack windows."""
    rng = np.random.default_rng(seed)
    places = [Place(folder, f"{name}-1", name) for folder in folders for name in attacks]
    labels = []
    for _ in places:
        label = np.zeros(count, np.uint8)
        label[count // 2 : count // 2 + count // 5] = 1
        labels.append(label)
    stats = rng.normal(size=(count * len(places), 17)).astype(np.float32)
    stats[:, 0] += 6 * np.concatenate(labels)
    return windows(*labels, places=places, stats=stats)
