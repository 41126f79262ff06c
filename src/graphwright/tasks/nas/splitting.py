"""Who trains, who validates, who is held out: by counts or shares, at random or by function."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.data_config import SplitConfig

__all__ = ["split_rows"]

Index = NDArray[np.int64]
_DEALT = ("test", "val", "train")


def split_rows(
    count: int, config: SplitConfig, seed: int, groups_N: NDArray[np.integer] | None = None
) -> dict[str, Index]:
    """Rows of each split, ascending; what is asked of none of them is left out.

    For one seed a smaller training split is part of a larger one, with the same rows held out (by
    group: up to a quarter of the rows).

    Args:
        count: rows, N.
        config: amounts: a count above 1, or a share of the rows.
        seed: used where the configuration has none of its own.
        groups_N: equal for architectures that are the same function; needed by `by="group"`. Whole
            groups are then dealt to the sides, and each split is drawn from its side, so that a
            group of a thousand twins counts as often as it would in a random split.

    Raises:
        DataError: more rows are asked for than there are, or there are no groups.
    """
    rng = np.random.default_rng([config.seed if config.seed is not None else seed, 0x5EED])
    amounts = _amounts(config, count)
    if config.by == "random":
        return _deal(rng.permutation(count), amounts)
    if groups_N is None:
        raise DataError(
            "data.split.by=group needs to know which architectures are the same function",
            fix="name the column in data.source.group",
        )
    sides = _sides(groups_N, amounts, rng)
    return {
        name: _deal(rng.permutation(sides[name]), {name: amounts[name]})[name] for name in sides
    }


def _sides(
    groups_N: NDArray[np.integer], amounts: dict[str, int], rng: np.random.Generator
) -> dict[str, Index]:
    """Rows of the groups that belong to each split, the test split's first."""
    _, member_N, sizes = np.unique(groups_N, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    # room that no split asks for: half of it to the test side, whatever the training split's size
    kept = max(amounts["train"], len(groups_N) // 4)
    spare = max(0, len(groups_N) - kept - amounts["val"] - amounts["test"])
    first = int(np.searchsorted(ends, amounts["test"] + spare // 2)) + 1
    second = int(np.searchsorted(ends, ends[min(first, len(ends)) - 1] + amounts["val"])) + 1
    place = np.empty(len(sizes), np.int64)
    place[order] = np.searchsorted([first, second], np.arange(len(sizes)), side="right")
    side_N = place[member_N]
    return {name: np.flatnonzero(side_N == side) for side, name in enumerate(_DEALT)}


def _amounts(config: SplitConfig, count: int) -> dict[str, int]:
    given = {"train": config.train, "val": config.val, "test": config.test}
    return {
        name: round(amount * count) if amount <= 1 else round(amount)
        for name, amount in given.items()
    }


def _deal(order: Index, amounts: dict[str, int]) -> dict[str, Index]:
    if sum(amounts.values()) > len(order):
        raise DataError(
            f"data.split asks for {amounts}, and {len(order)} architectures are left for that",
            fix="ask for fewer",
        )
    parts, start = {}, 0
    for name in _DEALT:
        if name in amounts:
            parts[name] = np.sort(order[start : start + amounts[name]])
            start += amounts[name]
    return {name: parts[name] for name in reversed(_DEALT) if name in parts}
