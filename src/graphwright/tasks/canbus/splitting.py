"""Who trains and who validates among the training captures; tests are the test folders.

Legend: G = windows of a store.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import SplitConfig
from graphwright.tasks.canbus.loaded import Loaded

__all__ = ["benign_rows", "split_windows"]

Index = NDArray[np.int64]
Parts = tuple[Index, Index]
_SALT = 0x5EED  # other random numbers than those of whatever else has the run's seed


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
            time: a block of every capture; windows less than `embargo_s` seconds before or behind
                it, or that share a frame with it, are in neither split.
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
    label_G: NDArray[np.uint8] = loaded.store.column("label").numpy()
    benign: Index = rows[label_G[rows] == 0]
    return benign


def _rows(loaded: Loaded, captures: list[int]) -> Index:
    return np.flatnonzero(np.isin(loaded.store.column("capture").numpy(), captures))


def _by_capture(loaded: Loaded, trained: list[int], config: SplitConfig, seed: int) -> Parts:
    rng = np.random.default_rng([seed, _SALT])
    capture_G = loaded.store.column("capture").numpy()
    attacked_G = loaded.store.column("label").numpy() > 0
    held: list[int] = []
    for is_attacked in (False, True):
        content: dict[str, list[int]] = {}
        for i in trained:
            if (loaded.captures[i].attack_frames > 0) == is_attacked:
                content.setdefault(loaded.captures[i].sha256, []).append(i)
        groups = list(content.values())
        # attacks are rare and uneven: of attacked captures they are shared out too
        counted = [capture_G, capture_G[attacked_G]][: 1 + is_attacked]
        weights = [[int(np.isin(of, group).sum()) for of in counted] for group in groups]
        held += [i for n in _dealt(np.array(weights), config.val, rng) for i in groups[n]]
    return _rows(loaded, [i for i in trained if i not in held]), _rows(loaded, held)


def _dealt(weights: Index, share: float, rng: np.random.Generator) -> list[int]:
    """Groups, at random, that have about `share` of every column; at least one, and never all."""
    if len(weights) < 2:
        return []
    part = weights / np.maximum(weights.sum(0), 1)
    have, chosen = np.zeros(part.shape[1]), list[int]()
    for n in rng.permutation(len(part)).tolist():
        closer = np.abs(have + part[n] - share).sum() < np.abs(have - share).sum()
        if closer and len(chosen) < len(part) - 1:
            chosen.append(n)
            have += part[n]
    return chosen or [int(part.sum(1).argmin())]


def _by_time(loaded: Loaded, trained: list[int], config: SplitConfig, seed: int) -> Parts:
    none = np.zeros(0, np.int64)
    train, val = [none], [none]
    for capture in trained:
        rows = _rows(loaded, [capture])
        if len(rows):
            first, stop = _block(loaded, rows, config)
            val.append(rows[first:stop])
            train.append(_outside(loaded, rows, first, stop, config.embargo_s))
    return np.concatenate(train), np.concatenate(val)


def _block(loaded: Loaded, rows: Index, config: SplitConfig) -> tuple[int, int]:
    """First and behind the last window of a capture's validation block."""
    length = max(1, len(rows) - round(len(rows) * (1 - config.val)))
    last = len(rows) - length
    if config.block == "last":
        return last, len(rows)
    attacked = loaded.store.column("label").numpy()[rows] > 0
    total = np.concatenate(([0], np.cumsum(attacked)))
    inside = total[length:] - total[: last + 1]
    away = np.abs(inside - config.val * total[-1])
    first = last - int(away[::-1].argmin())
    return first, first + length


def _outside(loaded: Loaded, rows: Index, first: int, stop: int, embargo: float) -> Index:
    """The windows of a capture that are far enough from its block `first` to `stop`."""
    store, size = loaded.store, int(loaded.store.attributes["window"]["size"])
    start_W, end_W, position_W = (
        store.column(name).numpy()[rows] for name in ("start_time", "end_time", "position")
    )
    # seconds that passed: a clock that jumps back takes nobody nearer or further
    since_W = np.concatenate(([0.0], np.cumsum(np.maximum(np.diff(start_W), 0.0))))
    until_W = since_W + np.maximum(end_W - start_W, 0.0)
    before = until_W[:first] <= since_W[first] - embargo
    before &= position_W[:first] + size <= position_W[first]
    after = since_W[stop:] >= until_W[stop - 1] + embargo
    after &= position_W[stop:] >= position_W[stop - 1] + size
    return np.concatenate([rows[:first][before], rows[stop:][after]])


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
    rng = np.random.default_rng([seed, _SALT])
    chosen = np.zeros(count, np.bool_)
    chosen[rng.permutation(count)[: round(count * config.val)]] = True
    return rows[~chosen[window]], rows[chosen[window]]
