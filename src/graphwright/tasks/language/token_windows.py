"""Windows of tokens: the language task's samples.

Legend: T = tokens of a text, W = windows, B = windows of a batch, L = positions of a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.source import IndexArray, as_index
from graphwright.tasks.language.token_store import Tokens

__all__ = ["LINE_LENGTH", "TokenBatch", "TokenWindows", "line_windows", "stream_windows"]

LINE_LENGTH = 128  # of `per_line_128`


@dataclass(frozen=True)
class TokenBatch:
    """Several windows.

    Attributes:
        tokens: int64 [B, L+1]; position t is predicted from all before it.
        mask: bool [B, L]; which of the targets `tokens[:, 1:]` count.
        index: int64 [B]; places in the source.
    """

    tokens: Tensor
    mask: Tensor
    index: Tensor

    @property
    def num_samples(self) -> int:
        """Number of windows B."""
        return len(self.index)

    def to(
        self,
        device: torch.device | str | None,
        *,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """The same batch on a device; there are no floating-point tensors in it."""
        moved = (t.to(device, non_blocking=non_blocking) for t in self._tensors())
        return type(self)(*moved)

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory."""
        return type(self)(*(tensor.pin_memory() for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.tokens, self.mask, self.index


class TokenWindows:
    """Windows of one text. Each is a run of targets with the token before it as context.

    Args:
        ids: tokens [T], perhaps memory-mapped.
        separator: id that stands before the first token.
        begin: where each window's targets begin in `ids` [W].
        end: where they end [W]; at most `length` later.
        counts_from: the first target that counts [W]; those before it are context only.
        fresh: whether a window begins with the separator instead of the token before it [W].
        length: positions L; shorter windows are padded with targets that do not count.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        separator: int,
        *,
        begin: NDArray[np.int64],
        end: NDArray[np.int64],
        counts_from: NDArray[np.int64],
        fresh: NDArray[np.bool_],
        length: int,
    ) -> None:
        self.ids = ids
        self.separator = separator
        self.begin, self.end = begin, end
        self.counts_from = counts_from
        self.fresh = fresh
        self.length = length

    def __len__(self) -> int:
        return len(self.begin)

    def batch(self, index: IndexArray) -> TokenBatch:
        """The windows at `index` [B], in that order."""
        rows = as_index(index, len(self), where="windows of tokens")
        place_BT = self.begin[rows, None] + np.arange(-1, self.length)
        inside_BT = place_BT < self.end[rows, None]
        tokens_BT = self.ids[np.clip(place_BT, 0, len(self.ids) - 1)].astype(np.int64)
        tokens_BT[~inside_BT] = self.separator
        tokens_BT[self.fresh[rows], 0] = self.separator
        mask_BL = inside_BT[:, 1:] & (place_BT[:, 1:] >= self.counts_from[rows, None])
        return TokenBatch(
            torch.from_numpy(tokens_BT), torch.from_numpy(mask_BL), torch.from_numpy(rows)
        )

    def sizes(self) -> NDArray[np.int64]:
        """Positions of each window [W]: all cost the same."""
        return np.full(len(self), self.length, np.int64)


def stream_windows(tokens: Tokens, separator: int, length: int, *, stride: int = 0) -> TokenWindows:
    """Windows over a whole text; every token is a target that counts exactly once.

    Args:
        tokens: T of them.
        separator: id before the first token.
        length: positions L of a window.
        stride: targets of a window that count, at its end; the others are context that was
            counted before. 0: all of them, so that windows do not overlap.
    """
    stride = stride or length
    counts_from = np.arange(0, len(tokens.ids), stride, dtype=np.int64)
    begin = np.maximum(counts_from - (length - stride), 0)
    return TokenWindows(
        tokens.ids,
        separator,
        begin=begin,
        end=np.minimum(counts_from + stride, len(tokens.ids)),
        counts_from=counts_from,
        fresh=begin == 0,
        length=length,
    )


def line_windows(tokens: Tokens, separator: int) -> TokenWindows:
    """One window a line that is not blank, cut off after `LINE_LENGTH` tokens and padded: the
    scheme `per_line_128`, in which a long line's rest is never seen."""
    begin, stop = tokens.line_ptr[:-1], tokens.line_ptr[1:]
    used = ~tokens.blank
    return TokenWindows(
        tokens.ids,
        separator,
        begin=begin[used],
        end=np.minimum(stop, begin + LINE_LENGTH)[used],
        counts_from=begin[used],
        fresh=np.ones(int(used.sum()), np.bool_),
        length=LINE_LENGTH,
    )
