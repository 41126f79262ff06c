"""Cells over the operations of NAS-Bench-201 with labels of our own: the embedded default."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces.nasbench201 import OPERATIONS, canonical, cell_space

__all__ = ["SPACE", "canonical", "flops", "params"]

SPACE: Final = cell_space("tiny_cells")

# stem, last norm and linear layer; then two cells of 16 channels, each convolution with its norm
_PARAMS = (378, {"nor_conv_1x1": 2 * (16 * 16 + 32), "nor_conv_3x3": 2 * (9 * 16 * 16 + 32)})
# on images of 8 x 8 (stem) and 4 x 4 (cells)
_MACS = (9376, {"nor_conv_1x1": 2 * 16 * 16 * 16, "nor_conv_3x3": 2 * 16 * 9 * 16 * 16})


def params(cells: Cells) -> NDArray[np.int64]:
    """Parameters of the tiny network of every cell (`params` of the table), [A].

    Raises:
        DataError: graphs that are not whole cells (pruned ones, for example).
    """
    return _total(cells, *_PARAMS)


def flops(cells: Cells) -> NDArray[np.int64]:
    """Multiplications for one image (`macs` of the table), [A].

    Raises:
        DataError: graphs that are not whole cells (pruned ones, for example).
    """
    return _total(cells, *_MACS)


def _total(cells: Cells, outside: int, costs: dict[str, int]) -> NDArray[np.int64]:
    cost_of = np.array([costs.get(name, 0) for name in OPERATIONS], np.int64)
    total_A: NDArray[np.int64] = outside + cost_of[SPACE.codes(cells)].sum(axis=1)
    return total_A
