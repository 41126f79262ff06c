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

    The test split is dealt first and the training split last, so that for one seed a smaller
    training split is part of a larger one, with the same rows held out.

    Args:
        count: rows, N.
        config: amounts: a count above 1, or a share of the rows.
        seed: used where the configuration has none of its own.
        groups_N: equal for architectures that are the same function; needed by `by="group"`. No
            group is then on two sides: what a full split leaves of a group is left out.

    Raises:
        DataError: more rows are asked for than there are, or there are no groups.
    """
    rng = np.random.default_rng([config.seed if config.seed is not None else seed, 0x5EED])
    if config.by == "random":
        order, group_N = rng.permutation(count), np.arange(count)
    elif groups_N is None:
        raise DataError(
            "data.split.by=group needs to know which architectures are the same function",
            fix="name the column in data.source.group",
        )
    else:
        order, group_N = _by_group(groups_N, rng)
    return _deal(order, group_N[order], _amounts(config, count), count)


def _by_group(groups_N: NDArray[np.integer], rng: np.random.Generator) -> tuple[Index, Index]:
    """Groups in random order, each one's rows together and in random order."""
    _, member_N = np.unique(groups_N, return_inverse=True)
    place = rng.permutation(int(member_N.max(initial=-1)) + 1)
    shuffled = rng.permutation(len(groups_N))
    return shuffled[np.argsort(place[member_N[shuffled]], kind="stable")], member_N


def _amounts(config: SplitConfig, count: int) -> dict[str, int]:
    given = {"train": config.train, "val": config.val, "test": config.test}
    return {
        name: round(amount * count) if amount <= 1 else round(amount)
        for name, amount in given.items()
    }


def _deal(order: Index, groups: Index, amounts: dict[str, int], count: int) -> dict[str, Index]:
    parts, start = {}, 0
    for name in _DEALT:
        end = start + amounts[name]
        if end > len(order):
            raise DataError(
                f"data.split asks for {amounts} of {count} architectures (groups kept whole)",
                fix="ask for fewer",
            )
        parts[name] = np.sort(order[start:end])
        # the rest of the group that was cut belongs to nobody
        while 0 < end < len(order) and groups[end] == groups[end - 1]:
            end += 1
        start = end
    return {name: parts[name] for name in reversed(_DEALT)}
