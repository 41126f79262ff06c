"""Trainable parameters of the networks of NAS-Bench-101, from the cell alone.

The network is a 3 x 3 convolution to 128 channels, three stacks of three modules (the second and
the third double the channels in their first module), and a dense layer to 10 classes. Inside a
module (Ying et al., arXiv 1902.09635, appendix S1): the vertices that feed the output share its
channels, earlier ones the remainder; any other vertex has the most channels that one of its targets
has; every edge from the input is a 1 x 1 projection. Convolutions have batch norm and no bias.

Legend: A = cells, V = 7 vertices (the output of smaller cells comes before the last place).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces.arrays import to_adjacency

__all__ = ["params"]

_VERTICES = 7
_MODULES: Final = ((128, 128, 3), (128, 256, 1), (256, 256, 2), (256, 512, 1), (512, 512, 2))
"""Channels in, channels out, how many such modules."""

_OUTSIDE: Final = (9 * 3 * 128 + 2 * 128) + (512 * 10 + 10)
_KERNEL_AREA: Final = np.array([0, 0, 9, 1, 0])  # by code: input, output, conv 3x3, 1x1, max pool

Index = NDArray[np.int64]


def params(cells: Cells) -> Index:
    """Trainable parameters of the network of every cell (CIFAR-10, 10 classes), [A].

    Isomorphic cells can differ by a little: when the channels cannot be shared evenly, the earlier
    vertices get one more. The benchmark counted one of the orders: of 20,001 cells 19,638 have its
    number here, and the others have it in another order of their vertices.
    """
    ops_AV, adjacency_AVV = to_adjacency(cells, _VERTICES)
    output_A = cells.node_counts - 1
    to_output_AV = adjacency_AVV[np.arange(len(cells)), :, output_A]
    inner_AV = (np.arange(_VERTICES) > 0) & (np.arange(_VERTICES) < output_A[:, None])
    area_AV = _KERNEL_AREA[ops_AV]
    total_A = np.full(len(cells), _OUTSIDE)
    for channels_in, channels_out, times in _MODULES:
        width_AV = _widths(adjacency_AVV, to_output_AV & inner_AV, channels_out) * inner_AV
        own_AV = area_AV * width_AV**2 + 2 * width_AV * (area_AV > 0)
        projected_AV = adjacency_AVV[:, 0] * width_AV * (channels_in + 2)
        shortcut_A = to_output_AV[:, 0] * channels_out * (channels_in + 2)
        total_A += times * ((own_AV + projected_AV).sum(axis=1) + shortcut_A)
    return total_A


def _widths(
    adjacency_AVV: NDArray[np.bool_], to_output_AV: NDArray[np.bool_], channels: int
) -> Index:
    """Channels of the inner vertices, [A, V]."""
    share_A, rest_A = np.divmod(channels, np.maximum(to_output_AV.sum(axis=1), 1))
    earlier_AV: Index = np.cumsum(to_output_AV, axis=1) - to_output_AV
    width_AV: Index = to_output_AV * (share_A[:, None] + (earlier_AV < rest_A[:, None]))
    for v in range(_VERTICES - 2, 0, -1):
        most_A = (adjacency_AVV[:, v] * width_AV).max(axis=1)
        width_AV[:, v] = np.where(to_output_AV[:, v], width_AV[:, v], most_A)
    return width_AV
