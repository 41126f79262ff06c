"""Splits: by capture, by time with an embargo, at random as published; tests stay tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canbus_frames import capture, random_frames

from graphwright.errors import DataError
from graphwright.tasks.canbus.data_config import SplitConfig, WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.splitting import benign_rows, split_windows
from graphwright.tasks.canbus.store import Loaded, open_store
from graphwright.tasks.canbus.store_build import build_store

WINDOW = WindowConfig(size=20, stride=10)
KINDS = ("capture", "time", "legacy_random")


def steady(count: int, seed: int, *, attacks: bool) -> Frames:
    """A frame every 10 ms."""
    frames = random_frames(count, seed)
    attack = frames.attack if attacks else np.zeros(count, np.uint8)
    if attacks:
        attack[count // 2] = 1
    return replace(frames, time=np.arange(count) / 100, attack=attack)


def build(folder: Path, captures: list[Any], *, deduplicate: bool = True) -> Loaded:
    build_store(captures, folder, window=WINDOW, fields=8, deduplicate=deduplicate, strict=False)
    return open_store(folder)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Three quiet and three attacked training captures, two test folders."""
    names = [("train_01_quiet", f"q-{i}", False) for i in range(3)]
    names += [("train_02_loud", f"a-{i}", True) for i in range(3)]
    names += [("test_01_x", "t-1", True), ("test_02_y", "t-1", True), ("test_02_y", "t-2", False)]
    captures = [
        capture(folder, name, steady(600 + 70 * i, i, attacks=attacks))
        for i, (folder, name, attacks) in enumerate(names)
    ]
    return build(tmp_path_factory.mktemp("store"), captures)


def captures_of(loaded: Loaded, rows: Any) -> set[int]:
    return set(loaded.store.column("capture").numpy()[rows].tolist())


def folders_of(loaded: Loaded, rows: Any) -> set[str]:
    return {loaded.captures[i].folder for i in captures_of(loaded, rows)}


def check_disjoint(splits: Mapping[str, Any], count: int) -> None:
    rows = np.concatenate([splits[name] for name in ("train", "val", "test")])
    assert len(np.unique(rows)) == len(rows) <= count
    for found in splits.values():
        assert (np.diff(found) > 0).all()


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_window_is_in_two_splits(loaded: Loaded, by: Any, seed: int) -> None:
    splits = split_windows(loaded, SplitConfig(by=by), seed)
    check_disjoint(splits, len(loaded.store))
    for name in ("train", "val"):
        assert folders_of(loaded, splits[name]) <= {"train_01_quiet", "train_02_loud"}
        labels = loaded.store.column("label").numpy()[splits[name]]
        assert 0 < labels.mean() < 1
    assert folders_of(loaded, splits["test"]) == {"test_01_x", "test_02_y"}
    assert folders_of(loaded, splits["test/test_01_x"]) == {"test_01_x"}
    parts = [rows for name, rows in splits.items() if name.startswith("test/")]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), splits["test"])
    again = split_windows(loaded, SplitConfig(by=by), seed)
    assert splits.keys() == again.keys()
    for name, rows in splits.items():
        np.testing.assert_array_equal(rows, again[name])


def test_by_capture_keeps_captures_whole(loaded: Loaded) -> None:
    splits = split_windows(loaded, SplitConfig(by="capture", val=0.3), 0)
    train, val = captures_of(loaded, splits["train"]), captures_of(loaded, splits["val"])
    assert not train & val
    assert train | val == set(range(6))
    for chosen in (train, val):
        assert {loaded.captures[i].attack_frames > 0 for i in chosen} == {False, True}


def test_by_time_is_the_end_of_every_capture_behind_an_embargo(loaded: Loaded) -> None:
    config = SplitConfig(by="time", val=0.25, embargo_s=0.5)
    splits = split_windows(loaded, config, 0)
    store = loaded.store
    capture_G = store.column("capture").numpy()
    start, end = store.column("start_time").numpy(), store.column("end_time").numpy()
    for number in range(6):
        train, val = (rows[capture_G[rows] == number] for rows in (splits["train"], splits["val"]))
        own = np.flatnonzero(capture_G == number)
        assert val[-1] == own[-1]
        assert len(val) == len(own) - round(0.75 * len(own))
        distance = start[val[0]] - end[train[-1]]
        assert 0.5 <= distance < 0.5 + 0.11  # one stride more would have been too many
        assert (train == own[: len(train)]).all()


def test_without_embargo_no_frame_is_shared(loaded: Loaded) -> None:
    splits = split_windows(loaded, SplitConfig(by="time", embargo_s=0.0), 0)
    capture_G = loaded.store.column("capture").numpy()
    position = loaded.store.column("position").numpy()
    for number in range(6):
        train, val = (rows[capture_G[rows] == number] for rows in (splits["train"], splits["val"]))
        assert position[train[-1]] + WINDOW.size <= position[val[0]]
        assert position[train[-1]] + 2 * WINDOW.size > position[val[0]]


def test_the_seed_of_the_configuration_comes_first(loaded: Loaded) -> None:
    config = SplitConfig(by="legacy_random")
    one, other = (split_windows(loaded, config, seed)["val"] for seed in (1, 2))
    assert len(one) == len(other)
    assert not np.array_equal(one, other)
    fixed = replace(config, seed=1)
    np.testing.assert_array_equal(split_windows(loaded, fixed, 2)["val"], one)
    rows = np.flatnonzero(loaded.store.column("capture").numpy() < 6)
    assert len(one) == round(0.2 * len(rows))


def test_normals_only_is_only_normals(loaded: Loaded) -> None:
    train = split_windows(loaded, SplitConfig(), 0)["train"]
    benign = benign_rows(loaded, train)
    attacked = loaded.store.column("attack_frames").numpy()
    assert 0 < len(benign) < len(train)
    assert attacked[benign].sum() == 0
    assert len(benign) + (attacked[train] > 0).sum() == len(train)


@pytest.mark.parametrize("by", KINDS)
def test_copies_never_lie_on_two_sides(tmp_path: Path, by: Any) -> None:
    frames = [steady(500, i, attacks=i % 2 == 1) for i in range(5)]
    captures = [capture("train_1", f"c-{i}", f, sha256=f"{i}") for i, f in enumerate(frames)]
    captures += [capture("train_2", f"d-{i}", f, sha256=f"{i}") for i, f in enumerate(frames)]
    captures += [
        capture("test_1", "copy-1", frames[0], sha256="0"),
        capture("test_1", "new-1", steady(300, 9, attacks=True)),
    ]
    loaded = build(tmp_path, captures, deduplicate=False)
    splits = split_windows(loaded, SplitConfig(by=by, val=0.4), 3)
    check_disjoint(splits, len(loaded.store))
    contents = {}
    position, capture_G = (loaded.store.column(n).numpy() for n in ("position", "capture"))
    for name in ("train", "val", "test"):
        contents[name] = {
            (loaded.captures[capture_G[row]].sha256, int(position[row])) for row in splits[name]
        }
    assert not contents["train"] & contents["val"]
    assert not (contents["train"] | contents["val"]) & contents["test"]
    assert {loaded.captures[i].name for i in captures_of(loaded, splits["test"])} == {"new-1"}


def test_a_clock_that_jumps_lets_nothing_in(tmp_path: Path) -> None:
    frames = steady(400, 0, attacks=True)
    time = frames.time.copy()
    time[300:] -= 100.0
    captures = [
        capture("train_1", "a-1", replace(frames, time=time)),
        capture("train_1", "a-2", steady(400, 1, attacks=True)),
        capture("test_1", "t-1", steady(100, 2, attacks=True)),
    ]
    loaded = build(tmp_path, captures)
    splits = split_windows(loaded, SplitConfig(by="time"), 0)
    position, capture_G = (loaded.store.column(n).numpy() for n in ("position", "capture"))
    for number in (0, 1):
        last, first = (splits[name][capture_G[splits[name]] == number] for name in ("train", "val"))
        # a frame every 10 ms, whatever the clock says
        assert position[first[0]] - (position[last[-1]] + WINDOW.size - 1) in range(100, 131)


def test_a_balanced_block_has_its_share_of_the_attacks(tmp_path: Path) -> None:
    frames = steady(2000, 0, attacks=False)
    frames.attack[400:800:10] = 1
    captures = [
        capture("train_1", "a-1", frames),
        capture("train_1", "a-2", steady(2000, 1, attacks=False)),
        capture("test_1", "t-1", steady(100, 2, attacks=True)),
    ]
    loaded = build(tmp_path, captures)
    label, capture_G = (loaded.store.column(n).numpy() for n in ("label", "capture"))
    last = split_windows(loaded, SplitConfig(by="time", embargo_s=0.5), 0)
    assert label[last["val"]].sum() == 0
    config = SplitConfig(by="time", embargo_s=0.5, block="balanced")
    splits = split_windows(loaded, config, 0)
    check_disjoint(splits, len(loaded.store))
    inside = label[splits["val"]].sum() / label[capture_G < 2].sum()
    assert inside == pytest.approx(0.2, abs=0.03)
    # where nothing is attacked the block is the last one
    quiet = np.flatnonzero(capture_G == 1)
    assert np.isin(quiet[-1], splits["val"])
    position = loaded.store.column("position").numpy()
    val, train = (position[rows[capture_G[rows] == 0]] for rows in (splits["val"], splits["train"]))
    before, after = train[train < val[0]], train[train > val[-1]]
    assert val[0] - (before[-1] + WINDOW.size - 1) >= 50
    assert after[0] - (val[-1] + WINDOW.size - 1) >= 50
    assert len(before)
    assert len(after)


def test_attacked_captures_are_dealt_by_their_attacks(tmp_path: Path) -> None:
    captures = []
    for i, count in enumerate((300, 10, 20, 30, 40)):
        frames = steady(800, i, attacks=False)
        frames.attack[: 2 * count : 2] = 1
        captures.append(capture("train_1", f"a-{i}", frames))
    captures.append(capture("test_1", "t-1", steady(100, 9, attacks=True)))
    loaded = build(tmp_path, captures)
    label = loaded.store.column("label").numpy()
    for seed in range(5):
        splits = split_windows(loaded, SplitConfig(by="capture", val=0.2), seed)
        # most attacks lie in one capture, which is more than a fifth of them: it trains
        assert 0 in captures_of(loaded, splits["train"])
        assert 0 < label[splits["val"]].sum() < label[splits["train"]].sum()


def test_folders_of_other_names_are_an_error(tmp_path: Path) -> None:
    loaded = build(tmp_path, [capture("drive", "a-1", steady(100, 0, attacks=True))])
    with pytest.raises(DataError, match=r"train_\* and test_\*, not only drive"):
        split_windows(loaded, SplitConfig(), 0)


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    captures = [
        capture("train_1", "a-1", steady(100, 0, attacks=True)),
        capture("test_1", "t-1", steady(100, 2, attacks=True)),
    ]
    loaded = build(tmp_path, captures)
    with pytest.raises(DataError, match="the split 'train'"):
        split_windows(loaded, SplitConfig(by="time", embargo_s=60.0), 0)
    with pytest.raises(DataError, match="the split 'val'"):
        split_windows(loaded, SplitConfig(by="capture"), 0)
