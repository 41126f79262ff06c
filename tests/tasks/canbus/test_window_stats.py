"""The statistics of windows: seventeen, by hand, and blind to the names of ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from canbus_frames import random_frames

from graphwright.tasks.canbus.data_config import WindowConfig
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.window_stats import STATISTICS, window_statistics
from graphwright.tasks.canbus.windows import window_graphs


def stats_of(frames: Frames) -> dict[str, float]:
    graphs = window_graphs(frames, WindowConfig(size=len(frames), stride=len(frames)))
    return dict(zip(STATISTICS, graphs.stats[0].tolist(), strict=True))


def test_there_are_seventeen_and_each_is_explained() -> None:
    assert len(set(STATISTICS)) == len(STATISTICS) == 17
    for name in STATISTICS:
        assert name in (window_statistics.__doc__ or "")


def test_values_by_hand() -> None:
    payload = np.zeros((4, 8), np.uint8)
    payload[2, 0] = 16
    found = stats_of(
        Frames(
            time=np.array([0.0, 0.5, 0.75, 2.0]),
            id=np.array([7, 7, 7, 1], np.uint32),
            extended=np.zeros(4, np.bool_),
            length=np.array([8, 8, 8, 0], np.uint8),
            payload=payload,
            attack=np.zeros(4, np.uint8),
        )
    )
    assert found["ids"] == 2
    assert found["id_entropy"] == pytest.approx(2 - 0.75 * np.log2(3))
    assert found["top_id_share"] == 0.75
    assert found["gap_mean"] == pytest.approx(2 / 3)
    assert found["gap_sd"] == pytest.approx(np.std([0.5, 0.25, 1.25]))
    assert (found["gap_min"], found["gap_max"], found["repeat_min"]) == (0.25, 1.25, 0.25)
    assert found["byte_mean"] == 0.5
    assert found["byte_sd"] == pytest.approx(np.std(payload))
    share = 1 / 32
    expected = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    assert found["byte_entropy"] == pytest.approx(expected, rel=1e-6)
    assert found["change_rate"] == 0.5
    assert found["move_mean"] == pytest.approx(16 / 16)
    assert found["transitions"] == 2
    assert found["self_loop_share"] == pytest.approx(2 / 3)
    assert found["length_mean"] == 6
    assert found["empty_share"] == 0.25


def test_an_id_that_never_repeats_has_waited_the_whole_window() -> None:
    frames = replace(
        random_frames(5),
        id=np.arange(5, dtype=np.uint32),
        time=np.array([0.0, 1.0, 2.0, 3.0, 7.0]),
    )
    found = stats_of(frames)
    assert found["repeat_min"] == 7
    assert found["change_rate"] == found["move_mean"] == 0


def test_renaming_the_ids_changes_nothing() -> None:
    frames, config = random_frames(500, seed=2), WindowConfig(size=50, stride=50)
    frames = replace(frames, extended=np.zeros(500, np.bool_))
    names = np.random.default_rng(0).permutation(2000).astype(np.uint32)
    renamed = replace(frames, id=names[frames.id])
    one, other = (window_graphs(f, config).stats for f in (frames, renamed))
    np.testing.assert_array_equal(one, other)


def test_constant_event_fields_have_no_spread() -> None:
    frames = random_frames(60, fields=2)
    frames.payload[:] = 0.1
    found = stats_of(frames)
    assert found["byte_sd"] == found["byte_entropy"] == found["change_rate"] == 0
    assert found["byte_mean"] == pytest.approx(0.1)
