"""Windows of tokens: the language task's samples.

Legend: T = tokens of a text, W = windows, B = windows of a batch, L = positions of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.source import IndexArray, TensorBatch, as_index
from graphwright.tasks.language.store import Tokens
from graphwright.tasks.language.vocabularies import Vocabulary

__all__ = [
    "LINE_LENGTH",
    "LinesInContext",
    "TokenBatch",
    "TokenWindows",
    "line_windows",
    "stream_windows",
    "windows_of_epoch",
]

LINE_LENGTH = 128  # of `per_line_128`


@dataclass(frozen=True)
class TokenBatch(TensorBatch):
    """Several samples, each of one or more windows.

    Attributes:
        tokens: int64 [B, L+1]; position t is predicted from all before it.
        mask: bool [B, L]; which of the targets `tokens[:, 1:]` count.
        bytes: int64 [B]; of text that the counting targets stand for.
        sample: int64 [B]; which of the batch's samples a window belongs to.
        index: int64 [samples]; their places in the source.
    """

    tokens: Tensor
    mask: Tensor
    bytes: Tensor
    sample: Tensor
    index: Tensor

    @property
    def num_samples(self) -> int:
        """Number of samples; windows may be more."""
        return len(self.index)

    def sums(self, values_BL: Tensor) -> Tensor:
        """Sum of what counts, over each sample's windows [samples], in float64."""
        rows_B = values_BL.double().masked_fill(~self.mask, 0).sum(1)
        return rows_B.new_zeros(self.num_samples).index_add_(0, self.sample, rows_B)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One batch of several with windows of one length; `index` counts from 0."""
        counts = torch.tensor([part.num_samples for part in parts])
        starts = (counts.cumsum(0) - counts).tolist()
        return cls(
            tokens=torch.cat([part.tokens for part in parts]),
            mask=torch.cat([part.mask for part in parts]),
            bytes=torch.cat([part.bytes for part in parts]),
            sample=torch.cat([p.sample + at for p, at in zip(parts, starts, strict=True)]),
            index=torch.arange(int(counts.sum())),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        tensors = (self.tokens, self.mask, self.bytes, self.sample, self.index)
        return type(self)(*map(change, tensors))


class TokenWindows:
    """Windows of one text. Each is a run of targets with the token before it as context.

    Args:
        ids: tokens [T], perhaps memory-mapped.
        vocabulary: what they are tokens of.
        begin: where each window's targets begin in `ids` [W].
        end: where they end [W]; at most `length` later.
        counts_from: the first target that counts [W]; those before it are context only.
        fresh: whether a window begins with the separator instead of the token before it [W].
        length: positions L; shorter windows are padded with targets that do not count.
    """

    def __init__(
        self,
        ids: NDArray[Any],
        vocabulary: Vocabulary,
        *,
        begin: NDArray[np.int64],
        end: NDArray[np.int64],
        counts_from: NDArray[np.int64],
        fresh: NDArray[np.bool_],
        length: int,
    ) -> None:
        self.ids = ids
        self.separator = vocabulary.separator
        self.bytes_V = vocabulary.bytes_per_token
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
        bytes_B = (self.bytes_V[tokens_BT[:, 1:]] * mask_BL).sum(1)
        sample_B = np.arange(len(rows))
        arrays = (tokens_BT, mask_BL, bytes_B, sample_B, rows)
        return TokenBatch(*(torch.from_numpy(array) for array in arrays))

    def sizes(self) -> NDArray[np.int64]:
        """Positions of each window [W]: all cost the same."""
        return np.full(len(self), self.length, np.int64)


def stream_windows(
    tokens: Tokens, vocabulary: Vocabulary, length: int, *, stride: int = 0
) -> TokenWindows:
    """Windows over a whole text; every token is a target that counts exactly once.

    Args:
        tokens: T of them.
        vocabulary: what they are tokens of.
        length: positions L of a window.
        stride: targets of a window that count, at its end; the others are context that was
            counted before. 0: all of them, so that windows do not overlap.
    """
    stride = stride or length
    counts_from = np.arange(0, len(tokens.ids), stride, dtype=np.int64)
    begin = np.maximum(counts_from - (length - stride), 0)
    return TokenWindows(
        tokens.ids,
        vocabulary,
        begin=begin,
        end=np.minimum(counts_from + stride, len(tokens.ids)),
        counts_from=counts_from,
        fresh=begin == 0,
        length=length,
    )


def line_windows(tokens: Tokens, vocabulary: Vocabulary) -> TokenWindows:
    """One window a line that is not blank, cut off after `LINE_LENGTH` tokens and padded: the
    scheme `per_line_128`, in which a long line's rest is never seen."""
    begin, stop = tokens.line_ptr[:-1], tokens.line_ptr[1:]
    used = ~tokens.blank
    return TokenWindows(
        tokens.ids,
        vocabulary,
        begin=begin[used],
        end=np.minimum(stop, begin + LINE_LENGTH)[used],
        counts_from=begin[used],
        fresh=np.ones(int(used.sum()), np.bool_),
        length=LINE_LENGTH,
    )


def windows_of_epoch(total: int, count: int, *, seed: int) -> Callable[[int], IndexArray]:
    """Which windows each epoch trains on: `count` of the next ones of an endless sequence that is
    one permutation of all `total` after another. A pure function of the epoch."""

    def chosen(epoch: int) -> IndexArray:
        place = np.arange(epoch * count, (epoch + 1) * count)
        rounds = range(place[0] // total, place[-1] // total + 1)
        orders = [np.random.default_rng([seed, number]).permutation(total) for number in rounds]
        return np.concatenate(orders)[place - rounds.start * total]

    return chosen


class LinesInContext:
    """The lines of a text as samples, each scored after what stands before it.

    A line is covered by windows of half a length of targets, so that each target sees at least
    half a window (or all there is) before it.

    Args:
        tokens: of the text, or of several, one after the other.
        vocabulary: what they are tokens of.
        length: positions of a window.
        texts: the text that each line belongs to, ascending [lines]; a line sees no other text
            than its own. None: all are one text.
    """

    def __init__(
        self,
        tokens: Tokens,
        vocabulary: Vocabulary,
        length: int,
        texts: NDArray[np.int64] | None = None,
    ) -> None:
        step = max(length // 2, 1)
        count = np.diff(tokens.line_ptr)
        pieces = np.maximum(-(-count // step), 1)
        self.ptr = np.cumsum([0, *pieces])
        line = np.repeat(np.arange(len(count)), pieces)
        place = np.arange(len(line)) - self.ptr[line]
        counts_from = tokens.line_ptr[line] + place * step
        end = np.minimum(counts_from + step, tokens.line_ptr[line + 1])
        texts = np.zeros_like(count) if texts is None else texts
        first_of_text = tokens.line_ptr[np.searchsorted(texts, texts)][line]
        begin = np.maximum(end - length, first_of_text)
        self.windows = TokenWindows(
            tokens.ids,
            vocabulary,
            begin=begin,
            end=end,
            counts_from=counts_from,
            fresh=begin == first_of_text,
            length=length,
        )

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def batch(self, index: IndexArray) -> TokenBatch:
        """The lines at `index`, in that order, with all their windows."""
        lines = as_index(index, len(self), where="lines of a text")
        pieces = self.ptr[lines + 1] - self.ptr[lines]
        sample = np.repeat(np.arange(len(lines)), pieces)
        first = np.cumsum(pieces) - pieces
        rows = self.ptr[lines[sample]] + np.arange(len(sample)) - first[sample]
        found = self.windows.batch(rows)
        return replace(found, sample=torch.from_numpy(sample), index=torch.from_numpy(lines))

    def sizes(self) -> NDArray[np.int64]:
        """Positions of all windows of each line."""
        return np.diff(self.ptr) * self.windows.length
