"""Seventeen numbers that describe a window without knowing any id.

They carry no vocabulary, so they mean the same in every vehicle: the trivial baseline (a random
forest on them) and whatever must work on unknown cars start from here.

Legend: C = windows, W = frames of a window, S = C * W frames, F = fields of a payload (8 bytes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.window_chunk import WindowChunk, gaps

__all__ = ["STATISTICS", "window_statistics"]

STATISTICS = (
    "ids",
    "id_entropy",
    "top_id_share",
    "gap_mean",
    "gap_sd",
    "gap_min",
    "gap_max",
    "repeat_min",
    "byte_mean",
    "byte_sd",
    "byte_entropy",
    "change_rate",
    "move_mean",
    "transitions",
    "self_loop_share",
    "length_mean",
    "empty_share",
)
"""Names of the columns, as `window_statistics` explains them."""

Array = NDArray[Any]
Floats = NDArray[np.float64]

_FLOAT32 = float(np.finfo(np.float32).max)


def window_statistics(chunk: WindowChunk) -> NDArray[np.float32]:
    """The statistics of every window `[C, 17]`.

    ids: distinct ids.
    id_entropy: Shannon entropy of the ids, bits.
    top_id_share: share of the most frequent id among the frames.
    gap_mean, gap_sd, gap_min, gap_max: seconds between neighbouring frames; the time the window
        takes is gap_mean (W - 1).
    repeat_min: shortest time between two successive frames of one id, seconds; the sum of all gaps
        where no id repeats. An injected frame comes close behind a genuine one.
    byte_mean, byte_sd: over all 8 W bytes, a byte that a frame does not have being 0.
    byte_entropy: Shannon entropy of those values, bits. A field of an event log counts as one of
        256 steps between its smallest and largest value in the window.
    change_rate: share of the repetitions of an id whose payload differs from the one before.
    move_mean: mean |change| of a byte from one frame of an id to its next.
    transitions: distinct pairs of successive ids.
    self_loop_share: share of neighbouring frames with the same id.
    length_mean: mean of the payload lengths.
    empty_share: share of the frames without payload.
    """
    groups = (_ids(chunk), _times(chunk), _values(chunk), _changes(chunk), _transitions(chunk))
    columns = np.column_stack([column for group in groups for column in group])
    bounded: NDArray[np.float32] = np.clip(columns, -_FLOAT32, _FLOAT32).astype(np.float32)
    return bounded


def _ids(chunk: WindowChunk) -> tuple[Array, ...]:
    count_N, size = chunk.frames_of_node, chunk.size
    spent_C = np.add.reduceat(_xlogx(size)[count_N], chunk.node_ptr)
    entropy_C = np.maximum(np.log2(size) - spent_C / size, 0.0)
    return chunk.node_counts, entropy_C, np.maximum.reduceat(count_N, chunk.node_ptr) / size


def _times(chunk: WindowChunk) -> tuple[Array, ...]:
    gap_CT = gaps(chunk.time_CW)
    low_C, high_C = gap_CT.min(1), gap_CT.max(1)
    mean_C = gap_CT.mean(1)
    sd_C = np.sqrt(((gap_CT - mean_C[:, None]) ** 2).mean(1)) * (high_C > low_C)
    again_S = np.where(chunk.repeated, chunk.repeat_gaps, np.inf)
    repeat_C = np.minimum(again_S.reshape(chunk.windows, -1).min(1), gap_CT.sum(1))
    return mean_C, sd_C, low_C, high_C, repeat_C


def _values(chunk: WindowChunk) -> tuple[Array, ...]:
    values_CV = chunk.payload_SF.reshape(chunk.windows, -1)
    mean_C = values_CV.mean(1, dtype=np.float64)
    if values_CV.dtype == np.uint8:
        # whole numbers until the end: exact, and a third of the time
        count = values_CV.shape[1]
        square_C = np.einsum("cv,cv->c", values_CV, values_CV, dtype=np.int64)
        total_C = values_CV.sum(1, dtype=np.int64)
        sd_C = np.sqrt(count * square_C - total_C**2) / count
    else:
        away_CV = values_CV - mean_C[:, None]
        constant_C = values_CV.min(1) == values_CV.max(1)
        sd_C = np.sqrt((away_CV**2).mean(1)) * ~constant_C
    return mean_C, sd_C, _byte_entropy(chunk)


def _byte_entropy(chunk: WindowChunk) -> Floats:
    codes_CV = chunk.byte_codes.reshape(chunk.windows, -1)
    total = codes_CV.shape[1]
    places_CV = codes_CV + np.arange(0, chunk.windows << 8, 256, dtype=np.int64)[:, None]
    counts = np.bincount(places_CV.ravel(), minlength=chunk.windows << 8)
    spent_C = _xlogx(total)[counts].reshape(chunk.windows, 256).sum(1)
    entropy_C: Floats = np.maximum(np.log2(total) - spent_C / total, 0.0)
    return entropy_C


def _changes(chunk: WindowChunk) -> tuple[Array, ...]:
    repeats_C = chunk.size - chunk.node_counts
    changed_C = chunk.changed.reshape(chunk.windows, -1).sum(1)
    rows_SF = chunk.sorted_rows
    kind = np.int16 if rows_SF.dtype == np.uint8 else np.float64
    move_SF = np.abs(np.diff(rows_SF.astype(kind), axis=0, prepend=rows_SF[:1].astype(kind)))
    move_SF[chunk.node_start] = 0
    moved_C = move_SF.reshape(chunk.windows, -1).sum(1, dtype=np.float64)
    some_C = np.maximum(repeats_C, 1)
    return changed_C / some_C, moved_C / (some_C * rows_SF.shape[1])


def _transitions(chunk: WindowChunk) -> tuple[Array, ...]:
    node_CW = chunk.node_S.reshape(-1, chunk.size)
    length_CW = chunk.length_CW
    return (
        chunk.edge_counts,
        (node_CW[:, 1:] == node_CW[:, :-1]).mean(1),
        length_CW.mean(1),
        (length_CW == 0).mean(1),
    )


def _xlogx(most: int) -> Floats:
    """x log2 x for x = 0..most, 0 for 0."""
    x = np.arange(most + 1, dtype=np.float64)
    return x * np.log2(np.maximum(x, 1.0))
