"""Features of the edges of a window: how often, when and after how long id b followed id a.

The basic set is that of the published code of KD-GAT (arXiv 2507.19686), the rich set that of its
successor. A transition is a pair of neighbouring frames; a window of W frames has W - 1.

Legend: E = edges, T = transitions sorted by edge, F = fields of a payload (8 bytes).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.canbus.window_chunk import WindowChunk, gaps

__all__ = ["edge_feature_names", "edge_features"]

Array = NDArray[Any]
Floats = NDArray[np.float64]

_FLOAT32 = float(np.finfo(np.float32).max)


def edge_feature_names(features: Literal["basic", "rich"], fields: int = 8) -> tuple[str, ...]:
    """Names of the columns: 11 basic ones or F + 3 rich ones."""
    if features == "rich":
        moves = (f"move_{i}" for i in range(fields))
        return ("interval", *moves, "bidirectional", "frequency")
    return (
        *("count", "frequency", "interval_mean", "interval_sd", "regularity"),
        *("first_position", "last_position", "span"),
        *("bidirectional", "degree_product", "degree_ratio"),
    )


def edge_features(chunk: WindowChunk, features: Literal["basic", "rich"]) -> NDArray[np.float32]:
    """Features of all edges `[E, 11]` or `[E, F + 3]`.

    Basic, of the k transitions of an edge, at the places p_1 < … < p_k of their first frames:
        count: k.
        frequency: k / (W - 1).
        interval_mean, interval_sd (divided by k - 1): of p_(i+1) - p_i, in frames; 0 where k = 1.
        regularity: 1 / (1 + interval_sd); 0 where k = 1.
        first_position, last_position: p_1 / (W - 1), p_k / (W - 1); span their difference.
        bidirectional: 1 where the reverse edge is in the window too; a self loop is its own.
        degree_product, degree_ratio: of d(a) and d(b) of an edge a → b, d being the transitions
            that an id takes part in, a self loop twice.

    Rich:
        interval: mean seconds from the frame of a to the frame of b.
        move_i: mean |byte i of b - byte i of a|.
        bidirectional, frequency: as above.
    """
    columns = _basic(chunk) if features == "basic" else _rich(chunk)
    return np.clip(columns, -_FLOAT32, _FLOAT32).astype(np.float32)


def _basic(chunk: WindowChunk) -> Floats:
    count_E, start, last = chunk.transitions_of_edge, chunk.edge_start, chunk.size - 1
    place_T = chunk.order_T % chunk.size
    first_E, final_E = place_T[start], place_T[start + count_E - 1]
    step_T = np.diff(place_T, prepend=0)
    step_T[start] = 0
    many_E = count_E > 1
    steps_E = np.maximum(count_E - 1, 1)
    # whole numbers until the division: a variance of equal steps is exactly 0
    spread_E = steps_E * np.add.reduceat(step_T**2, start) - (final_E - first_E) ** 2
    sd_E = np.sqrt(spread_E) / steps_E
    degree_N = _degrees(chunk)
    from_E, to_E = degree_N[chunk.edge_index]
    return np.column_stack(
        [
            *(count_E, count_E / last, (final_E - first_E) / steps_E, sd_E),
            many_E / (1.0 + sd_E),
            *(first_E / last, final_E / last, (final_E - first_E) / last),
            *(chunk.bidirectional, from_E * to_E, from_E / to_E),
        ]
    )


def _degrees(chunk: WindowChunk) -> Array:
    """Transitions that each node takes part in: two a frame, but for the window's ends."""
    degree_N = 2 * chunk.frames_of_node
    node_CW = chunk.node_S.reshape(-1, chunk.size)
    degree_N[node_CW[:, 0]] -= 1
    degree_N[node_CW[:, -1]] -= 1
    return degree_N


def _rich(chunk: WindowChunk) -> Floats:
    count_E, start, before_T = chunk.transitions_of_edge, chunk.edge_start, chunk.order_T
    gap_CT = np.zeros(chunk.time_CW.shape)
    gap_CT[:, :-1] = gaps(chunk.time_CW)
    interval_E = np.add.reduceat(gap_CT.ravel()[before_T], start) / count_E
    kind = np.int16 if chunk.payload_SF.dtype == np.uint8 else np.float64
    move_TF = np.abs(np.diff(chunk.payload_SF.astype(kind), axis=0))[before_T]
    move_EF = np.add.reduceat(move_TF, start, dtype=np.float64) / count_E[:, None]
    frequency_E = count_E / (chunk.size - 1)
    return np.column_stack([interval_E, move_EF, chunk.bidirectional, frequency_E])
