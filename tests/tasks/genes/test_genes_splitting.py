"""Splits of gene sets: complete, disjoint in what they promise; too large groups are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.splitting import split_sets

RULES = ("random", "pair_disjoint", "gene_disjoint")


def make_sets(seed: int, count: int = 300, genes: int = 60, pairs: int = 25) -> LabelledSets:
    """Sets of two and three different genes, ascending in a set."""
    rng = np.random.default_rng(seed)
    chosen = [np.sort(rng.choice(genes, rng.integers(2, 4), replace=False)) for _ in range(count)]
    return LabelledSets(
        gene_index=np.concatenate(chosen).astype(np.int64),
        gene_ptr=np.concatenate([[0], np.cumsum([len(c) for c in chosen])]).astype(np.int64),
        label=rng.normal(size=count),
        pair=rng.integers(pairs, size=count).astype(np.int64),
    )


def genes_of(sets: LabelledSets, rows: np.ndarray) -> list[set[int]]:
    part = sets.take(rows)
    return [
        set(part.gene_index[a:b].tolist())
        for a, b in zip(part.gene_ptr[:-1], part.gene_ptr[1:], strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RULES), st.integers(0, 50))
def test_split_is_a_partition_that_follows_its_seed(data: int, by: str, seed: int) -> None:
    sets = make_sets(data)
    config = SplitConfig(by=by, val=0.15, test=0.2)
    found = split_sets(sets, config, seed).rows
    assert list(found) == ["train", "val", "test"]
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(sets)))
    again = split_sets(sets, replace(config, seed=seed), seed + 1).rows
    assert all(np.array_equal(found[name], again[name]) for name in found)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(RULES))
def test_same_genes_are_never_on_two_sides(data: int, by: str) -> None:
    sets = make_sets(data, count=200, genes=9, pairs=60)  # many sets come several times
    try:
        found = split_sets(sets, SplitConfig(by=by, val=0.15, test=0.2), 1).rows
    except DataError:
        assert by != "random"  # everything hangs together: refused, not split all the same
        return
    sides = {
        name: {frozenset(genes) for genes in genes_of(sets, rows)} for name, rows in found.items()
    }
    assert not sides["train"] & sides["test"]
    assert not sides["train"] & sides["val"]
    assert not sides["val"] & sides["test"]


def test_queries_of_the_test_split_are_new() -> None:
    sets = make_sets(3, count=800, genes=400)
    found = split_sets(sets, SplitConfig(by="pair_disjoint"), 0).rows
    sides = {name: set(sets.pair[rows].tolist()) for name, rows in found.items()}
    assert not sides["test"] & (sides["train"] | sides["val"])
    assert not sides["val"] & sides["train"]
    assert 40 <= len(found["test"]) <= 80


def test_every_held_out_set_has_a_gene_that_is_new() -> None:
    sets = make_sets(5, count=1000, genes=200)
    found = split_sets(sets, SplitConfig(by="gene_disjoint", val=0.1, test=0.2), 0).rows
    train = set().union(*genes_of(sets, found["train"]))
    val = set().union(*genes_of(sets, found["val"]))
    assert all(genes - train - val for genes in genes_of(sets, found["test"]))
    assert all(genes - train for genes in genes_of(sets, found["val"]))
    assert len(found["test"]) == pytest.approx(200, rel=0.1)


def test_too_large_groups_stay_in_training_and_are_told() -> None:
    sets = make_sets(0, count=400, genes=300, pairs=30)
    sets = replace(sets, pair=np.where(np.arange(400) < 150, 99, sets.pair))
    found = split_sets(sets, SplitConfig(by="pair_disjoint"), 0)
    assert 99 in sets.pair[found.rows["train"]]
    assert set(np.flatnonzero(sets.pair == 99)) <= set(found.rows["train"].tolist())
    assert "1 query group with 150" in " ".join(found.notes)


def test_smallest_group_is_held_out_where_all_are_too_large() -> None:
    sets = make_sets(0, count=400, genes=300)
    sets = replace(sets, pair=np.repeat([0, 1, 2, 3], [100, 90, 110, 100]).astype(np.int64))
    found = split_sets(sets, SplitConfig(by="pair_disjoint"), 0)
    assert set(sets.pair[found.rows["test"]].tolist()) == {1}
    assert "No query group has at most the 40 sets" in found.notes[0]


def test_what_cannot_be_split_is_refused() -> None:
    sets = make_sets(0)
    one = replace(sets, pair=np.zeros(len(sets), np.int64))
    with pytest.raises(DataError, match="at least one query group"):
        split_sets(one, SplitConfig(by="pair_disjoint"), 0)
    with pytest.raises(DataError, match="nothing to train on"):
        split_sets(sets, SplitConfig(val=0.5, test=0.5), 0)
    with pytest.raises(DataError, match="would be empty"):
        split_sets(sets.take(np.arange(2)), SplitConfig(), 0)
