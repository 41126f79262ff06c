"""What lies on the paths of architectures, and what feeds what."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.paths import prune
from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.wiring import edge_kinds, operations_on_paths

OPS = get_space("nasbench201").ops


def cells_of(*texts: str) -> Cells:
    cells, bad = get_space("nasbench201").encode(list(texts))
    assert not bad
    return prune(cells, OPS)


def listed_paths(cells: Cells) -> list[list[int]]:
    """Operation codes on every path of one architecture, by following all of them."""
    edges = set(map(tuple, cells.edge_index.T.tolist()))
    inner = range(1, len(cells.ops) - 1)
    found = []
    for length in range(len(cells.ops) - 1):
        for middle in itertools.combinations(inner, length):
            nodes = (0, *middle, len(cells.ops) - 1)
            if all(pair in edges for pair in itertools.pairwise(nodes)):
                found.append([int(cells.ops[node]) for node in nodes])
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("01234", min_size=6, max_size=6), min_size=1, max_size=4))
def test_statistics_are_those_of_the_listed_paths(texts: list[str]) -> None:
    cells = cells_of(*texts)
    found = operations_on_paths(cells, len(OPS))
    for row in range(len(cells)):
        paths = listed_paths(cells.take(np.array([row])))
        counts = [np.bincount(path, minlength=len(OPS)) for path in paths]
        counts = counts or [np.zeros(len(OPS), np.int64)]
        assert found.least[row].tolist() == np.min(counts, axis=0).tolist()
        assert found.mean[row] == pytest.approx(np.mean(counts, axis=0), abs=1e-5)
        assert found.most[row].tolist() == np.max(counts, axis=0).tolist()


def test_edges_are_counted_by_the_types_of_their_ends() -> None:
    # 0-1 conv 3x3, 1-3 skip: one chain; then nothing at all
    kinds = edge_kinds(cells_of("300010", "000000"), len(OPS))
    code = {name: place for place, name in enumerate(OPS)}
    chain = ("input", "nor_conv_3x3", "skip_connect", "output")
    assert all(kinds[0, code[a], code[b]] == 1 for a, b in itertools.pairwise(chain))
    assert kinds.sum(axis=(1, 2)).tolist() == [3, 0]


def test_more_paths_than_a_float_can_count() -> None:
    """A ladder of 1,100 diamonds, each of which doubles the paths."""
    rungs = 1100
    first = 3 * np.arange(rungs)
    # node 3k leads to 3k + 1 (type 1) and 3k + 2 (type 2), and both to 3k + 3
    steps = np.array([[0, 0, 1, 2], [1, 2, 3, 3]])
    edge_index = (first[None, :, None] + steps[:, None, :]).reshape(2, -1)
    ops = np.append(np.tile(np.array([0, 1, 2], np.uint8), rungs), np.uint8(0))
    sizes = np.array([len(ops)]), np.array([edge_index.shape[1]])
    cells = Cells(ops, *sizes, edge_index.astype(np.uint16))
    found = operations_on_paths(cells, 3)
    assert found.least.tolist() == [[rungs + 1, 0, 0]]
    assert found.most.tolist() == [[rungs + 1, rungs, rungs]]
    assert found.mean[0] == pytest.approx([rungs + 1, rungs / 2, rungs / 2], rel=1e-3)


def test_no_architectures() -> None:
    cells = cells_of("300010").take(np.zeros(0, np.int64))
    assert operations_on_paths(cells, 3).mean.shape == (0, 3)
    assert edge_kinds(cells, 3).shape == (0, 3, 3)
