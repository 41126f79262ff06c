"""Paths against walking every path of every graph."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.paths import (
    longest_path_ops,
    path_encoding,
    path_statistics,
    path_vocabulary,
    prune,
)
from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.spaces.arrays import from_adjacency

OPS = ("input", "output", "none", "a", "b")


@st.composite
def graphs(draw: st.DrawFn) -> Cells:
    """Up to four random DAGs; input first, output last."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(2, 7))
        bits = draw(st.lists(st.booleans(), min_size=n * n, max_size=n * n))
        inner = draw(st.lists(st.integers(2, 4), min_size=n - 2, max_size=n - 2))
        matrix = np.triu(np.array(bits).reshape(n, n), 1)
        codes = np.array([0, *inner, 1], np.uint8)
        parts.append(from_adjacency(codes[None], matrix[None], np.array([n])))
    return Cells.joined(parts)


def _one(cells: Cells, row: int) -> tuple[list[str], list[tuple[int, int]]]:
    some = cells.take(np.array([row]))
    return [OPS[code] for code in some.ops], list(zip(*some.edge_index.tolist(), strict=True))


def _walk(edges: list[tuple[int, int]], last: int, node: int = 0) -> list[list[int]]:
    if node == last:
        return [[last]]
    ahead = [target for source, target in edges if source == node]
    return [[node, *rest] for target in ahead for rest in _walk(edges, last, target)]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_statistics(cells: Cells) -> None:
    found = path_statistics(cells)
    on_longest = longest_path_ops(cells, len(OPS))
    for row in range(len(cells)):
        names, edges = _one(cells, row)
        paths = _walk(edges, len(names) - 1)
        lengths = [len(path) - 1 for path in paths] or [0]
        assert found.count[row] == len(paths)
        assert (found.longest[row], found.shortest[row]) == (max(lengths), min(lengths))
        best = [path for path in paths if len(path) - 1 == max(lengths)]
        told = Counter(dict(enumerate(on_longest[row].tolist())))
        assert not paths or any(
            +told == Counter(OPS.index(names[node]) for node in path) for path in best
        )
        assert paths or not on_longest[row].any()
        depth = found.depth[cells.node_ptr[row] : cells.node_ptr[row + 1]]
        height = found.height[cells.node_ptr[row] : cells.node_ptr[row + 1]]
        for node in range(len(names)):
            before = [depth[s] + 1 for s, t in edges if t == node]
            after = [height[t] + 1 for s, t in edges if s == node]
            assert depth[node] == max(before, default=0)
            assert height[node] == max(after, default=0)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_prune(cells: Cells) -> None:
    pruned = prune(cells, OPS)
    assert len(pruned) == len(cells)
    for row in range(len(cells)):
        names, edges = _one(cells, row)
        last = len(names) - 1
        whole = [p for p in _walk(edges, last) if not any(names[node] == "none" for node in p)]
        keep = sorted({0, last} | {node for path in whole for node in path})
        used = {pair for path in whole for pair in pairwise(path)}
        new_names, new_edges = _one(pruned, row)
        assert new_names == [names[node] for node in keep]
        assert {(keep[s], keep[t]) for s, t in new_edges} == used
        assert new_edges == sorted(new_edges, key=lambda edge: (edge[1], edge[0]))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_path_encoding(cells: Cells) -> None:
    vocabulary = path_vocabulary(cells, 1_000)
    encoding = path_encoding(cells, vocabulary)
    wanted = []
    for row in range(len(cells)):
        names, edges = _one(cells, row)
        paths = _walk(edges, len(names) - 1)
        wanted.append({tuple(names[node] for node in path[1:-1]) for path in paths})
    words = Counter(word for words in wanted for word in words)
    assert encoding.shape == (len(cells), len(words))
    assert encoding.sum(axis=0).tolist() == sorted(words.values(), reverse=True)
    for i, first in enumerate(wanted):
        for j, second in enumerate(wanted):
            assert int((encoding[i] & encoding[j]).sum()) == len(first & second)
    few = path_vocabulary(cells, 2)
    assert np.array_equal(few, vocabulary[:2])
    assert np.array_equal(path_encoding(cells, few), encoding[:, :2])


def test_a_cell_of_nothing_keeps_input_and_output_alone() -> None:
    space = get_space("nasbench201")
    pruned = prune(space.encode(["000000", "300000", "000300"])[0], space.ops)
    assert pruned.node_counts.tolist() == [2, 2, 3]
    assert pruned.edge_counts.tolist() == [0, 0, 2]
    found = path_statistics(pruned)
    assert found.count.tolist() == [0, 0, 1]
    assert found.longest.tolist() == [0, 0, 2]


def test_prune_removes_what_is_named_and_keeps_levels() -> None:
    space = get_space("nasbench_macro")
    cells, _ = space.encode(["00000000"])
    assert np.array_equal(prune(cells, space.ops).ops, cells.ops)
    pruned = prune(cells, space.ops, remove=("cell:stage_1", "not an operation"))
    assert pruned.level is not None
    assert len(pruned.level) == len(pruned.ops) == 12  # of 13


def test_nothing_goes_in_and_nothing_comes_out() -> None:
    none, _ = get_space("nasbench101").encode([])
    assert len(prune(none, OPS)) == 0
    assert len(path_statistics(none).count) == 0
    assert path_encoding(none, path_vocabulary(none, 5)).shape == (0, 0)
    assert longest_path_ops(none, 5).shape == (0, 5)


def test_deep_graphs_have_statistics_but_no_path_encoding() -> None:
    n = 200  # every node leads to the next two: paths as the Fibonacci numbers
    source = np.array([i for j in range(1, n) for i in (j - 2, j - 1) if i >= 0], np.uint8)
    target = np.array([j for j in range(1, n) for i in (j - 2, j - 1) if i >= 0], np.uint8)
    deep = Cells(
        ops=np.array([0, *[3] * (n - 2), 1], np.uint8),
        node_counts=np.array([n]),
        edge_counts=np.array([len(source)]),
        edge_index=np.stack([source, target]),
    )
    found = path_statistics(deep)
    assert found.count[0] > 1e40
    assert (found.longest[0], found.shortest[0]) == (n - 1, n // 2)
    with pytest.raises(DataError, match="paths from input to output"):
        path_vocabulary(deep, 10)
