"""Who trains and who validates among the training captures; tests are the test folders.

Legend: G = windows of a store.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from graphwright.data.splits import group_split
from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import SplitConfig
from graphwright.tasks.canbus.loaded import Loaded

__all__ = ["benign_rows", "split_windows"]

Index = NDArray[np.int64]
Parts = tuple[Index, Index]


def split_windows(loaded: Loaded, config: SplitConfig, seed: int) -> dict[str, Index]:
    """Windows of each split, ascending.

    Training folders are those whose names begin with "train", test folders those that begin with
    "test". A window is in one of train, val and test, or in none; "test/<folder>" are the parts of
    "test". A capture with the content of a training capture is no test, also where copies are kept.

    Args:
        loaded: the windows and the table of their captures.
        config: how validation windows are chosen among those of the training folders:
            capture: whole captures, those with and those without attacks apart, so that both kinds
                train and validate where there are two of each; copies stay together.
            time: the last windows of every capture; training windows that end less than
                `embargo_s` seconds before the first of them, or share a frame with it, are in
                neither split.
            legacy_random: windows at random, as published.
        seed: used where the configuration has none of its own.

    Returns:
        "train", "val", "test" and one "test/<folder>" each.

    Raises:
        DataError: no training or no test folder, or a split would be empty.
    """
    trained = [i for i, info in enumerate(loaded.captures) if info.folder.startswith("train")]
    tested = [i for i, info in enumerate(loaded.captures) if info.folder.startswith("test")]
    if not trained or not tested:
        raise DataError(
            f"captures must lie in folders train_* and test_*, not only "
            f"{', '.join(loaded.folders()) or 'none'}",
            where=loaded.folder,
            fix="for example DATASET/train_01_attack_free/NAME-1.csv and DATASET/test_01/…",
        )
    choose: Callable[[Loaded, list[int], SplitConfig, int], Parts] = {
        "capture": _by_capture,
        "time": _by_time,
        "legacy_random": _at_random,
    }[config.by]
    train, val = choose(loaded, trained, config, seed if config.seed is None else config.seed)
    learnt = {loaded.captures[i].sha256 for i in trained}
    tested = [i for i in tested if loaded.captures[i].sha256 not in learnt]
    splits = {"train": train, "val": val, "test": _rows(loaded, tested)}
    for name in dict.fromkeys(loaded.captures[i].folder for i in tested):
        inside = [i for i in tested if loaded.captures[i].folder == name]
        splits[f"test/{name}"] = _rows(loaded, inside)
    for name in ("train", "val", "test"):
        if not len(splits[name]):
            raise DataError(
                f"the split {name!r} (data.split.by={config.by}) would be empty",
                where=loaded.folder,
                fix="use longer or more captures, another share, or a shorter embargo",
            )
    return splits


def benign_rows(loaded: Loaded, rows: Index) -> Index:
    """Those of the windows at `rows` without any injected frame (training mode normals_only)."""
    return rows[loaded.store.column("label").numpy()[rows] == 0]


def _rows(loaded: Loaded, captures: list[int]) -> Index:
    return np.flatnonzero(np.isin(loaded.store.column("capture").numpy(), captures))


def _by_capture(loaded: Loaded, trained: list[int], config: SplitConfig, seed: int) -> Parts:
    digests = [loaded.captures[i].sha256 for i in trained]
    content = {digest: number for number, digest in enumerate(dict.fromkeys(digests))}
    capture_G = loaded.store.column("capture").numpy()
    parts: dict[str, list[Index]] = {"train": [], "val": []}
    for attacked in (False, True):
        kind = [i for i in trained if (loaded.captures[i].attack_frames > 0) == attacked]
        rows = _rows(loaded, kind)
        group_of = np.zeros(len(loaded.captures), np.int64)
        group_of[trained] = [content[digest] for digest in digests]
        groups = group_of[capture_G[rows]]
        if len(np.unique(groups)) < 2:
            parts["train"].append(rows)
            continue
        dealt = group_split(groups, {"train": 1 - config.val, "val": config.val}, seed)
        for name, places in dealt.items():
            parts[name].append(rows[places])
    train, val = (np.sort(np.concatenate(found)) for found in (parts["train"], parts["val"]))
    return train, val if len(val) else np.zeros(0, np.int64)


def _by_time(loaded: Loaded, trained: list[int], config: SplitConfig, seed: int) -> Parts:
    store, size = loaded.store, int(loaded.store.attributes["window"]["size"])
    start_G, end_G = store.column("start_time").numpy(), store.column("end_time").numpy()
    position_G = store.column("position").numpy()
    train, val = [], []
    for capture in trained:
        rows = _rows(loaded, [capture])
        if not len(rows):
            continue
        border = min(round(len(rows) * (1 - config.val)), len(rows) - 1)
        first = rows[border]
        val.append(rows[border:])
        far = end_G[rows[:border]] <= start_G[first] - config.embargo_s
        far &= position_G[rows[:border]] + size <= position_G[first]
        # a clock that jumps must not let in a window nearer than one that is too near
        last = np.flatnonzero(far).max(initial=-1)
        train.append(rows[: last + 1])
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *train]), np.concatenate([none, *val])


def _at_random(loaded: Loaded, trained: list[int], config: SplitConfig, seed: int) -> Parts:
    rows = _rows(loaded, trained)
    content = {loaded.captures[i].sha256: i for i in reversed(trained)}
    same = np.array([content.get(info.sha256, 0) for info in loaded.captures])
    place = np.stack(
        [
            same[loaded.store.column("capture").numpy()[rows]],
            loaded.store.column("position").numpy()[rows],
        ]
    )
    # the same window of a copy goes where its original goes
    _, window = np.unique(place, axis=1, return_inverse=True)
    window = window.reshape(-1)
    count = int(window.max(initial=-1)) + 1
    rng = np.random.default_rng([seed, 0x5EED])
    chosen = np.zeros(count, np.bool_)
    chosen[rng.permutation(count)[: round(count * config.val)]] = True
    return rows[~chosen[window]], rows[chosen[window]]
