"""Some windows of one capture, with their frames grouped by node and their transitions by edge.

Everything is found by two sorts of short rows, one row a window: frames by (id, position), and
transitions by (target, source, position). Features are then sums over consecutive rows.

Legend: C = windows, W = frames of a window, S = C * W frames, T = C * (W - 1) transitions,
N = nodes, E = edges, F = fields of a payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.frames import Frames

__all__ = ["EXTENDED", "LONGEST_S", "WindowChunk", "cut_windows", "node_ids"]

EXTENDED = 1 << 31
"""Added to 29-bit ids: 0x123 in an extended frame is another node than 0x123 in a standard one."""
LONGEST_S = 86_400.0
"""A longer gap between two frames counts as this: it keeps squares finite whatever a clock says."""

Array = NDArray[Any]
Index = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowChunk:
    """C windows side by side.

    Attributes:
        size: W.
        time_CW: float64 seconds.
        payload_SF: uint8, or float32 of an event log.
        length_CW: uint8.
        attack_CW: uint8.
        id_N: uint32, ascending in every window, with `EXTENDED`.
        node_counts: `[C]`.
        node_start: `[N]`, first row of each node in the frames sorted by node.
        order_S: the frames sorted by (window, node, position).
        node_S: node of each frame, in the order of the frames.
        edge_counts: `[C]`.
        edge_start: `[E]`, first row of each edge in the sorted transitions.
        order_T: transitions sorted by (window, target, source, position), each named by the place
            of its source frame in S.
        edge_index: `[2, E]`, source and target in 0..N-1.
    """

    size: int
    time_CW: NDArray[np.float64]
    payload_SF: Array
    length_CW: NDArray[np.uint8]
    attack_CW: NDArray[np.uint8]
    id_N: NDArray[np.uint32]
    node_counts: Index
    node_start: Index
    order_S: Index
    node_S: Index
    edge_counts: Index
    edge_start: Index
    order_T: Index
    edge_index: Index

    @property
    def windows(self) -> int:
        """C."""
        return len(self.node_counts)

    @cached_property
    def frames_of_node(self) -> Index:
        """Frames of each node."""
        return np.diff(self.node_start, append=self.time_CW.size)

    @cached_property
    def transitions_of_edge(self) -> Index:
        """Times each edge occurs."""
        return np.diff(self.edge_start, append=len(self.order_T))

    @cached_property
    def window_of_node(self) -> Index:
        """Window of each node."""
        return np.repeat(np.arange(self.windows), self.node_counts)

    @cached_property
    def window_of_edge(self) -> Index:
        """Window of each edge."""
        return np.repeat(np.arange(self.windows), self.edge_counts)

    @cached_property
    def node_ptr(self) -> Index:
        """`[C]`: number of each window's first node."""
        return np.cumsum(self.node_counts) - self.node_counts

    @cached_property
    def sorted_rows(self) -> Array:
        """Payloads sorted by node."""
        if self.payload_SF.dtype == np.uint8 and self.payload_SF.shape[1] == 8:
            words = self.payload_SF.view(np.uint64)[:, 0]  # one gather of 8 bytes
            return words[self.order_S].view(np.uint8).reshape(-1, 8)
        return self.payload_SF[self.order_S]

    @cached_property
    def byte_codes(self) -> NDArray[np.uint8]:
        """Payloads as bytes, in the order of the frames; the fields of an event log by 256 steps
        between the smallest and largest value that each has in the window."""
        if self.payload_SF.dtype == np.uint8:
            return self.payload_SF
        value_CWF = self.payload_SF.astype(np.float64).reshape(self.windows, self.size, -1)
        low_C1F, high_C1F = value_CWF.min(1, keepdims=True), value_CWF.max(1, keepdims=True)
        span_C1F = np.where(high_C1F > low_C1F, high_C1F - low_C1F, 1.0)
        step_CWF = np.floor((value_CWF - low_C1F) / span_C1F * 255.0)
        codes_SF: NDArray[np.uint8] = step_CWF.astype(np.uint8).reshape(self.payload_SF.shape)
        return codes_SF

    @cached_property
    def repeated(self) -> NDArray[np.bool_]:
        """Of the frames sorted by node: whether the frame before is of the same node."""
        again = np.ones(self.time_CW.size, np.bool_)
        again[self.node_start] = False
        return again

    @cached_property
    def repeat_gaps(self) -> NDArray[np.float64]:
        """Of the frames sorted by node: seconds since the node's frame before; 0 for its first."""
        time_S = self.time_CW.ravel()[self.order_S]
        gap_S = np.zeros(len(time_S))
        gap_S[1:] = gaps(time_S)
        gap_S[self.node_start] = 0.0
        return gap_S

    @cached_property
    def changed(self) -> NDArray[np.bool_]:
        """Of the frames sorted by node: whether the payload differs from the node's one before."""
        changed = np.zeros(self.time_CW.size, np.bool_)
        rows = self.sorted_rows
        if rows.dtype == np.uint8 and rows.shape[1] == 8:
            words = rows.view(np.uint64)[:, 0]
            changed[1:] = words[1:] != words[:-1]
        else:
            changed[1:] = (rows[1:] != rows[:-1]).any(1)
        changed[self.node_start] = False
        return changed

    @cached_property
    def adjacent(self) -> NDArray[np.bool_]:
        """`[C, n, n]`: whether a window has the edge from its node i to its node j; n = most
        nodes of a window."""
        most = int(self.node_counts.max(initial=1))
        matrix = np.zeros((self.windows, most, most), np.bool_)
        source, target = self.edge_index - self.node_ptr[self.window_of_edge]
        matrix.reshape(-1)[(self.window_of_edge * most + source) * most + target] = True
        return matrix

    @cached_property
    def bidirectional(self) -> NDArray[np.bool_]:
        """Whether the window has the reverse of each edge too; true of self loops."""
        most = self.adjacent.shape[1]
        source, target = self.edge_index - self.node_ptr[self.window_of_edge]
        found: NDArray[np.bool_] = self.adjacent.reshape(-1)[
            (self.window_of_edge * most + target) * most + source
        ]
        return found


def gaps(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds between neighbours along the last axis, in 0..`LONGEST_S`.

    Clocks of real captures jump back. A negative gap is an error of the logger and nothing that
    the bus did, so it counts as none; how often it happens stands in the table of captures.
    """
    with np.errstate(over="ignore"):
        found: NDArray[np.float64] = np.clip(np.diff(time), 0.0, LONGEST_S)
    return found


def node_ids(frames: Frames) -> NDArray[np.uint32]:
    """Id of each frame's node: the arbitration id, with `EXTENDED` where it has 29 bits.

    Raises:
        DataError: an id that leaves no room for the mark.
    """
    if len(frames) and int(frames.id.max()) >= EXTENDED:
        raise DataError(f"an id must be below 2^31, not {int(frames.id.max())}")
    return frames.id | (frames.extended.astype(np.uint32) << np.uint32(31))


def cut_windows(
    frames: Frames, id_S: NDArray[np.uint32], size: int, stride: int, first: int, stop: int
) -> WindowChunk:
    """Windows number `first` to `stop` of a capture.

    Args:
        frames: the capture.
        id_S: `node_ids` of it.
        size: W.
        stride: from window to window.
        first, stop: which windows; all must be whole.
    """
    rows = slice(first * stride, (stop - 1) * stride + size)
    id_CW = _windows(id_S[rows], size, stride)
    order_S, id_sorted_S, new_S = _by_node(id_CW)
    node_start = np.flatnonzero(new_S)
    node_S = np.empty(len(order_S), np.int64)
    node_S[order_S] = np.cumsum(new_S) - 1
    node_counts = new_S.reshape(-1, size).sum(1)
    payload = np.moveaxis(_windows(frames.payload[rows], size, stride), 1, 2)
    return WindowChunk(
        size=size,
        time_CW=np.ascontiguousarray(_windows(frames.time[rows], size, stride)),
        payload_SF=np.ascontiguousarray(payload).reshape(id_CW.size, -1),
        length_CW=_windows(frames.length[rows], size, stride),
        attack_CW=_windows(frames.attack[rows], size, stride),
        id_N=id_sorted_S[node_start],
        node_counts=node_counts,
        node_start=node_start,
        order_S=order_S,
        node_S=node_S,
        **_by_edge(node_S.reshape(-1, size), node_counts),
    )


def _windows(values: Array, size: int, stride: int) -> Array:
    """`[C, …, W]` views of `values`, which overlap where stride < size."""
    return sliding_window_view(values, size, axis=0)[::stride]


def _by_node(id_CW: Array) -> tuple[Index, NDArray[np.uint32], NDArray[np.bool_]]:
    """Frames sorted by (window, id, position): their places, their ids, where a node begins."""
    windows, size = id_CW.shape
    bits = (size - 1).bit_length()
    # id and position in one number: a plain sort of numbers is several times an argsort
    kind: Any = np.uint32 if int(id_CW.max(initial=0)) >> (32 - bits) == 0 else np.uint64
    key_CW = (id_CW.astype(kind) << kind(bits)) | np.arange(size, dtype=kind)
    key_CW.sort(axis=1)
    id_sorted_CW = key_CW >> kind(bits)
    new_CW = np.ones(key_CW.shape, np.bool_)
    np.not_equal(id_sorted_CW[:, 1:], id_sorted_CW[:, :-1], out=new_CW[:, 1:])
    place_CW = (key_CW & kind((1 << bits) - 1)).astype(np.int64)
    place_CW += np.arange(0, windows * size, size)[:, None]
    return place_CW.ravel(), id_sorted_CW.ravel().astype(np.uint32, copy=False), new_CW.ravel()


def _by_edge(node_CW: Index, node_counts: Index) -> dict[str, Index]:
    """Transitions sorted by (window, target, source, position), and the edges that they are."""
    windows, size = node_CW.shape
    bits = (size - 1).bit_length()
    kind: Any = np.uint32 if 3 * bits <= 32 else np.uint64
    ptr = np.cumsum(node_counts) - node_counts
    local_CW = (node_CW - ptr[:, None]).astype(kind)
    key_CT = (local_CW[:, 1:] << kind(2 * bits)) | (local_CW[:, :-1] << kind(bits))
    key_CT |= np.arange(size - 1, dtype=kind)
    key_CT.sort(axis=1)
    pair_CT = key_CT >> kind(bits)
    new_CT = np.ones(key_CT.shape, np.bool_)
    np.not_equal(pair_CT[:, 1:], pair_CT[:, :-1], out=new_CT[:, 1:])
    mask = kind((1 << bits) - 1)
    place_CT = (key_CT & mask).astype(np.int64)
    place_CT += np.arange(0, windows * size, size)[:, None]
    edge_counts = new_CT.sum(1)
    pair_E = pair_CT[new_CT]
    ends = np.stack([pair_E & mask, pair_E >> kind(bits)]).astype(np.int64)
    return {
        "edge_counts": edge_counts,
        "edge_start": np.flatnonzero(new_CT),
        "order_T": place_CT.ravel(),
        "edge_index": ends + np.repeat(ptr, edge_counts),
    }
