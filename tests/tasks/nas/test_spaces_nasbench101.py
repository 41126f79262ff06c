"""NAS-Bench-101: texts, keys, the whole space, and sizes."""

from __future__ import annotations

import csv
import gzip
import json
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.nas.spaces import nasbench101_all
from graphwright.tasks.nas.spaces.arrays import from_adjacency, to_adjacency
from graphwright.tasks.nas.spaces.nasbench101 import SPACE, canonical, params

DATA = Path(__file__).parents[4] / "shared" / "data" / "nas" / "nasbench101_20k.csv.gz"


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    if not DATA.is_file():
        pytest.skip("../shared/data is not there")
    with gzip.open(DATA, "rt") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def every_key() -> np.ndarray:
    return nasbench101_all.all_keys()


def _count_slowly(n: int, edges: int) -> int:
    """Cells of n vertices up to isomorphism, by trying everything."""
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    orders = [(0, *inner, n - 1) for inner in permutations(range(1, n - 1))]
    seen: set[object] = set()
    for bits in product((0, 1), repeat=len(pairs)):
        matrix = {pair for pair, bit in zip(pairs, bits, strict=True) if bit}
        leads = {i for i, _ in matrix} >= set(range(n - 1))
        if len(matrix) > edges or not leads or not {j for _, j in matrix} >= set(range(1, n)):
            continue
        for labels in product(range(3), repeat=n - 2):
            forms = []
            for order in orders:
                moved = tuple(sorted((order[i], order[j]) for i, j in matrix))
                label = sorted((order[v + 1], labels[v]) for v in range(n - 2))
                forms.append((moved, tuple(label)))
            seen.add(min(forms))
    return len(seen)


def test_the_whole_space_is_423624_cells(every_key: np.ndarray) -> None:
    assert len(every_key) == len(np.unique(every_key)) == nasbench101_all.COUNT == 423_624
    sizes = np.bincount((every_key >> np.uint64(31)).astype(int))
    assert sizes.tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]


@pytest.mark.parametrize(("n", "edges"), [(2, 9), (3, 9), (4, 9), (4, 4), (5, 9), (5, 6)])
def test_small_sizes_against_trying_everything(n: int, edges: int) -> None:
    keys = nasbench101_all.all_keys(n, edges)
    assert int((keys >> np.uint64(31) == n).sum()) == _count_slowly(n, edges)


def test_small_sizes_against_networkx() -> None:
    networkx = pytest.importorskip("networkx")
    cells = nasbench101_all.cells_of_keys(nasbench101_all.all_keys(4))
    ops, adjacency = to_adjacency(cells, 4)
    graphs = []
    for codes, matrix in zip(ops, adjacency, strict=True):
        graph = networkx.DiGraph()
        graph.add_nodes_from((v, {"op": int(code)}) for v, code in enumerate(codes))
        graph.add_edges_from(np.argwhere(matrix).tolist())
        graphs.append(graph)

    def same(a: object, b: object) -> bool:
        return bool(networkx.is_isomorphic(a, b, node_match=lambda p, q: p["op"] == q["op"]))

    for i, first in enumerate(graphs):
        assert not any(same(first, second) for second in graphs[:i])


def test_cells_have_their_keys_and_texts(every_key: np.ndarray) -> None:
    some = every_key[:: len(every_key) // 3_000]
    cells = nasbench101_all.cells_of_keys(some)
    assert np.array_equal(canonical(cells), some)
    again, bad = SPACE.encode(SPACE.decode(cells))
    assert not bad
    assert np.array_equal(again.ops, cells.ops)
    assert np.array_equal(again.edge_index, cells.edge_index)
    assert int(cells.edge_counts.max()) <= 9


def test_keys_do_not_depend_on_the_order_of_vertices() -> None:
    cells, _ = SPACE.encode(SPACE.sample(200, np.random.default_rng(3)))
    ops, adjacency = to_adjacency(cells, 7)
    rng = np.random.default_rng(4)
    for row, key in enumerate(canonical(cells)):
        n = int(cells.node_counts[row])
        order = np.array([0, *(1 + rng.permutation(n - 2)), n - 1])
        matrix = adjacency[row][np.ix_(order, order)]
        if not np.tril(matrix).any():
            moved = from_adjacency(ops[row, order][None], matrix[None], np.array([n]))
            assert canonical(moved)[0] == key


@pytest.mark.real_data
def test_every_published_cell_is_in_the_space(
    table: list[dict[str, str]], every_key: np.ndarray
) -> None:
    cells, bad = SPACE.encode([row["adj_upper_bits"] + ":" + row["ops"] for row in table])
    keys = canonical(cells)
    assert not bad
    assert len(np.unique(keys)) == len(table) == 20_001
    assert np.isin(keys, every_key).all()


@pytest.mark.real_data
def test_parameters_are_the_published_ones_in_one_order_of_the_vertices(
    table: list[dict[str, str]],
) -> None:
    cells, _ = SPACE.encode([row["adj_upper_bits"] + ":" + row["ops"] for row in table])
    published = np.array([int(row["params"]) for row in table])
    different = np.flatnonzero(params(cells) != published)
    assert len(different) == 363
    ops, adjacency = to_adjacency(cells.take(different[:60]), 7)
    for row, codes, matrix in zip(different, ops, adjacency, strict=False):
        n = int(cells.node_counts[row])
        orders = [np.array([0, *inner, n - 1]) for inner in permutations(range(1, n - 1))]
        moved = [(codes[order], matrix[np.ix_(order, order)]) for order in orders]
        moved = [pair for pair in moved if not np.tril(pair[1]).any()]
        all_ops, all_matrices = (np.stack(part) for part in zip(*moved, strict=True))
        counts = np.full(len(moved), n)
        assert published[row] in params(from_adjacency(all_ops, all_matrices, counts))


def test_all_cells_are_kept_and_damage_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = nasbench101_all.all_keys(5)
    monkeypatch.setattr(nasbench101_all, "all_keys", lambda: few)
    monkeypatch.setattr(nasbench101_all, "COUNT", len(few))
    cells = nasbench101_all.all_cells(tmp_path / "cache")
    monkeypatch.setattr(nasbench101_all, "all_keys", None)  # must not be called again
    assert np.array_equal(nasbench101_all.all_cells(tmp_path / "cache").ops, cells.ops)
    (file,) = (tmp_path / "cache").iterdir()
    for content in (b"", file.read_bytes()[:-9]):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r".") as told:
            nasbench101_all.all_cells(tmp_path / "cache")
        assert "delete it" in str(told.value)
    np.save(file, few[1:])
    with pytest.raises(DataError, match="not the"):
        nasbench101_all.all_cells(tmp_path / "cache")


def test_dangling_vertices_are_removed_before_edges_are_counted() -> None:
    # 0 -> 1 -> 6, and 2..5 joined to one another but not to the output
    matrix = np.zeros((7, 7), int)
    matrix[0, 1] = matrix[1, 6] = 1
    matrix[2:6, 2:6] = np.triu(np.ones((4, 4), int), 1)
    matrix[0, 2:5] = 1
    assert matrix.sum() > 9
    names = ["input", "maxpool3x3", *["conv1x1-bn-relu"] * 4, "output"]
    cells, bad = SPACE.encode([json.dumps({"matrix": matrix.tolist(), "ops": names})])
    assert not bad
    assert SPACE.decode(cells) == ["101:2"]


def test_reasons() -> None:
    good = {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}
    texts = [
        "111111111111111111111:00000",
        "001:0",
        "101:3",
        "121:0",
        "101;0",
        json.dumps(good | {"ops": ["input", "conv"]}),
        json.dumps(good | {"matrix": [[0, 1], [1, 0]]}),
        json.dumps(good | {"matrix": [[0, 2], [0, 0]]}),
        json.dumps(good | {"matrix": [[0, 1]]}),
        '{"matrix": 3}',
        "{",
        json.dumps(good),
    ]
    cells, bad = SPACE.encode(texts)
    assert SPACE.decode(cells) == ["1:"]
    assert [row for row, _ in bad] == list(range(11))
    assert bad[0][1] == "more than 9 edges"
    assert bad[2][1] == bad[10][1] == "not the text of a NAS-Bench-101 cell"
    assert bad[1][1] == "no path from input to output"
    assert SPACE.decode(SPACE.encode(["110:0"])[0]) == ["1:"]  # its inner vertex leads nowhere
