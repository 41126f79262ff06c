"""Features of the nodes of a window: what one id sent.

The basic set is that of the published code of KD-GAT (arXiv 2507.19686), the rich set that of its
successor; the index of the id, the published eleventh and thirty-fifth column, is no feature here:
the model has it from the node's `id`. Nothing is scaled: scales are fitted on training windows.

Legend: N = nodes, S = frames of all windows sorted by node, F = fields of a payload (8 bytes).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.window_chunk import WindowChunk

__all__ = ["node_feature_names", "node_features"]

Array = NDArray[Any]
Floats = NDArray[np.float64]

_FLOAT32 = float(np.finfo(np.float32).max)
_MATRIX = 1 << 22  # entries of the dense matrices that are multiplied at once


def node_feature_names(features: Literal["basic", "rich"], fields: int = 8) -> tuple[str, ...]:
    """Names of the columns: F + 2 basic ones or 3 F + 10 rich ones."""
    means = [f"mean_{i}" for i in range(fields)]
    if features == "basic":
        return (*means, "count", "last_position")
    return (
        *means,
        *(f"sd_{i}" for i in range(fields)),
        *(f"range_{i}" for i in range(fields)),
        *("entropy", "skewness", "kurtosis", "clustering", "split_half", "change_rate"),
        *("interval_mean", "interval_sd", "in_degree", "out_degree"),
    )


def node_features(chunk: WindowChunk, features: Literal["basic", "rich"]) -> NDArray[np.float32]:
    """Features of all nodes `[N, F + 2]` or `[N, 3 F + 10]`.

    Basic, over the n frames of the id in the window:
        mean_i: mean of byte i, a byte that a frame does not have being 0. So every column is
            defined for every id, as the zero padded payload of the published data sets is; how
            long frames are is told by the window statistics.
        count: n.
        last_position: place of the last frame in the window / (W - 1).

    Rich:
        mean_i, sd_i (divided by n), range_i (largest - smallest).
        entropy: Shannon's, in bits, of the pooled 8 n byte values. A field of an event log counts
            as one of 256 steps between its smallest and largest value in the window.
        skewness m3 / m2^1.5 and kurtosis m4 / m2² - 3 of the pooled values; 0 where all are equal.
        clustering: triangles / possible triangles of the id's neighbours, in the undirected graph
            without self loops (Watts and Strogatz, 1998); 0 with fewer than two neighbours.
        split_half: share of its frames that lie in the second half of the window.
        change_rate: share of its repetitions whose payload differs from the one before.
        interval_mean, interval_sd: seconds between its successive frames; 0 for a single frame.
        in_degree, out_degree: ids that it follows and that follow it, itself included.
    """
    columns = _basic(chunk) if features == "basic" else _rich(chunk)
    return np.clip(columns, -_FLOAT32, _FLOAT32).astype(np.float32)


def _basic(chunk: WindowChunk) -> Floats:
    last_N = chunk.order_S[chunk.node_start + chunk.frames_of_node - 1] % chunk.size
    means = _sums(chunk.sorted_rows, chunk.node_start) / chunk.frames_of_node[:, None]
    return np.column_stack([means, chunk.frames_of_node, last_N / (chunk.size - 1)])


def _rich(chunk: WindowChunk) -> Floats:
    start, rows_SF = chunk.node_start, chunk.sorted_rows
    frames_N1 = chunk.frames_of_node[:, None]
    means_NF = _sums(rows_SF, start) / frames_N1
    low_NF = np.minimum.reduceat(rows_SF, start).astype(np.float64)
    range_NF = np.maximum.reduceat(rows_SF, start) - low_NF
    away_SF = rows_SF - np.repeat(means_NF, chunk.frames_of_node, axis=0)
    sd_NF = np.sqrt(np.add.reduceat(away_SF**2, start) / frames_N1) * (range_NF > 0)
    repeats_N = np.maximum(chunk.frames_of_node - 1, 1)
    return np.column_stack(
        [
            *(means_NF, sd_NF, range_NF),
            _entropy(chunk),
            *_shape(chunk, means_NF),
            _clustering(chunk),
            np.add.reduceat(_late(chunk), start) / chunk.frames_of_node,
            np.add.reduceat(chunk.changed.astype(np.float64), start) / repeats_N,
            *_intervals(chunk, repeats_N),
            *_degrees(chunk),
        ]
    )


def _sums(rows_SF: Array, start: Array) -> Floats:
    """Sums of consecutive rows."""
    return np.stack([np.add.reduceat(c, start, dtype=np.float64) for c in rows_SF.T], axis=1)


def _late(chunk: WindowChunk) -> Floats:
    return (chunk.order_S % chunk.size >= chunk.size // 2).astype(np.float64)


def _shape(chunk: WindowChunk, means_NF: Floats) -> tuple[Floats, Floats]:
    """Skewness and kurtosis of the pooled values of every node."""
    rows_SF, start = chunk.sorted_rows, chunk.node_start
    away_SF = rows_SF - np.repeat(means_NF.mean(1), chunk.frames_of_node)[:, None]
    count_N = chunk.frames_of_node * rows_SF.shape[1]
    square_SF = away_SF * away_SF  # powers by pow() take ten times as long
    pairs = ((square_SF, 1), (square_SF, away_SF), (square_SF, square_SF))
    m2, m3, m4 = (np.add.reduceat((a * b).sum(1), start) / count_N for a, b in pairs)
    low_N = np.minimum.reduceat(rows_SF.min(1), start)
    m2[np.maximum.reduceat(rows_SF.max(1), start) == low_N] = 0.0  # what is left is rounding
    some = m2 > 0
    m2[~some] = 1.0
    return np.where(some, m3 / m2**1.5, 0.0), np.where(some, m4 / m2**2 - 3.0, 0.0)


def _entropy(chunk: WindowChunk) -> Floats:
    """Entropy of the pooled byte values of every node, by runs of the sorted values."""
    fields = chunk.byte_codes.shape[1]
    key_CV = ((chunk.node_S[:, None] << 8) | chunk.byte_codes).reshape(chunk.windows, -1)
    key_CV -= (chunk.node_ptr << 8)[:, None]  # nodes from 0 in every window: shorter numbers
    key_CV = key_CV.astype(np.int32)
    key_CV.sort(axis=1)
    new_CV = np.ones(key_CV.shape, np.bool_)
    np.not_equal(key_CV[:, 1:], key_CV[:, :-1], out=new_CV[:, 1:])
    runs = np.diff(np.flatnonzero(new_CV), append=key_CV.size)
    node = (key_CV >> 8)[new_CV] + np.repeat(chunk.node_ptr, new_CV.sum(1))
    total_N = chunk.frames_of_node * fields
    spent_N = np.bincount(node, runs * np.log2(runs), minlength=len(total_N))
    entropy_N: Floats = np.maximum(np.log2(total_N) - spent_N / total_N, 0.0)
    return entropy_N


def _clustering(chunk: WindowChunk) -> Floats:
    most = chunk.adjacent.shape[1]
    at_once = max(1, _MATRIX // (most * most))
    found = []
    for first in range(0, chunk.windows, at_once):
        one = chunk.adjacent[first : first + at_once]
        both = (one | one.transpose(0, 2, 1)).astype(np.float32)
        np.einsum("cii->ci", both)[:] = 0.0
        # entries of a square are at most W: float32 is exact
        closed = np.einsum("cij,cij->ci", both @ both, both, dtype=np.float64)
        degree = both.sum(2, dtype=np.float64)
        possible = degree * (degree - 1)
        found.append(np.divide(closed, possible, out=np.zeros_like(closed), where=possible > 0))
    local_N = np.arange(len(chunk.id_N)) - chunk.node_ptr[chunk.window_of_node]
    share_N: Floats = np.concatenate(found)[chunk.window_of_node, local_N]
    return share_N


def _intervals(chunk: WindowChunk, repeats_N: Array) -> tuple[Floats, Floats]:
    mean_N = np.add.reduceat(chunk.repeat_gaps, chunk.node_start) / repeats_N
    away_S = (chunk.repeat_gaps - np.repeat(mean_N, chunk.frames_of_node)) * chunk.repeated
    return mean_N, np.sqrt(np.add.reduceat(away_S**2, chunk.node_start) / repeats_N)


def _degrees(chunk: WindowChunk) -> tuple[Array, Array]:
    source, target = chunk.edge_index
    nodes = len(chunk.id_N)
    return np.bincount(target, minlength=nodes), np.bincount(source, minlength=nodes)
