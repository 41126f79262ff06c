"""NAS-Bench-Macro (Su et al., CVPR 2021, arXiv 2103.11922): one of 3 blocks in each of 8 layers.

Text: eight digits, 0 identity, 1 inverted residual 3 x 3 with expansion 3, 2 inverted residual
5 x 5 with expansion 6. Layers form stages of 2, 3 and 3; the first layer of a stage halves the
image and doubles the channels (there the identity is a 1 x 1 convolution).

The graph is the chain of layers, and above it the chain of the three stages, nodes of level 1:
every layer leads to the next layer and to its stage, every stage to the next one and the last to
the output.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells
from graphwright.tasks.nas.spaces.product import ProductSpace

__all__ = ["OPERATIONS", "SPACE", "params"]

OPERATIONS: Final = ("identity", "ir_3x3_t3", "ir_5x5_t6")

_STAGES: Final = ("cell:stage_1", "cell:stage_2", "cell:stage_3")
_STAGE_OF_LAYER: Final = (0, 0, 1, 1, 1, 2, 2, 2)
_LAYERS: Final = len(_STAGE_OF_LAYER)
_OUTPUT_NODE: Final = 1 + _LAYERS + len(_STAGES)
_DIGITS = re.compile("[0-9]{8}")


def _read(text: str) -> Sequence[int] | str:
    if not _DIGITS.fullmatch(text):
        return "not eight digits"
    codes = [ord(letter) - ord("0") for letter in text]
    return codes if max(codes) < len(OPERATIONS) else "an operation number above 2"


def _write(codes: Sequence[int]) -> str:
    return "".join(map(str, codes))


def _edges() -> NDArray[np.uint8]:
    """Source and target of every edge, in the order of (target, source)."""
    chain = [(layer, layer + 1) for layer in range(_LAYERS)]
    member = [(1 + layer, 1 + _LAYERS + stage) for layer, stage in enumerate(_STAGE_OF_LAYER)]
    above = [(1 + _LAYERS + stage, 2 + _LAYERS + stage) for stage in range(len(_STAGES))]
    edges = sorted(chain + member + above, key=lambda edge: (edge[1], edge[0]))
    return np.array(edges, np.uint8).T


SPACE: Final = ProductSpace(
    name="nasbench_macro",
    ops=(INPUT, OUTPUT, *_STAGES, *OPERATIONS),
    first=2 + len(_STAGES),
    choices=len(OPERATIONS),
    node_ops=np.array([0] * (1 + _LAYERS) + [2, 3, 4, 1], np.uint8),
    slots=np.arange(1, 1 + _LAYERS),
    edges=_edges(),
    read=_read,
    write=_write,
    level=np.array([0] * (1 + _LAYERS) + [1, 1, 1, 0], np.uint8),
)


def params(cells: Cells) -> NDArray[np.int64]:
    """Parameters of the CIFAR-10 network (column `params` of the benchmark), [A].

    Raises:
        DataError: graphs that are not whole architectures (pruned ones, for example).
    """
    codes_AL = SPACE.codes(cells)
    total_A = np.full(len(codes_AL), (27 * 32 + 2 * 32) + (256 * 1280 + 2 * 1280) + 12_810)
    for layer, stage in enumerate(_STAGE_OF_LAYER):
        first = layer == 0 or _STAGE_OF_LAYER[layer - 1] != stage
        channels_out = 64 << stage
        channels_in = channels_out // 2 if first else channels_out
        total_A += _block_params(channels_in, channels_out)[codes_AL[:, layer]]
    return total_A


def _block_params(channels_in: int, channels_out: int) -> NDArray[np.int64]:
    """Parameters of the three blocks; convolutions have batch norm and no bias."""
    counts = [0 if channels_in == channels_out else channels_out * (channels_in + 2)]
    for kernel, expansion in ((3, 3), (5, 6)):
        hidden = channels_in * expansion
        counts.append(hidden * (channels_in + 4 + kernel**2) + channels_out * (hidden + 2))
    return np.array(counts)
