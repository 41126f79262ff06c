"""What is known without a graph network: random forests on fixed encodings, and counts alone.

All are fitted on the very architectures that the model was trained on. Legend: A = architectures,
T = metrics, N = nodes of all architectures, H = hyperparameters, F = features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.paths import path_encoding, path_vocabulary, prune

__all__ = [
    "Guess",
    "Labelled",
    "adjacency_features",
    "count_features",
    "fit_forest",
    "guess_labels",
    "order_by",
    "path_features",
]

Values = NDArray[np.float64]
Features = NDArray[np.generic]

TREES = 200
LARGEST_CELL = 64  # nodes; beyond it an adjacency matrix is longer than a training set
MOST_PATHS = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Architectures of one split with their labels.

    Attributes:
        names: `[A]` what a person calls each.
        target_AT: labels in the table's units; anything where they are not valid.
        valid_AT: False where a training failed or its label is missing.
        cells: the graphs as they are in the table (not pruned, no virtual node), None: no graphs.
        features_AF: what is known before any training; NaN where it is not.
        hyper_NH: hyperparameters of each node, NaN where it has none of the name, or None.
    """

    names: Sequence[str]
    target_AT: Values
    valid_AT: NDArray[np.bool_]
    cells: Cells | None
    features_AF: Values
    hyper_NH: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        lengths = {len(self.target_AT), len(self.valid_AT), len(self.features_AF)}
        lengths |= set() if self.cells is None else {len(self.cells)}
        if lengths != {count} or self.target_AT.shape != self.valid_AT.shape:
            raise DataError(f"{count} architectures have {sorted(lengths)} labels and features")


@dataclass(frozen=True, eq=False)
class Guess:
    """A baseline's predictions `[A]`; `in_units`: in units of the label, not just an order."""

    predicted_A: Values
    in_units: bool


def guess_labels(
    train: Labelled,
    test: Labelled,
    metric: int,
    *,
    ops: Sequence[str],
    features: Sequence[str],
    seed: int,
) -> tuple[dict[str, Guess], list[str]]:
    """Every baseline's guess at one metric of the test architectures.

    Args:
        train: what the model was trained on; only rows that are valid in the metric count.
        test: what is guessed; their labels are not looked at.
        metric: column of the metric.
        ops: name of every code of the cells' operations.
        features: names of the columns of `features_AF`.
        seed: of the forests.

    Returns:
        Guesses by name, and what a reader must know about rows that are not there.

    Raises:
        DataError: no training architecture is valid in the metric.
    """
    known_A = train.valid_AT[:, metric]
    target_A = train.target_AT[known_A, metric]
    if not len(target_A):
        raise DataError("no training architecture has a valid label: there is nothing to fit")
    guesses = {}
    encodings, notes = _encodings(train, test, known_A, ops)
    for name, (train_AF, test_AF) in encodings.items():
        predicted_A = fit_forest(train_AF, target_A, test_AF, seed=seed)
        guesses[f"random forest, {name}"] = Guess(predicted_A, True)
    for i, name in enumerate(features):
        known_AF, asked_A = train.features_AF[known_A, i], test.features_AF[:, i]
        if np.isfinite(known_AF).all() and np.isfinite(asked_A).all():
            guesses[f"{name} alone"] = Guess(order_by(known_AF, target_A, asked_A), False)
        else:
            notes.append(f"{name} alone: not known of all architectures.")
    guesses["mean of the training labels"] = Guess(np.full(len(test.names), target_A.mean()), True)
    return guesses, notes


def fit_forest(train_AF: ArrayLike, target_A: Values, test_AF: ArrayLike, *, seed: int) -> Values:
    """Predictions `[A]` of a random forest (Breiman 2001), on one thread.

    200 trees, a third of the features tried at every split, as Breiman has it for regression;
    otherwise scikit-learn's defaults.

    Args:
        train_AF, target_A: features and labels to fit.
        test_AF: features of what is predicted.
        seed: the same seed gives the same forest.
    """
    from sklearn.ensemble import RandomForestRegressor  # a second to import, rarely needed

    known_AF, asked_AF = (np.asarray(part, dtype=np.float32) for part in (train_AF, test_AF))
    # a column without a difference would take the place of one that has some
    varied_F = (known_AF != known_AF[0]).any(axis=0)
    if not varied_F.any():
        return np.full(len(asked_AF), float(target_A.mean()))
    forest = RandomForestRegressor(
        n_estimators=TREES, max_features=1 / 3, random_state=seed, n_jobs=1
    )
    forest.fit(known_AF[:, varied_F], target_A)
    predicted_A: Values = forest.predict(asked_AF[:, varied_F])
    return predicted_A


def order_by(known_A: Values, target_A: Values, asked_A: Values) -> Values:
    """A number alone as the predictor; whether more of it is better, training labels decide.

    Args:
        known_A, target_A: the number and the label of the training architectures.
        asked_A: the number of what is predicted.
    """
    tau = kendall_tau(known_A, target_A) if len(target_A) > 1 else 0.0
    return -asked_A if tau < 0 else asked_A.copy()


def adjacency_features(cells: Cells, *, nodes: int, ops: int) -> NDArray[np.uint8]:
    """One-hot operation of each node, then the adjacency matrix above its diagonal.

    Smaller cells are padded with nodes that have no operation and no edge.

    Args:
        cells: A architectures.
        nodes: P, of the largest.
        ops: O, length of the vocabulary.

    Returns:
        `[A, P * O + P (P - 1) / 2]` of 0 and 1.
    """
    count = len(cells)
    row_N = np.repeat(np.arange(count), cells.node_counts)
    place_N = np.arange(len(cells.ops)) - np.repeat(cells.node_ptr[:-1], cells.node_counts)
    one_hot = np.zeros((count, nodes, ops), np.uint8)
    one_hot[row_N, place_N, cells.ops] = 1
    adjacency = np.zeros((count, nodes, nodes), np.uint8)
    row_E = np.repeat(np.arange(count), cells.edge_counts)
    adjacency[row_E, cells.edge_index[0], cells.edge_index[1]] = 1
    upper = adjacency[:, *np.triu_indices(nodes, 1)]
    return np.concatenate([one_hot.reshape(count, -1), upper], axis=1)


def count_features(
    cells: Cells, *, ops: int, hyper_NH: NDArray[np.floating] | None = None
) -> Values:
    """How often each operation is there, numbers of nodes and edges, sums of hyperparameters.

    For graphs of any size, where an adjacency matrix would be longer than the training set.

    Returns:
        `[A, O + 2 + H]`.
    """
    count = len(cells)
    row_N = np.repeat(np.arange(count), cells.node_counts)
    counts = np.zeros((count, ops))
    np.add.at(counts, (row_N, cells.ops), 1.0)
    parts = [counts, cells.node_counts[:, None], cells.edge_counts[:, None]]
    if hyper_NH is not None:
        sums = np.zeros((count, hyper_NH.shape[1]))
        np.add.at(sums, row_N, np.nan_to_num(hyper_NH.astype(np.float64)))
        parts.append(sums)
    return np.concatenate(parts, axis=1)


def path_features(
    train: Cells, test: Cells, ops: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Which of the training architectures' paths of operations train and test have.

    Paths are of the pruned cells: through a `none` there is none.

    Args:
        train, test: cells over the same operations.
        ops: name of every code.

    Raises:
        DataError: an architecture has too many paths.
    """
    train, test = prune(train, ops), prune(test, ops)
    vocabulary_K = path_vocabulary(train, MOST_PATHS)
    return path_encoding(train, vocabulary_K), path_encoding(test, vocabulary_K)


def _encodings(
    train: Labelled, test: Labelled, known_A: NDArray[np.bool_], ops: Sequence[str]
) -> tuple[dict[str, tuple[Features, Features]], list[str]]:
    """Features of the known training architectures and of test, by what they are called."""
    if train.cells is None or test.cells is None:
        return {}, ["random forests: there are no graphs to encode."]
    known = train.cells.take(np.flatnonzero(known_A))
    nodes = int(max(known.node_counts.max(), test.cells.node_counts.max()))
    if nodes > LARGEST_CELL:
        chosen_N = np.repeat(known_A, train.cells.node_counts)
        hyper_NH = None if train.hyper_NH is None else train.hyper_NH[chosen_N]
        one = count_features(known, ops=len(ops), hyper_NH=hyper_NH)
        two = count_features(test.cells, ops=len(ops), hyper_NH=test.hyper_NH)
        note = f"No forests on adjacency and paths: graphs of up to {nodes} nodes are no cells."
        return {"operation counts": (one, two)}, [note]
    one_hot = [adjacency_features(c, nodes=nodes, ops=len(ops)) for c in (known, test.cells)]
    found: dict[str, tuple[Features, Features]] = {"adjacency": (one_hot[0], one_hot[1])}
    try:
        paths = path_features(known, test.cells, ops)
    except DataError as error:
        return found, [f"No forest on paths: {error.what}."]
    if not paths[0].shape[1]:
        return found, ["No forest on paths: no training architecture has one."]
    return {**found, "paths": paths}, []
