"""Baselines learn what can be learnt, from training windows alone, and always the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from canbus_windows import traffic

from graphwright.data.classification import auroc
from graphwright.errors import DataError
from graphwright.tasks.canbus.baselines import (
    ALL_BENIGN,
    FOREST,
    ISOLATION,
    guess_windows,
    isolation_scores,
    random_forest_scores,
)
from graphwright.tasks.canbus.data_config import CanbusData, FolderSource, SplitConfig
from graphwright.tasks.canbus.events import score_alarms
from graphwright.tasks.canbus.splitting import split_windows
from graphwright.tasks.canbus.store import open_or_build
from graphwright.tasks.canbus.window_table import Windows, windows_of

REAL = Path(__file__).parents[4] / "shared/data/canbus/can-train-and-test"

TRAIN = traffic(0, 150, ["train_02"], ["dos", "fuzzing"])
VAL = traffic(1, 100, ["train_02"], ["dos"])
TEST = traffic(2, 150, ["test_01"], ["dos", "rpm"])


def benign(windows: Windows) -> Windows:
    return windows.take(~windows.attack)


def test_a_forest_finds_the_attacks_and_is_the_same_again() -> None:
    score = random_forest_scores(TRAIN.stats, TRAIN.label, TEST.stats, seed=0)
    assert auroc(score, TEST.label) > 0.99
    assert ((score >= 0) & (score <= 1)).all()
    again = random_forest_scores(TRAIN.stats, TRAIN.label, TEST.stats, seed=0)
    np.testing.assert_array_equal(score, again)
    other = random_forest_scores(TRAIN.stats, TRAIN.label, TEST.stats, seed=1)
    assert (score != other).any()


def test_isolation_needs_no_labels() -> None:
    known, score = isolation_scores(benign(TRAIN).stats, (VAL.stats, TEST.stats), seed=0)
    assert len(known) == len(VAL)
    assert auroc(score, TEST.label) > 0.7
    np.testing.assert_array_equal(
        isolation_scores(benign(TRAIN).stats, (TEST.stats,), seed=0)[0], score
    )


def test_the_supervised_have_a_forest_and_silence() -> None:
    found, notes = guess_windows(TRAIN, VAL, TEST, unsupervised=False, rate=0.01, seed=0)
    assert list(found) == [FOREST, ALL_BENIGN]
    assert not notes
    assert found[FOREST].threshold.value == 0.5
    assert not found[ALL_BENIGN].threshold.alarms(found[ALL_BENIGN].score).any()


def test_the_unsupervised_also_have_a_rival_without_labels() -> None:
    found, _ = guess_windows(TRAIN, VAL, TEST, unsupervised=True, rate=0.05, seed=0)
    assert list(found) == [ISOLATION, f"{FOREST}, taught the labels", ALL_BENIGN]
    threshold = found[ISOLATION].threshold
    assert (threshold.rule, threshold.rate) == ("benign_quantile", 0.05)
    assert threshold.windows == len(benign(VAL))
    alarms = threshold.alarms(found[ISOLATION].score)
    assert alarms[~TEST.attack].mean() < 0.15


def test_labels_of_test_windows_change_nothing() -> None:
    other = dataclasses.replace(TEST, label=1 - TEST.label)
    for unsupervised in (False, True):
        asked = {"unsupervised": unsupervised, "rate": 0.01, "seed": 0}
        one, _ = guess_windows(TRAIN, VAL, TEST, **asked)
        two, _ = guess_windows(TRAIN, VAL, other, **asked)
        for name, scored in one.items():
            np.testing.assert_array_equal(scored.score, two[name].score)


def test_what_cannot_be_fitted_is_told() -> None:
    only = guess_windows(benign(TRAIN), None, TEST, unsupervised=True, rate=0.01, seed=0)
    assert list(only[0]) == [ALL_BENIGN]
    assert [note.split(":")[0] for note in only[1]] == ["No isolation forest", "No random forest"]
    found, notes = guess_windows(None, VAL, TEST, unsupervised=False, rate=0.01, seed=0)
    assert list(found) == [ALL_BENIGN]
    assert "not at hand" in notes[0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="benign and attack"):
        random_forest_scores(TRAIN.stats, np.ones(len(TRAIN)), TEST.stats, seed=0)
    broken = TEST.stats.copy()
    broken[3, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        random_forest_scores(TRAIN.stats, TRAIN.label, broken, seed=0)
    assert len(random_forest_scores(TRAIN.stats, TRAIN.label, TEST.stats[:0], seed=0)) == 0


@pytest.mark.real_data
def test_the_forest_on_real_captures(tmp_path: Path) -> None:
    if not (REAL / "set_04").is_dir():
        pytest.skip("needs ../shared/data/canbus/can-train-and-test")
    source = FolderSource(path=str(REAL), dataset="set_04", limit=60_000)
    loaded = open_or_build(CanbusData(source=source), tmp_path)
    rows = split_windows(loaded, SplitConfig(), 0)
    train, test = windows_of(loaded, rows["train"]), windows_of(loaded, rows["test"])
    assert [place.attack for place in test.places][:3] == ["rpm-accessory"] * 2 + [
        "speed-accessory"
    ]
    assert len(test) == 7 * 600
    score = random_forest_scores(train.stats, train.label, test.stats, seed=0)
    known = test.named("folder") == "test_01_known_vehicle_known_attack"
    # .975; trained and tested on captures in full: .998, F1 .997
    assert auroc(score[known], test.label[known]) > 0.95
    found = score_alarms(test.take(known), score[known] > 0.5)
    assert (found.events, found.caught) == (5, 5)
