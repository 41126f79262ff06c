"""Disjoint, complete splits of n samples, at random or by whole groups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from graphwright.data.source import IndexArray
from graphwright.errors import ConfigError, DataError

__all__ = ["group_split", "random_split", "split_digest"]


def random_split(n: int, fractions: Mapping[str, float], seed: int) -> dict[str, IndexArray]:
    """n samples dealt at random.

    Args:
        n: number of samples.
        fractions: share of each split, for example {"train": 0.8, "val": 0.1, "test": 0.1}.
            Sizes are rounded so that they add up to n.
        seed: seed, from 0 up.

    Returns:
        for each split its samples, int64, ascending; every sample is in exactly one.

    Raises:
        ConfigError: fractions that are negative or do not add up to 1.
        DataError: a split with a positive fraction would be empty.
    """
    shares = _checked(fractions)
    ends = np.rint(np.cumsum(shares) * n).astype(np.int64)
    parts = np.split(_rng(seed).permutation(n), ends[:-1])
    return _named(fractions, parts, f"{n} samples")


def group_split(
    groups: npt.ArrayLike, fractions: Mapping[str, float], seed: int
) -> dict[str, IndexArray]:
    """Samples dealt by whole groups: no group is in two splits.

    Groups are dealt at random, the larger ones first, each to the split that is furthest below
    its share, so that the shares are met in samples as nearly as the groups allow.

    Args:
        groups: group of every sample [n]: numbers or texts.
        fractions: share of each split, in samples.
        seed: seed, from 0 up.

    Returns:
        for each split its samples, int64, ascending; every sample is in exactly one.

    Raises:
        ConfigError: fractions that are negative or do not add up to 1.
        DataError: a split with a positive fraction would be empty.
    """
    shares = _checked(fractions)
    _, member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    # Random order first, then a stable sort: equal groups stay in random order.
    order = _rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order], kind="stable")]
    missing = shares * len(member)
    home = np.zeros(len(counts), np.int64)
    for group in order:
        home[group] = int(missing.argmax())
        missing[home[group]] -= counts[group]
    parts = [np.flatnonzero(home[member] == number) for number in range(len(shares))]
    return _named(fractions, parts, f"{len(counts)} groups")


def split_digest(splits: Mapping[str, npt.ArrayLike]) -> str:
    """SHA-256 over the names of the splits and the samples in them."""
    parts = {
        name: hashlib.sha256(np.asarray(rows, dtype="<i8").tobytes()).hexdigest()
        for name, rows in splits.items()
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _rng(seed: int) -> np.random.Generator:
    if seed < 0:
        raise ConfigError(f"the seed must be 0 or more, not {seed}")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))


def _checked(fractions: Mapping[str, float]) -> npt.NDArray[np.float64]:
    shares = np.array(list(fractions.values()), np.float64)
    if len(shares) == 0 or not np.isfinite(shares).all() or float(shares.min()) < 0:
        raise ConfigError(f"the fractions of a split must be 0 or more: {dict(fractions)}")
    if abs(float(shares.sum()) - 1) > 1e-6:
        raise ConfigError(
            f"the fractions of a split must add up to 1, not {float(shares.sum()):g}: "
            f"{dict(fractions)}"
        )
    return shares


def _named(
    fractions: Mapping[str, float], parts: list[IndexArray], of_what: str
) -> dict[str, IndexArray]:
    found = {name: np.sort(part) for name, part in zip(fractions, parts, strict=True)}
    for name, rows in found.items():
        if fractions[name] > 0 and len(rows) == 0:
            raise DataError(
                f"the split {name!r} ({fractions[name]:g} of {of_what}) would be empty",
                fix="use more data or a larger fraction",
            )
    return found
