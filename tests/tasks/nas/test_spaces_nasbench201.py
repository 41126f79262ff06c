"""NAS-Bench-201: graphs, sizes, and which cells are the same."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.nas.paths import prune
from graphwright.tasks.nas.spaces.nasbench201 import SPACE, canonical, flops, params

DATA = Path(__file__).parents[4] / "shared" / "data" / "nas" / "nasbench201.csv.gz"
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    if not DATA.is_file():
        pytest.skip("../shared/data is not there")
    with gzip.open(DATA, "rt") as file:
        return list(csv.DictReader(file))


def _exact_form(codes: list[int]) -> tuple[object, ...]:
    """The meaning of a cell, written down and made independent of names by trying all."""
    nodes: list[Counter[tuple[object, int]]] = [Counter() for _ in range(4)]
    nodes[0]["x", 0] = 1
    convs = {}
    for edge, ((source, target), op) in enumerate(zip(EDGES, codes, strict=True)):
        terms = nodes[source]
        if op == 1:
            nodes[target].update(terms)
        elif op == 4:
            nodes[target].update({(atom, p + 1): c for (atom, p), c in terms.items()})
        elif op in (2, 3) and terms:
            convs[edge] = (op, dict(terms))
            nodes[target][edge, 0] += 1
    alive: set[int] = set()
    todo = [dict(nodes[3])]
    while todo:
        for atom, _ in todo.pop():
            if atom != "x" and atom not in alive:
                alive.add(atom)
                todo.append(convs[atom][1])
    kinds = [[edge for edge in sorted(alive) if convs[edge][0] == op] for op in (2, 3)]
    forms = []
    for parts in product(*[permutations(kind) for kind in kinds]):
        order = [edge for part in parts for edge in part]
        name = {"x": 0} | {edge: 1 + place for place, edge in enumerate(order)}
        every = [nodes[3], *[convs[edge][1] for edge in order]]
        spelled = [sorted((name[a], p, c) for (a, p), c in terms.items()) for terms in every]
        forms.append((tuple(convs[edge][0] for edge in order), tuple(map(tuple, spelled))))
    return min(forms)


def test_graph_of_a_cell() -> None:
    cells, bad = SPACE.encode(
        ["|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"]
    )
    assert not bad
    names = [SPACE.ops[code] for code in cells.ops]
    assert names[0] == "input"
    assert names[1:7] == [
        "nor_conv_3x3",
        "none",
        "skip_connect",
        "avg_pool_3x3",
        "nor_conv_1x1",
        "none",
    ]
    assert names[7] == "output"
    assert cells.edge_index.T.tolist() == [
        [0, 1], [0, 2], [1, 3], [0, 4], [1, 5], [2, 6], [3, 6], [4, 7], [5, 7], [6, 7],
    ]  # fmt: skip


def test_reasons() -> None:
    texts = ["421215", "|a~0|+|b~0|c~1|+|d~0|e~1|f~2|", "|none~0|", "421211"]
    cells, bad = SPACE.encode(texts)
    assert len(cells) == 1
    assert [row for row, _ in bad] == [0, 1, 2]
    assert len({reason for _, reason in bad}) == 3


@pytest.mark.real_data
def test_sizes_are_those_of_the_benchmark(table: list[dict[str, str]]) -> None:
    cells, _ = SPACE.encode([row["ops"] for row in table])
    assert np.array_equal(params(cells), [int(row["params_cifar10"]) for row in table])
    assert np.array_equal(flops(cells) / 1e6, [float(row["flops_cifar10_M"]) for row in table])


def test_keys_are_equal_exactly_where_the_meanings_are() -> None:
    """Against all renamings of convolutions, on a fifth of the space (all of it was compared once:
    5,044 classes both ways)."""
    cells = SPACE.everything().take(np.arange(0, 15_625, 5))
    keys = canonical(cells).tolist()
    forms = [_exact_form(codes) for codes in SPACE.codes(cells).tolist()]
    pairs = set(zip(keys, forms, strict=True))
    assert len(set(keys)) == len(set(forms)) == len(pairs)


def test_the_space_has_5044_different_cells() -> None:
    assert len(np.unique(canonical(SPACE.everything()))) == 5_044


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("000000", "003000", True),  # a convolution of nothing, or that leads nowhere
        ("300000", "000000", True),
        ("300010", "301001", True),  # a skip more on the way
        ("302010", "320100", False),
        ("310110", "130101", True),
        ("103001", "030001", True),
        ("103001", "000000", False),
        ("003001", "000000", True),
        ("030001", "300010", True),  # one convolution, by way of node 2 or of node 1
        ("141001", "104000", False),
        ("404001", "040100", False),  # two poolings and one, beside the input
        ("440011", "401011", True),  # two poolings of one thing are one thing
        ("332014", "332044", False),
        ("330414", "330440", False),
        ("300011", "300010", True),  # the last edge starts at an empty node
        ("301011", "330011", False),  # one convolution twice, and two convolutions
        ("440011", "401010", False),
    ],
)
def test_small_cases(first: str, second: str, same: bool) -> None:
    keys = canonical(SPACE.encode([first, second])[0])
    codes = [[int(letter) for letter in text] for text in (first, second)]
    assert (_exact_form(codes[0]) == _exact_form(codes[1])) == same
    assert (keys[0] == keys[1]) == same


def test_keys_need_whole_cells() -> None:
    with pytest.raises(DataError, match="eight nodes"):
        canonical(prune(SPACE.encode(["300000"])[0], SPACE.ops))
    with pytest.raises(DataError, match="before pruning"):
        params(prune(SPACE.encode(["300000"])[0], SPACE.ops))
