"""Batches of gene sets: a few integers each."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.data.loader import Loader
from graphwright.data.source import Batch, SampleSource, Subset
from graphwright.errors import DataError
from graphwright.tasks.genes.gene_source import GeneSetBatch, GeneSets


def source_of(sets: list[list[int]]) -> GeneSets:
    flat = np.array([gene for genes in sets for gene in genes], np.int32)
    ptr = np.concatenate(([0], np.cumsum([len(genes) for genes in sets]))).astype(np.int64)
    return GeneSets(flat, ptr, {"label": np.arange(len(sets)) / 2, "pair": np.arange(len(sets))})


def sets_of(batch: GeneSetBatch) -> list[list[int]]:
    ptr = batch.gene_ptr.tolist()
    return [batch.gene_index[a:b].tolist() for a, b in pairwise(ptr)]


SETS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), min_size=1, max_size=20)


@given(SETS, st.data())
@settings(deadline=None, max_examples=60)
def test_a_batch_is_what_was_asked_for(sets: list[list[int]], data: st.DataObject) -> None:
    source = source_of(sets)
    asked = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=30))
    batch = source.batch(np.array(asked, np.int64))
    assert sets_of(batch) == [sets[i] for i in asked]
    assert batch.graphs["label"].tolist() == [i / 2 for i in asked]
    assert batch.index.tolist() == batch.graphs["pair"].tolist() == asked
    assert batch.num_samples == len(asked)
    assert source.sizes().tolist() == [len(genes) for genes in sets]


def test_protocols_dtypes_and_moves() -> None:
    source = source_of([[3, 4], [5], [1, 2, 6]])
    batch = source.batch(np.array([2, 0]))
    assert isinstance(source, SampleSource)
    assert isinstance(batch, Batch)
    assert batch.gene_index.dtype == batch.gene_ptr.dtype == batch.index.dtype == torch.int64
    assert batch.graphs["label"].dtype == torch.float32
    double = batch.to("cpu", dtype=torch.float64)
    assert double.graphs["label"].dtype == torch.float64
    assert double.gene_index.dtype == double.graphs["pair"].dtype == torch.int64
    assert sets_of(double) == [[1, 2, 6], [3, 4]]
    assert batch.to("meta").device.type == "meta"
    part = Subset(source, [1, 2]).batch(np.array([1]))
    assert sets_of(part) == [[1, 2, 6]]
    assert part.index.tolist() == [2]


def test_through_the_loader() -> None:
    source = source_of([[i, i + 1] for i in range(10)])
    loader = Loader(source, batch_size=4, seed=0, shuffle=True)
    seen = [genes for batch in loader for genes in sets_of(batch)]  # type: ignore[arg-type]
    assert sorted(seen) == [[i, i + 1] for i in range(10)]


def test_a_batch_costs_a_few_bytes_whatever_the_networks() -> None:
    source = source_of([[i, i + 1] for i in range(100)])
    batch = source.batch(np.arange(28))
    bytes_of_genes = batch.gene_index.nbytes
    assert bytes_of_genes == 28 * 2 * 8  # the 448 bytes of the specification


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="pointer of 3"):
        GeneSets(np.zeros(3, np.int32), np.array([0, 2]))
    with pytest.raises(DataError, match="pointer"):
        GeneSets(np.zeros(3, np.int32), np.array([0, 2, 1, 3]))
    with pytest.raises(DataError, match="pointer"):
        GeneSets(np.zeros(0, np.int32), np.zeros(0, np.int64))
    with pytest.raises(DataError, match="label has the shape"):
        GeneSets(np.zeros(3, np.int32), np.array([0, 3]), {"label": np.zeros(2)})
    with pytest.raises(DataError, match="outside"):
        source_of([[1]]).batch(np.array([1]))
