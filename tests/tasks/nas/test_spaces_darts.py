"""DARTS: both texts, the graph, and the two levels."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.tasks.nas.paths import prune
from graphwright.tasks.nas.spaces.darts import SPACE

V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), "
    "('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat={concat})"
)
SHORT = (
    "[[(0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5)], "
    "[(0, 0), (1, 0), (2, 2), (1, 0), (0, 0), (2, 2), (2, 2), (1, 0)]]"
)


def test_both_texts_and_both_ways_to_concatenate_are_one_graph() -> None:
    texts = [V2.format(concat="[2, 3, 4, 5]"), V2.format(concat="range(2, 6)"), SHORT]
    texts.append(SHORT.replace("(0, 3), (1, 3), (0", "(1, 3), (0, 3), (0"))
    cells, bad = SPACE.encode(texts)
    assert not bad
    assert len(set(SPACE.decode(cells))) == 1
    per = cells.ops.reshape(4, -1)
    assert (per == per[0]).all()
    assert (cells.edge_index.reshape(2, 4, -1) == cells.edge_index.reshape(2, 4, -1)[:, :1]).all()


def test_the_graph_has_two_levels() -> None:
    cells, _ = SPACE.encode([SHORT])
    names = [SPACE.ops[code] for code in cells.ops]
    edges = set(zip(*cells.edge_index.tolist(), strict=True))
    assert cells.level is not None
    assert np.flatnonzero(cells.level).tolist() == list(range(21, 29))
    kinds = [name.removeprefix("cell:")[0] for name in names[21:29]]
    assert kinds == list("nnrnnrnn")
    # the last operation of the normal cell is dil_conv_3x3 on node 2, the sum of the first two
    assert names[10] == "dil_conv_3x3"
    assert {source for source, target in edges if target == 10} == {3, 4}
    # it is concatenated: every normal instance has it, no reduction instance
    assert {target for source, target in edges if source == 10} == {21, 22, 24, 25, 27, 28}
    network = {(i, j) for i, j in edges if i >= 21 or (i == 0 and j >= 21)}
    skips = {(k, k + 2) for k in range(21, 27)}
    assert network == {(k, k + 1) for k in range(21, 29)} | skips | {(0, 21), (0, 22)}
    pruned = prune(cells, SPACE.ops)
    assert np.array_equal(pruned.ops, cells.ops)


def test_nodes_left_out_of_the_output_are_kept_in_the_text() -> None:
    text = V2.format(concat="[4, 5]")
    cells, bad = SPACE.encode([text])
    assert not bad
    (decoded,) = SPACE.decode(cells)
    assert decoded.endswith("reduce_concat=[4, 5])")
    assert len(prune(cells, SPACE.ops).ops) < len(cells.ops)  # what leads nowhere goes


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "input comes later"),
        ("'dil_conv_3x3'", "'conv_7x7'", "does not have"),
        ("('dil_conv_3x3', 2)", "", "not eight"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2.0)", "not the text"),
        ("('dil_conv_3x3', 2)", "(['dil_conv_3x3'], 2)", "not the text"),
        ("Genotype", "__import__('os').system", "not the text"),
        ("normal_concat", "normal_cat", "not the text"),
        ("[2, 3, 4, 5]", "[2, 3, 4, 7]", "other nodes"),
        ("[2, 3, 4, 5]", "range(2, 10**9)", "not the text"),
        ("[2, 3, 4, 5]", "open('x')", "not the text"),
        ("[2, 3, 4, 5]", "[]", "other nodes"),
    ],
)
def test_reasons(old: str, new: str, reason: str) -> None:
    text = V2.format(concat="[2, 3, 4, 5]")
    _, bad = SPACE.encode(
        [text.replace(old, new, 1), SHORT, "(" * 3000, "[[]]", "[1, 2]", "['\\d', 0x1for]"]
    )
    assert [row for row, _ in bad] == [0, 2, 3, 4, 5]
    assert reason in bad[0][1]
