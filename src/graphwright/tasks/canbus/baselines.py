"""What a graph network has to beat: forests on 17 id-free statistics of a window, and silence.

G = windows. The statistics are explained in `window_stats`; scikit-learn is imported when asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError
from graphwright.tasks.canbus.thresholds import Threshold, fit_threshold
from graphwright.tasks.canbus.window_table import Windows

__all__ = [
    "ALL_BENIGN",
    "FOREST",
    "ISOLATION",
    "TREES",
    "Scored",
    "guess_windows",
    "isolation_scores",
    "random_forest_scores",
]

Scores = NDArray[np.float64]

TREES = 100
FOREST = "random forest, 17 statistics"
ISOLATION = "isolation forest, 17 statistics"
ALL_BENIGN = "all benign"


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores `[G]`, higher is more of an attack, and the threshold that makes them alarms.

    `calibrated`: whether the score can also be judged by thresholds from the first seconds of each
    capture (not a constant).
    """

    score: Scores
    threshold: Threshold
    calibrated: bool = True


def guess_windows(
    train: Windows | None,
    val: Windows | None,
    test: Windows,
    *,
    unsupervised: bool,
    rate: float,
    seed: int,
) -> tuple[dict[str, Scored], list[str]]:
    """Every baseline's scores of the test windows.

    A forest that is taught the training labels, judged at 0.5; beside a model that sees only
    benign windows also its like-for-like rival, an isolation forest on the benign ones, with a
    threshold from benign validation windows; and the constant "all benign".

    Args:
        train: windows that the model was trained on, or, where it skips the attacks among them,
            could have been; None: not at hand, then there are no forests.
        val: where the isolation forest's threshold is from; None: there is no such forest.
        test: what is judged; their labels are not looked at.
        unsupervised: the model is taught no labels.
        rate: false positives that are wanted of the isolation forest.
        seed: of the forests.

    Returns:
        Scores by name, and what a reader must know about rows that are not there.
    """
    silent = Scored(np.zeros(len(test)), Threshold(value=0.5), calibrated=False)
    if train is None:
        return {ALL_BENIGN: silent}, ["No forests: the training windows are not at hand."]
    found, notes = {}, []
    if unsupervised and val is not None and (~val.attack).any() and (~train.attack).any():
        benign = train.stats[~train.attack]
        known, asked = isolation_scores(benign, (val.stats, test.stats), seed=seed)
        found[ISOLATION] = Scored(asked, fit_threshold(known, val.label, rate=rate))
    elif unsupervised:
        notes.append("No isolation forest: it needs benign training and validation windows.")
    if train.attack.any() and not train.attack.all():
        name = f"{FOREST}, taught the labels" if unsupervised else FOREST
        score = random_forest_scores(train.stats, train.label, test.stats, seed=seed)
        found[name] = Scored(score, Threshold(value=0.5))
    else:
        notes.append("No random forest: the training windows are all of one class.")
    return {**found, ALL_BENIGN: silent}, notes


def random_forest_scores(
    train_stats: ArrayLike, train_label: ArrayLike, test_stats: ArrayLike, *, seed: int
) -> Scores:
    """Share of the trees' votes for an attack `[G]` (Breiman 2001), on one thread.

    100 trees, otherwise scikit-learn's defaults.

    Args:
        train_stats, train_label: what is fitted, both classes.
        test_stats: of the windows that are judged.
        seed: the same seed gives the same forest.

    Raises:
        DataError: a statistic that is not finite, or labels of one class only.
    """
    from sklearn.ensemble import RandomForestClassifier  # a second to import

    known, asked = _features(train_stats), _features(test_stats)
    attack = np.asarray(train_label) != 0
    if attack.all() or not attack.any():
        raise DataError("a random forest needs benign and attack windows to train on")
    forest = RandomForestClassifier(n_estimators=TREES, random_state=seed, n_jobs=1)
    forest.fit(known, attack)
    if not len(asked):
        return np.zeros(0)
    return np.asarray(forest.predict_proba(asked)[:, 1], dtype=np.float64)


def isolation_scores(
    benign_stats: ArrayLike, asked_stats: tuple[ArrayLike, ...], *, seed: int
) -> tuple[Scores, ...]:
    """How easily windows are isolated from benign ones, 0..1 (Liu et al., ICDM 2008).

    100 trees, otherwise scikit-learn's defaults.

    Args:
        benign_stats: what is fitted.
        asked_stats: of windows that are judged, each gets its own scores.
        seed: the same seed gives the same forest.

    Raises:
        DataError: a statistic that is not finite.
    """
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, random_state=seed, n_jobs=1)
    forest.fit(_features(benign_stats))
    asked = [_features(part) for part in asked_stats]
    return tuple(
        -forest.score_samples(part).astype(np.float64) if len(part) else np.zeros(0)
        for part in asked
    )


def _features(values: ArrayLike) -> NDArray[np.float32]:
    features = np.asarray(values, dtype=np.float32)
    if not np.isfinite(features).all():
        raise DataError("a statistic of a window is not finite")
    return features
