"""The one-hot MLP among the nulls: it knows which genes are deleted, and no network.

Legend: S = sets, F = features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["fit_mlp"]

Values = NDArray[np.float64]
HoldOut = tuple[NDArray[np.int64], NDArray[np.int64]]

HIDDEN = 64
BATCH = 128
RATE = 1e-3
PENALTIES = (1e-2, 1.0, 30.0)  # L2, as scikit-learn counts it
EPOCHS = 50
VISITS = 600_000  # sets seen in one training at most: large tables need fewer epochs


def fit_mlp(
    train: sparse.csr_matrix,
    label_S: Values,
    asked: sparse.csr_matrix,
    holds: Sequence[HoldOut],
    *,
    calls: bool,
    seed: int,
) -> tuple[Values, str]:
    """Predictions of a network of one hidden layer (64, ReLU, Adam), on one thread.

    Penalty and number of epochs are those with the least loss on the hold-outs.

    Args:
        train, label_S: features and labels to fit.
        asked: features of what is predicted.
        holds: rows to fit and rows held out, of `train`; without any: the middle penalty, all
            epochs.
        calls: log odds of a call instead of scores.
        seed: the same seed gives the same network.

    Returns:
        Predictions `[S]`, and the chosen settings as a sentence.
    """
    used_F = np.flatnonzero(train.getnnz(axis=0))
    train, asked = train[:, used_F], asked[:, used_F]
    mean, scale = (0.0, 1.0) if calls else (float(label_S.mean()), float(label_S.std()) or 1.0)
    target_S = (label_S - mean) / scale
    epochs = max(2, min(EPOCHS, VISITS // max(train.shape[0], 1)))
    penalty = PENALTIES[len(PENALTIES) // 2]

    def one(hold: HoldOut, penalty: float) -> Values:
        return _losses(train, target_S, hold, penalty, epochs, calls=calls, seed=seed)

    if holds:
        losses_HE = [np.sum([one(hold, p) for hold in holds], axis=0) for p in PENALTIES]
        best = [int(np.argmin(losses_E)) for losses_E in losses_HE]
        chosen = int(np.argmin([losses_HE[i][best[i]] for i in range(len(PENALTIES))]))
        penalty, epochs = PENALTIES[chosen], best[chosen] + 1
    network = _network(penalty, calls=calls, seed=seed)
    for _ in range(epochs):
        _one_epoch(network, train, target_S, calls=calls)
    note = f"One-hot MLP: {HIDDEN} hidden, L2 {penalty:g}, {epochs} epochs."
    return mean + scale * _predict(network, asked, calls=calls), note


def _losses(
    features: sparse.csr_matrix,
    target_S: Values,
    hold: HoldOut,
    penalty: float,
    epochs: int,
    *,
    calls: bool,
    seed: int,
) -> Values:
    """Loss on the held-out rows after every epoch."""
    known, held = hold
    network = _network(penalty, calls=calls, seed=seed)
    losses = []
    for _ in range(epochs):
        _one_epoch(network, features[known], target_S[known], calls=calls)
        predicted_S = _predict(network, features[held], calls=calls)
        if calls:
            loss_S = np.logaddexp(0, predicted_S) - target_S[held] * predicted_S
        else:
            loss_S = np.square(predicted_S - target_S[held])
        losses.append(float(loss_S.mean()))
    return np.array(losses)


def _network(penalty: float, *, calls: bool, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor  # a second to import

    kind = MLPClassifier if calls else MLPRegressor
    return kind(
        hidden_layer_sizes=(HIDDEN,),
        alpha=penalty,
        batch_size=BATCH,
        learning_rate_init=RATE,
        random_state=seed,
    )


def _one_epoch(network: Any, features: Any, target_S: Values, *, calls: bool) -> None:
    network.batch_size = min(BATCH, len(target_S))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one pass over the data is meant not to converge
        if calls:
            network.partial_fit(features, target_S.astype(np.int64), classes=[0, 1])
        else:
            network.partial_fit(features, target_S)


def _predict(network: Any, features: Any, *, calls: bool) -> Values:
    if not calls:
        return np.asarray(network.predict(features), np.float64)
    chance_S = np.clip(network.predict_proba(features)[:, 1], 1e-12, 1 - 1e-12)
    return np.asarray(np.log(chance_S) - np.log1p(-chance_S), np.float64)
