"""Counted models of a text: what a language model must beat.

Legend: T = tokens, V = vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ngrams"]

_DISCOUNT = 0.75  # taken from every bigram that was seen (Ney et al., 1994)


@dataclass(frozen=True)
class Ngrams:
    """Counts of tokens and of neighbours.

    Attributes:
        token_V: how often each token occurs.
        pair_keys: first · V + second of every pair that occurs, sorted.
        pair_counts: how often.
        follows_V: after how many different tokens each one occurs.
        followers_V: how many different tokens occur after each one.
    """

    token_V: NDArray[np.int64]
    pair_keys: NDArray[np.int64]
    pair_counts: NDArray[np.int64]
    follows_V: NDArray[np.int64]
    followers_V: NDArray[np.int64]

    @classmethod
    def count(cls, ids_T: NDArray[Any], size: int) -> Self:
        """Counts of a text with ids below V = `size`."""
        ids = ids_T.astype(np.int64)
        keys, counts = np.unique(ids[:-1] * size + ids[1:], return_counts=True)
        return cls(
            token_V=np.bincount(ids, minlength=size),
            pair_keys=keys,
            pair_counts=counts,
            follows_V=np.bincount(keys % size, minlength=size),
            followers_V=np.bincount(keys // size, minlength=size),
        )

    def unigram_nats(self, ids_T: NDArray[Any]) -> NDArray[np.float64]:
        """-log p of every token, each counted once more than it occurs [T]."""
        chances_V = (self.token_V + 1) / (self.token_V.sum() + len(self.token_V))
        nats: NDArray[np.float64] = -np.log(chances_V[ids_T])
        return nats

    def bigram_nats(self, ids_T: NDArray[Any], first: int) -> NDArray[np.float64]:
        """-log p of every token after the one before it [T], with the interpolated discount of
        Kneser & Ney (ICASSP 1995).

        Args:
            ids_T: a text.
            first: what stands before it.
        """
        size = len(self.token_V)
        second = ids_T.astype(np.int64)
        before = np.concatenate([[first], second[:-1]])
        starts_V = np.bincount(self.pair_keys // size, self.pair_counts, size)
        known = np.maximum(starts_V[before], 1)
        place = np.searchsorted(self.pair_keys, before * size + second)
        place = np.minimum(place, len(self.pair_keys) - 1)
        seen = self.pair_keys[place] == before * size + second
        counts = np.where(seen, self.pair_counts[place], 0)
        # what is taken from pairs goes to tokens by how many others they follow
        spread_V = (self.follows_V + 1) / (self.follows_V.sum() + size)
        left = np.where(starts_V[before] > 0, _DISCOUNT * self.followers_V[before] / known, 1.0)
        chances = np.maximum(counts - _DISCOUNT, 0) / known + left * spread_V[second]
        nats: NDArray[np.float64] = -np.log(chances)
        return nats
