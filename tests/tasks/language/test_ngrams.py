"""Counted models are probabilities, and those of the papers."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphwright.tasks.language.ngrams import Ngrams

V, D = 6, 0.75
texts = st.lists(st.integers(0, V - 1), min_size=2, max_size=60)


def slow_chance(train: list[int], before: int, token: int) -> float:
    """Interpolated Kneser-Ney of a bigram, by its formula."""
    pairs = Counter(pairwise(train))
    kinds = set(pairs)
    spread = (sum(b == token for _, b in kinds) + 1) / (len(kinds) + V)
    total = sum(count for (a, _), count in pairs.items() if a == before)
    if total == 0:
        return spread
    followers = sum(a == before for a, _ in kinds)
    return max(pairs[before, token] - D, 0) / total + D * followers / total * spread


@given(train=texts, before=st.integers(0, V - 1))
def test_the_chances_of_all_tokens_sum_to_one(train: list[int], before: int) -> None:
    counted = Ngrams.count(np.array(train), V)
    nats = [counted.bigram_nats(np.array([token]), before)[0] for token in range(V)]
    assert np.exp(-np.array(nats)).sum() == pytest.approx(1)
    assert np.exp(-counted.unigram_nats(np.arange(V))).sum() == pytest.approx(1)


@given(train=texts, text=texts, first=st.integers(0, V - 1))
def test_bigrams_are_the_slow_ones(train: list[int], text: list[int], first: int) -> None:
    found = Ngrams.count(np.array(train), V).bigram_nats(np.array(text), first)
    expected = [-math.log(slow_chance(train, a, b)) for a, b in pairwise([first, *text])]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_bigrams_of_a_text_with_a_pattern_beat_unigrams() -> None:
    text = np.tile([0, 1, 2, 3], 100)
    counted = Ngrams.count(text[:200], V)
    assert counted.bigram_nats(text, 3).mean() < 0.1 < counted.unigram_nats(text).mean()
