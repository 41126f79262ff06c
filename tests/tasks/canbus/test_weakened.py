"""Attacks with fewer injected frames: benign frames untouched, other splits out of reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphwright.data.batch import GraphBatch
from graphwright.data.source import Subset
from graphwright.tasks.canbus.capture_writer import write_capture
from graphwright.tasks.canbus.data_config import CanbusData, FolderSource, SplitConfig, WindowConfig
from graphwright.tasks.canbus.loaded import Loaded
from graphwright.tasks.canbus.parts import Joined, WithStates
from graphwright.tasks.canbus.splitting import split_windows
from graphwright.tasks.canbus.store import open_or_build
from graphwright.tasks.canbus.traffic import generate_traffic
from graphwright.tasks.canbus.traffic_attacks import inject
from graphwright.tasks.canbus.weakened import thinned_frames, weakened_sources

LEVELS = (1.0, 5.0)


@given(
    attack=st.lists(st.integers(0, 1), max_size=200),
    level=st.floats(0.1, 50),
    size=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_only_injected_frames_are_left_out(attack, level, size, seed):
    flags = np.array(attack, np.uint8)
    kept = thinned_frames(flags, level, size, np.random.default_rng(seed))
    assert (np.diff(kept) > 0).all()
    assert set(np.flatnonzero(flags == 0)) <= set(kept.tolist())
    if level >= size:
        assert len(kept) == len(flags)


def test_about_so_many_injected_frames_remain():
    flags = np.tile(np.repeat([0, 1], 50).astype(np.uint8), 400)
    for level in LEVELS:
        kept = thinned_frames(flags, level, 100, np.random.default_rng(0))
        assert flags[kept].sum() / 400 == pytest.approx(level, rel=0.1)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[CanbusData, Loaded]:
    root = tmp_path_factory.mktemp("weakened")
    for number, (place, attack) in enumerate(
        {
            "train_01/calm-1.csv": "",
            "train_02/dos-1.csv": "DoS",
            "train_02/dos-2.csv": "DoS",
            "test_01/dos-3.csv": "DoS",
        }.items()
    ):
        frames = generate_traffic(6.0, seed=number, vehicle=1)
        if attack:
            for start in (1.0, 4.0):
                frames = inject(frames, attack, number, start, start + 1.0)
        write_capture(frames, root / "captures" / place)
    data = CanbusData(
        source=FolderSource(path=str(root / "captures")),
        window=WindowConfig(size=50, stride=50),
        split=SplitConfig(by="time", block="balanced", embargo_s=0.1),
    )
    return data, open_or_build(data, root / "data")


def test_weakened_windows_are_attacks_with_fewer_frames(prepared) -> None:
    data, loaded = prepared
    rows = split_windows(loaded, data.split, 0)["train"]
    whole = loaded.store.column("attack_frames").numpy()[rows]
    found = weakened_sources(loaded, data, rows, LEVELS, seed=0)
    assert len(found) == 4  # two captures, two levels
    for source, level in zip(found, LEVELS * 2, strict=True):
        counts = source.batch(np.arange(len(source))).graphs
        assert (counts["label"] == 1).all()
        mean = counts["attack_frames"].float().mean()
        # a thinned window reaches further, and only those with an attack are kept
        assert 1 <= mean < min(4 * level, whole[whole > 0].mean())
    again = weakened_sources(loaded, data, rows, LEVELS, seed=0)
    assert [len(a) for a in again] == [len(a) for a in found]
    assert weakened_sources(loaded, data, rows, (), seed=0) == []


@pytest.mark.parametrize(("here", "there"), [("train", "val"), ("val", "train")])
def test_no_frame_of_another_split_is_used(prepared, here: str, there: str) -> None:
    data, loaded = prepared
    splits, store = split_windows(loaded, data.split, 0), loaded.store
    capture, start, end = (
        store.column(name).numpy() for name in ("capture", "start_time", "end_time")
    )
    for number, info in enumerate(loaded.captures):
        if not info.attack_frames or not info.folder.startswith("train"):
            continue
        rows = splits[here][capture[splits[here]] == number]
        other = splits[there][capture[splits[there]] == number]
        found = weakened_sources(loaded, data, rows, LEVELS, seed=3)
        assert found
        for source in found:
            graphs = source.batch(np.arange(len(source))).graphs
            first, last = graphs["start_time"].numpy(), graphs["end_time"].numpy()
            touches = (start[other] <= last[:, None]) & (end[other] >= first[:, None])
            assert not touches.any()


def test_windows_of_several_sources_keep_their_order(prepared) -> None:
    data, loaded = prepared
    rows = split_windows(loaded, data.split, 0)["train"]
    further = weakened_sources(loaded, data, rows, LEVELS, seed=0)
    joined = Joined(Subset(loaded.store, rows), further)
    assert len(joined) == len(rows) + sum(map(len, further))
    assert len(joined.sizes()) == len(joined)
    index = np.random.default_rng(0).permutation(len(joined))[:64]
    batch = joined.batch(index)
    assert isinstance(batch, GraphBatch)
    for place, want in enumerate(index.tolist()):
        alone = joined.batch(np.array([want]))
        nodes = slice(*batch.node_ptr[place : place + 2].tolist())
        edges = slice(*batch.edge_ptr[place : place + 2].tolist())
        assert torch.equal(batch.nodes["x"][nodes], alone.nodes["x"])
        assert torch.equal(batch.edge_index[:, edges] - nodes.start, alone.edge_index)
        assert torch.equal(batch.graphs["stats"][place], alone.graphs["stats"][0])
    states = torch.arange(len(joined), dtype=torch.float32)[:, None]
    assert WithStates(joined, states).batch(index).graphs["states"][:, 0].tolist() == list(index)
