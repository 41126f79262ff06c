"""Nulls find what they can express, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphwright.data.classification import auroc
from graphwright.tasks.genes import null_mlp, nulls
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.metrics import pearson
from graphwright.tasks.genes.nulls import NullsConfig, fit_gene_ridge, fit_nulls, query_means

GENES = 30


@pytest.fixture
def quick_mlp(monkeypatch: pytest.MonkeyPatch) -> None:
    """One penalty and one hold-out instead of three."""
    monkeypatch.setattr(null_mlp, "PENALTIES", (0.01,))
    monkeypatch.setattr(nulls, "HOLD_OUTS", 1)


def pairs(seed: int, count: int = 1200) -> LabelledSets:
    rng = np.random.default_rng(seed)
    genes = np.sort(np.stack([rng.choice(GENES, 2, replace=False) for _ in range(count)]), axis=1)
    return LabelledSets(
        gene_index=genes.reshape(-1).astype(np.int64),
        gene_ptr=np.arange(count + 1, dtype=np.int64) * 2,
        label=np.zeros(count),
        pair=rng.integers(12, size=count).astype(np.int64),
    )


def halves(sets: LabelledSets) -> tuple[LabelledSets, LabelledSets]:
    count = len(sets)
    return sets.take(np.arange(count * 2 // 3)), sets.take(np.arange(count * 2 // 3, count))


def additive(sets: LabelledSets, rng: np.random.Generator) -> np.ndarray:
    effect = rng.normal(size=GENES)
    return effect[sets.gene_index].reshape(-1, 2).sum(1)


def test_additive_effects_are_found_by_ridge_alone() -> None:
    rng = np.random.default_rng(1)
    sets = pairs(0)
    truth = additive(sets, rng)
    sets = replace(sets, label=truth + 0.3 * rng.normal(size=len(sets)))
    train, test = halves(sets)
    found, notes = fit_nulls(train, test, NullsConfig(num_genes=GENES, mlp=False))
    held = truth[len(train) :]
    assert pearson(found["per-gene ridge"], held) > 0.98
    assert pearson(found["query mean"], held) < 0.3
    assert np.ptp(found["train mean"]) == 0
    assert "per-gene ridge" in notes[0]


def test_effects_of_queries_need_their_column() -> None:
    rng = np.random.default_rng(2)
    sets = pairs(0)
    truth = rng.normal(size=12)[sets.pair]
    sets = replace(sets, label=truth + 0.3 * rng.normal(size=len(sets)))
    train, test = halves(sets)
    found, _ = fit_nulls(train, test, NullsConfig(num_genes=GENES, mlp=False))
    held = truth[len(train) :]
    assert pearson(found["query mean"], held) > 0.95
    assert pearson(found["ridge + query"], held) > 0.95
    assert pearson(found["per-gene ridge"], held) < 0.3


@pytest.mark.usefixtures("quick_mlp")
def test_mlp_expresses_pairs_that_ridge_cannot() -> None:
    rng = np.random.default_rng(3)
    sets = pairs(0, count=2400)
    sign = np.where(np.arange(GENES) < GENES // 2, 1.0, -1.0)
    truth = sign[sets.gene_index].reshape(-1, 2).prod(1)  # same half or not
    sets = replace(sets, label=truth + 0.3 * rng.normal(size=len(sets)))
    train, test = halves(sets)
    found, notes = fit_nulls(train, test, NullsConfig(num_genes=GENES, seed=1))
    held = truth[len(train) :]
    assert pearson(found["one-hot MLP"], held) > 0.8
    assert pearson(found["per-gene ridge"], held) < 0.3
    assert "epochs" in notes[-1]
    again, _ = fit_nulls(train, test, NullsConfig(num_genes=GENES, seed=1))
    assert np.array_equal(found["one-hot MLP"], again["one-hot MLP"])


def test_labels_of_what_is_asked_are_not_looked_at() -> None:
    sets = replace(pairs(4), label=np.random.default_rng(4).normal(size=1200))
    train, test = halves(sets)
    config = NullsConfig(num_genes=GENES, split=SplitConfig(by="pair_disjoint"), mlp=False)
    one, _ = fit_nulls(train, test, config)
    two, _ = fit_nulls(train, replace(test, label=test.label * 100 + 7), config)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_unknown_queries_and_genes_get_the_mean() -> None:
    sets = replace(pairs(5), label=np.random.default_rng(5).normal(size=1200) + 2)
    train, test = halves(sets)
    new = replace(test, pair=test.pair + 100)
    assert query_means(train, new) == pytest.approx(train.label.mean())
    ridge = fit_gene_ridge(train, NullsConfig(num_genes=GENES + 2))
    unseen = replace(test.take(np.array([0])), gene_index=np.array([GENES, GENES + 1], np.int64))
    assert ridge.weight_N.shape == (GENES + 2,)
    assert ridge.predict(unseen) == pytest.approx(ridge.mean)


def test_noise_gets_the_strongest_penalty_and_predicts_nearly_nothing() -> None:
    sets = replace(pairs(6), label=np.random.default_rng(6).normal(size=1200))
    ridge = fit_gene_ridge(sets, NullsConfig(num_genes=GENES))
    assert ridge.strength >= 100
    assert np.abs(ridge.weight_N).max() < 0.25


@pytest.mark.usefixtures("quick_mlp")
def test_calls_get_logistic_nulls() -> None:
    rng = np.random.default_rng(7)
    sets = pairs(7)
    odds = 2 * additive(sets, rng) - 2
    sets = replace(sets, label=(rng.random(len(sets)) < 1 / (1 + np.exp(-odds))) + 0.0)
    train, test = halves(sets)
    found, _ = fit_nulls(train, test, NullsConfig(num_genes=GENES, calls=True, seed=2))
    assert list(found) == [
        "train mean", "query mean", "logistic per gene", "logistic + query", "one-hot MLP",
    ]  # fmt: skip
    for name in ("logistic per gene", "logistic + query", "one-hot MLP"):
        assert auroc(found[name], test.label) > 0.8
    assert auroc(found["query mean"], test.label) < 0.7


def test_labels_that_are_all_equal_leave_the_means() -> None:
    train, test = halves(pairs(8))
    found, notes = fit_nulls(train, test, NullsConfig(num_genes=GENES, calls=True))
    assert list(found) == ["train mean", "query mean"]
    assert "all training labels are equal" in notes[0]


def test_overlaps_are_a_row_of_their_own() -> None:
    rng = np.random.default_rng(9)
    sets = pairs(9)
    features = rng.random((len(sets), 4))
    truth = features @ np.array([1.0, -2.0, 0.0, 0.0])
    sets = replace(sets, label=truth + 0.3 * rng.normal(size=len(sets)))
    train, test = halves(sets)
    both = features[: len(train)], features[len(train) :]
    config = NullsConfig(num_genes=GENES, mlp=False)
    found, _ = fit_nulls(train, test, config, both)
    plain, _ = fit_nulls(train, test, config)
    assert pearson(found["ridge + query + overlaps"], truth[len(train) :]) > 0.95
    assert set(found) - set(plain) == {"ridge + query + overlaps"}
    assert all(np.array_equal(found[name], plain[name]) for name in plain)
