"""What is known without a network: the nulls that a graph model must beat.

All are fitted on the very sets that the model was trained on, with strengths chosen on hold-outs of
these that are drawn by the rule that drew the test split. Scores (ε, τ) get ridge regressions,
calls logistic ones. Legend: S = sets, N = genes, F = features.

| null | prediction |
|---|---|
| train mean | one number |
| query mean | mean of the training sets of the same query; where there is none, the train mean |
| per-gene ridge | μ + Σ b_gene, with an L2 penalty on b (Hoerl & Kennard, 1970) |
| ridge + query | the same with a further term for the query group |
| ridge + query + overlaps | no null: it knows the networks as the model's overlap head does |
| one-hot MLP | one hidden layer on the genes of the set, which can express pairs |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.null_mlp import fit_mlp
from graphwright.tasks.genes.splitting import split_sets

__all__ = ["OVERLAP_ROWS", "GeneRidge", "NullsConfig", "fit_gene_ridge", "fit_nulls", "query_means"]

Values = NDArray[np.float64]
Matrix: TypeAlias = sparse.csr_matrix
HoldOut = tuple[NDArray[np.int64], NDArray[np.int64]]

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # L2 penalties: of ridge, and 1 / C
HOLD_OUTS = 3
HELD_OUT = 0.2  # of the training sets
OVERLAP_ROWS = ("ridge + query + overlaps", "logistic + query + overlaps")  # of scores, of calls
_LARGEST = 8.0  # of a scaled overlap, as in the model


@dataclass(frozen=True, kw_only=True)
class NullsConfig:
    """How nulls are fitted.

    Attributes:
        num_genes: N.
        calls: labels are calls (1 or 0) instead of scores.
        split: the rule of the test split; hold-outs follow it.
        seed: of hold-outs and of the MLP.
        mlp: whether the one-hot MLP is fitted, which takes most of the time.
    """

    num_genes: int
    calls: bool = False
    split: SplitConfig = field(default_factory=SplitConfig)
    seed: int = 0
    mlp: bool = True


@dataclass(frozen=True, eq=False)
class GeneRidge:
    """A fitted per-gene ridge: prediction = `mean` + Σ `weight_N` over the genes of a set.

    Attributes:
        mean: intercept, in the label's unit.
        weight_N: `[N]`; 0 for genes that no training set has.
        strength: the chosen penalty.
    """

    mean: float
    weight_N: Values
    strength: float

    def predict(self, sets: LabelledSets) -> Values:
        """Predictions `[S]` in the label's unit."""
        predicted_S: Values = self.mean + sets.membership(len(self.weight_N)) @ self.weight_N
        return predicted_S


def fit_nulls(
    train: LabelledSets,
    asked: LabelledSets,
    config: NullsConfig,
    overlaps: tuple[Values, Values] | None = None,
) -> tuple[dict[str, Values], list[str]]:
    """Every null's prediction for the asked sets.

    Args:
        train: what the model was trained on.
        asked: what is predicted; their labels are not looked at.
        config: how.
        overlaps: features `[S, F]` of the networks for the training and the asked sets, where the
            model looks them up: then the same linear model on genes, queries and these is one more
            row. It is no null, it tells what a graph model adds to its own features.

    Returns:
        Predictions `[S]` by name (scores in the label's unit, of calls a number that orders), and
        what a reader must know of them.
    """
    mean = float(train.label.mean())
    found = {"train mean": np.full(len(asked), mean), "query mean": query_means(train, asked)}
    if config.calls and len(np.unique(train.label)) < 2:
        return found, ["No other nulls: all training labels are equal."]
    holds = list(_hold_outs(train, config))
    linear = _logistic if config.calls else _ridge
    notes = []
    for name, features in _linear_features(train, asked, config, overlaps).items():
        strength = _strength(features[0], train.label, holds, linear)
        found[name] = linear(features[0], train.label, strength)(features[1])
        notes.append(f"{name} {strength:g}")
    notes = [f"Penalties chosen on hold-outs of training: {', '.join(notes)}."]
    if config.mlp:
        one, two = (_features(sets, config, None) for sets in (train, asked))
        found["one-hot MLP"], note = fit_mlp(
            one, train.label, two, holds, calls=config.calls, seed=config.seed
        )
        notes.append(note)
    return found, notes


def _linear_features(
    train: LabelledSets,
    asked: LabelledSets,
    config: NullsConfig,
    overlaps: tuple[Values, Values] | None,
) -> dict[str, tuple[Matrix, Matrix]]:
    """Features of the training and of the asked sets, by the name of the row."""
    kind = "logistic" if config.calls else "ridge"
    alone = "logistic per gene" if config.calls else "per-gene ridge"
    known_K = np.unique(train.pair)
    found = {}
    for name, pairs in ((alone, None), (f"{kind} + query", known_K)):
        found[name] = (_features(train, config, pairs), _features(asked, config, pairs))
    if overlaps is not None:
        square_F = np.square(overlaps[0]).mean(axis=0)
        scale_F = np.where(square_F > 0, np.sqrt(square_F), 1.0)
        before = found[f"{kind} + query"]
        one, two = (
            sparse.hstack([genes, np.minimum(part / scale_F, _LARGEST)], format="csr")
            for genes, part in zip(before, overlaps, strict=True)
        )
        found[OVERLAP_ROWS[config.calls]] = (one, two)
    return found


def fit_gene_ridge(train: LabelledSets, config: NullsConfig) -> GeneRidge:
    """The per-gene ridge alone: the base of a model that learns what additive effects leave.

    Args:
        train: what it is fitted on.
        config: number of genes, split rule and seed; of labels that are calls it is the linear
            probability.
    """
    features = _features(train, config, None)
    strength = _strength(features, train.label, list(_hold_outs(train, config)), _ridge)
    mean, weight_F = _ridge_weights(features, train.label, strength)
    return GeneRidge(mean, weight_F, strength)


def query_means(train: LabelledSets, asked: LabelledSets) -> Values:
    """Mean label of the training sets of the same query `[S]`; of unknown queries the train mean.

    Raises:
        DataError: there are no training sets.
    """
    if not len(train):
        raise DataError("no training set has a label: there is nothing to fit")
    known_K, member_S = np.unique(train.pair, return_inverse=True)
    mean_K = np.bincount(member_S.reshape(-1), train.label) / np.bincount(member_S.reshape(-1))
    mean = float(train.label.mean())
    columns = asked.pair_columns(known_K)
    known_S = np.asarray(columns.sum(axis=1)).reshape(-1) > 0
    predicted_S: Values = np.where(known_S, columns @ mean_K, mean)
    return predicted_S


def _hold_outs(train: LabelledSets, config: NullsConfig) -> Iterator[HoldOut]:
    """Hold-outs of the training sets by the rule of the test split, else (too few) at random."""
    rule = replace(config.split, val=0.0, test=HELD_OUT, seed=None)
    for number in range(HOLD_OUTS):
        seed = config.seed * HOLD_OUTS + number
        try:
            rows = split_sets(train, rule, seed).rows
        except DataError:
            if len(train) < 10:
                return
            rows = split_sets(train, replace(rule, by="random"), seed).rows
        yield rows["train"], rows["test"]


def _features(sets: LabelledSets, config: NullsConfig, known_K: NDArray[np.int64] | None) -> Matrix:
    genes = sets.membership(config.num_genes)
    if known_K is None:
        return genes
    return sparse.hstack([genes, sets.pair_columns(known_K)], format="csr")


def _strength(
    features: Matrix,
    label_S: Values,
    holds: Sequence[HoldOut],
    fit: Callable[[Matrix, Values, float], Callable[[Matrix], Values]],
) -> float:
    """The penalty with the least loss on the hold-outs; the middle one where there are none."""
    if not holds:
        return STRENGTHS[len(STRENGTHS) // 2]
    loss = _squared if fit is _ridge else _log_loss
    losses = [
        sum(
            loss(fit(features[known], label_S[known], strength)(features[held]), label_S[held])
            for known, held in holds
        )
        for strength in STRENGTHS
    ]
    return STRENGTHS[int(np.argmin(losses))]


def _ridge(features: Matrix, label_S: Values, strength: float) -> Callable[[Matrix], Values]:
    mean, weight_F = _ridge_weights(features, label_S, strength)
    return lambda asked: mean + asked @ weight_F


def _ridge_weights(features: Matrix, label_S: Values, strength: float) -> tuple[float, Values]:
    from sklearn.linear_model import Ridge  # a second to import, rarely needed

    used_F = np.flatnonzero(features.getnnz(axis=0))
    fitted = Ridge(alpha=strength, solver="sparse_cg", tol=1e-8)
    fitted.fit(features[:, used_F], label_S)
    weight_F = np.zeros(features.shape[1])
    weight_F[used_F] = fitted.coef_
    return float(fitted.intercept_), weight_F


def _logistic(features: Matrix, label_S: Values, strength: float) -> Callable[[Matrix], Values]:
    """Log odds of a call."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(label_S)) < 2:
        return lambda asked: np.full(asked.shape[0], -np.inf if label_S[0] == 0 else np.inf)
    used_F = np.flatnonzero(features.getnnz(axis=0))
    fitted = LogisticRegression(C=1 / strength, max_iter=2000)
    fitted.fit(features[:, used_F], label_S.astype(np.int64))
    weight_F = np.zeros(features.shape[1])
    weight_F[used_F] = fitted.coef_[0]
    intercept = float(fitted.intercept_[0])
    return lambda asked: intercept + asked @ weight_F


def _squared(predicted_S: Values, label_S: Values) -> float:
    return float(np.square(predicted_S - label_S).mean())


def _log_loss(odds_S: Values, label_S: Values) -> float:
    return float((np.logaddexp(0, odds_S) - label_S * odds_S).mean())
