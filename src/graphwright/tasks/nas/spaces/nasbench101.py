"""NAS-Bench-101 (Ying et al., ICML 2019, arXiv 1902.09635): up to 7 vertices, 9 edges.

Texts: `<upper triangle of the matrix, row by row>:<operations of the inner vertices>`, such as
`100110100001001010101:02001` (0 conv 3x3, 1 conv 1x1, 2 max pool 3x3), or the JSON object
`{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}` with the benchmark's own names. As in the
benchmark, vertices that are not on a path from input to output are removed before counting edges.

Legend: A = architectures, V = 7 vertices.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells
from graphwright.tasks.nas.spaces.arrays import Bad, from_adjacency, to_adjacency
from graphwright.tasks.nas.spaces.nasbench101_keys import canonical
from graphwright.tasks.nas.spaces.nasbench101_params import params

__all__ = ["MAX_EDGES", "MAX_VERTICES", "OPERATIONS", "SPACE", "NasBench101", "canonical", "params"]

OPERATIONS: Final = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
MAX_VERTICES: Final = 7
MAX_EDGES: Final = 9

_NOT_A_CELL = "not the text of a NAS-Bench-101 cell"
_LENGTHS = {n * (n - 1) // 2 + 1 + n - 2: n for n in range(2, MAX_VERTICES + 1)}
_TRIES = 10_000


class NasBench101:
    """The space; nodes are the vertices."""

    name = "nasbench101"
    ops = (INPUT, OUTPUT, *OPERATIONS)

    def encode(self, texts: Sequence[str]) -> tuple[Cells, Bad]:
        """Graphs of the good texts, and (row, reason) of the bad ones."""
        plain = [_from_json(text) if text[:1] == "{" else text for text in texts]
        ops_AV, adjacency_AVV, counts_A, readable_A = _parse(plain)
        return _valid_cells(ops_AV, adjacency_AVV, counts_A, readable_A)

    def decode(self, cells: Cells) -> list[str]:
        """Text of each (`Space.decode`).

        Raises:
            DataError: more than 7 vertices.
        """
        if len(cells) and int(cells.node_counts.max()) > MAX_VERTICES:
            raise DataError(f"a NAS-Bench-101 cell has at most {MAX_VERTICES} vertices")
        ops_AV, adjacency_AVV = to_adjacency(cells, MAX_VERTICES)
        texts = np.empty(len(cells), dtype=object)
        for n in np.unique(cells.node_counts).tolist():
            rows = np.flatnonzero(cells.node_counts == n)
            texts[rows] = _texts(ops_AV[rows, 1 : n - 1], adjacency_AVV[rows, :n, :n])
        return list(texts)

    def sample(self, count: int, rng: np.random.Generator) -> list[str]:
        """Distinct cells as the benchmark draws them: random matrices and operations, if valid.

        This is not uniform over the space: cells with many equivalent matrices come more often.
        Draw from `nasbench101_all.all_cells` for that.

        Raises:
            DataError: so many that they are no longer found by drawing.
        """
        found: dict[int, str] = {}
        for _ in range(_TRIES):
            if len(found) >= count:
                return list(found.values())[:count]
            cells = _draw(2 * count + 16, rng)
            found = dict(zip(canonical(cells).tolist(), self.decode(cells), strict=True)) | found
        raise DataError(
            f"{count} different cells of NAS-Bench-101 are not found by drawing at random",
            fix="take nasbench101_all.all_cells",
        )

    def mutate(self, text: str, rng: np.random.Generator) -> str:
        """One edge more or less, another operation, or a vertex more between two others.

        Raises:
            DataError: `text` is no cell.
        """
        cells, bad = self.encode([text])
        if bad:
            raise DataError(f"{text!r}: {bad[0][1]}")
        before = int(canonical(cells)[0])
        while True:  # every cell has neighbours: its operations, or an edge past the only one
            changed, wrong = self.encode([_edit(cells, rng)])
            if not wrong and int(canonical(changed)[0]) != before:
                return self.decode(changed)[0]

    def everything(self) -> None:
        """None: 423,624 cells take some seconds, see `nasbench101_all.all_cells`."""
        return


SPACE: Final = NasBench101()


def _from_json(text: str) -> str:
    """The plain text of a JSON object, or "" where it is not a cell."""
    try:
        value = json.loads(text)
        matrix = np.array(value["matrix"])
        names = [OPERATIONS.index(name) for name in value["ops"][1:-1]]
        ends = (value["ops"][0], value["ops"][-1])
    except (ValueError, KeyError, TypeError, IndexError):
        return ""
    n = len(names) + 2
    if matrix.shape != (n, n) or ends != (INPUT, OUTPUT) or not np.isin(matrix, (0, 1)).all():
        return ""
    if np.tril(matrix).any():
        return ""
    bits = matrix[np.triu_indices(n, 1)].astype(int).tolist()
    return "".join(map(str, bits)) + ":" + "".join(map(str, names))


def _parse(
    texts: Sequence[str],
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Codes [A, V], matrices [A, V, V], vertices [A] and whether the text could be read [A]."""
    counts_A = np.array([_LENGTHS.get(len(text), 0) for text in texts], np.int64)
    ops_AV = np.zeros((len(texts), MAX_VERTICES), np.uint8)
    adjacency_AVV = np.zeros((len(texts), MAX_VERTICES, MAX_VERTICES), np.bool_)
    readable_A = np.zeros(len(texts), np.bool_)
    for length, n in _LENGTHS.items():
        rows = np.flatnonzero(counts_A == n)
        if not len(rows):
            continue
        chosen = np.array([texts[row] for row in rows.tolist()], dtype=f"U{length}")
        letters = chosen.view(np.uint32).reshape(-1, length)
        edges = n * (n - 1) // 2
        digits = letters - np.uint32(ord("0"))  # wraps below "0", which is far above any limit
        good = (digits[:, :edges] <= 1).all(1) & (letters[:, edges] == ord(":"))
        good &= (digits[:, edges + 1 :] < len(OPERATIONS)).all(1)
        readable_A[rows] = good
        source, target = np.triu_indices(n, 1)
        adjacency_AVV[rows[:, None], source, target] = digits[:, :edges] == 1
        ops_AV[rows[:, None], np.arange(1, n - 1)] = digits[:, edges + 1 :] + 2
        ops_AV[rows, n - 1] = 1
    return ops_AV, adjacency_AVV, counts_A, readable_A


def _valid_cells(
    ops_AV: NDArray[np.uint8],
    adjacency_AVV: NDArray[np.bool_],
    counts_A: NDArray[np.int64],
    readable_A: NDArray[np.bool_],
) -> tuple[Cells, Bad]:
    """The pruned cells that the benchmark has, and what is wrong with the others."""
    on_path_AV = _on_path(adjacency_AVV, counts_A)
    adjacency_AVV = adjacency_AVV & on_path_AV[:, :, None] & on_path_AV[:, None, :]
    edges_A = adjacency_AVV.sum(axis=(1, 2))
    connected_A = on_path_AV[:, 0]
    bad: Bad = []
    for row in np.flatnonzero(~(readable_A & connected_A & (edges_A <= MAX_EDGES))).tolist():
        if not readable_A[row]:
            bad.append((row, _NOT_A_CELL))
        elif not connected_A[row]:
            bad.append((row, "no path from input to output"))
        else:
            bad.append((row, f"more than {MAX_EDGES} edges"))
    good = np.delete(np.arange(len(counts_A)), [row for row, _ in bad])
    order = np.argsort(~on_path_AV[good], axis=1, kind="stable")  # kept vertices first
    rows = good[:, None]
    adjacency = adjacency_AVV[rows[:, :, None], order[:, :, None], order[:, None, :]]
    return from_adjacency(ops_AV[rows, order], adjacency, on_path_AV[good].sum(axis=1)), bad


def _on_path(adjacency_AVV: NDArray[np.bool_], counts_A: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which vertices lie on a path from the first to the last, [A, V]."""
    from_input_AV = np.zeros(adjacency_AVV.shape[:2], np.bool_)
    from_input_AV[:, 0] = True
    to_output_AV = np.arange(MAX_VERTICES) == counts_A[:, None] - 1
    for v in range(1, MAX_VERTICES):
        from_input_AV[:, v] = (adjacency_AVV[:, :, v] & from_input_AV).any(axis=1)
    for v in range(MAX_VERTICES - 2, -1, -1):
        to_output_AV[:, v] |= (adjacency_AVV[:, v] & to_output_AV).any(axis=1)
    on_path_AV: NDArray[np.bool_] = from_input_AV & to_output_AV
    return on_path_AV


def _texts(inner_AV: NDArray[np.uint8], adjacency_AVV: NDArray[np.bool_]) -> NDArray[np.str_]:
    """Texts of cells with the same number of vertices."""
    source, target = np.triu_indices(adjacency_AVV.shape[1], 1)
    bits = adjacency_AVV[:, source, target].astype(np.uint32) + ord("0")
    colon = np.full((len(bits), 1), ord(":"), np.uint32)
    letters = np.concatenate([bits, colon, inner_AV.astype(np.uint32) - 2 + ord("0")], axis=1)
    return np.ascontiguousarray(letters).view(f"U{letters.shape[1]}")[:, 0]


def _draw(count: int, rng: np.random.Generator) -> Cells:
    """The valid ones of so many random matrices with 7 vertices."""
    adjacency_AVV = np.triu(rng.integers(0, 2, (count, MAX_VERTICES, MAX_VERTICES)) == 1, 1)
    ops_AV = rng.integers(2, 2 + len(OPERATIONS), (count, MAX_VERTICES), dtype=np.uint8)
    ops_AV[:, 0], ops_AV[:, -1] = 0, 1
    counts_A = np.full(count, MAX_VERTICES, np.int64)
    return _valid_cells(ops_AV, adjacency_AVV, counts_A, np.ones(count, np.bool_))[0]


def _edit(cells: Cells, rng: np.random.Generator) -> str:
    """The text of the only cell after one random edit; it may not be valid."""
    n = int(cells.node_counts[0])
    ops_1V, adjacency_1VV = to_adjacency(cells, n)
    inner, matrix = ops_1V[0, 1:-1], adjacency_1VV[0]
    kinds = ["edge"] + ["operation"] * (n > 2) + ["vertex"] * (n < MAX_VERTICES)
    kind = kinds[int(rng.integers(len(kinds)))]
    source, target = np.triu_indices(n, 1)
    pick = int(rng.integers(len(source)))
    if kind == "edge":
        matrix[source[pick], target[pick]] ^= True
    elif kind == "operation":
        v = int(rng.integers(n - 2))
        inner[v] = 2 + (inner[v] - 2 + rng.integers(1, len(OPERATIONS))) % len(OPERATIONS)
    else:
        place = int(target[pick])  # the new vertex stands before the one that it feeds
        matrix = np.insert(np.insert(matrix, place, False, axis=0), place, False, axis=1)
        matrix[source[pick], place] = matrix[place, place + 1] = True
        inner = np.insert(inner, place - 1, rng.integers(2, 2 + len(OPERATIONS)))
    return str(_texts(inner[None], matrix[None])[0])
