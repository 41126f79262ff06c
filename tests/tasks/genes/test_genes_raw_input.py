"""Gene sets as users write them."""

from __future__ import annotations

import gzip
import logging
from itertools import pairwise
from pathlib import Path

import pytest

from graphwright.data.rejects import KeptRejects
from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import AliasTable, GeneNames
from graphwright.tasks.genes.raw_input import GivenRow, GivenSets, given_rows, place_sets

NAMES = GeneNames(
    ("YAL001C", "YBR002W", "YCL003W", "YDL227C", "Q0010"),
    AliasTable.from_pairs([("TFC3", "YAL001C"), ("RER2", "YBR002W"), ("A", "YCL003W")]),
)


def read(
    text: str, tmp_path: Path, *, columns: tuple[str, ...] = (), **options: object
) -> tuple[GivenSets, KeptRejects]:
    path = tmp_path / "sets.tsv"
    path.write_text(text)
    rejects = KeptRejects()
    return place_sets(given_rows(path, NAMES, columns), NAMES, rejects, **options), rejects


def sets_of(found: GivenSets) -> list[list[int]]:
    ends = found.gene_ptr.tolist()
    return [found.gene_index[a:b].tolist() for a, b in pairwise(ends)]


@pytest.mark.parametrize(
    "text",
    [
        "YBR002W\tYAL001C\nYAL001C\tYCL003W\tQ0010\n",
        "YBR002W,YAL001C\nYAL001C,YCL003W,Q0010\n",
        "YBR002W YAL001C\n\n# a remark\nYAL001C  YCL003W   Q0010",
        "YBR002W+YAL001C\nYAL001C+YCL003W+Q0010\n",
        "gene1\tgene2\tgene3\nYBR002W\tYAL001C\t\nYAL001C\tYCL003W\tQ0010\n",
        "Query,Array\nYBR002W,YAL001C\nYAL001C+YCL003W,Q0010\n",
        "\ufeffRER2\ttfc3\nyal001c\tYCL003W\tQ0010\n",
    ],
)
def test_every_usual_layout(text: str, tmp_path: Path) -> None:
    found, rejects = read(text, tmp_path)
    assert sets_of(found) == [[0, 1], [0, 2, 4]]
    assert rejects.rows == []


def test_compressed(tmp_path: Path) -> None:
    path = tmp_path / "sets.tsv.gz"
    path.write_bytes(gzip.compress(b"TFC3\tRER2\n"))
    assert given_rows(path, NAMES) == [GivenRow("line 1", ["TFC3", "RER2"])]


def test_names_are_the_users_own(tmp_path: Path) -> None:
    found, _ = read("RER2\ttfc3\nYCL003W\tYAL001C\n", tmp_path)
    assert found.names == ["RER2+tfc3", "YCL003W+YAL001C"]


def test_lists_in_memory() -> None:
    rows = given_rows([["TFC3", "RER2"], ["nobody"]], NAMES)
    rejects = KeptRejects()
    assert sets_of(place_sets(rows, NAMES, rejects)) == [[0, 1]]
    assert rejects.rows[0][0] == "set 1"


def test_bad_rows_are_put_aside_with_the_reason(tmp_path: Path) -> None:
    text = "TFC3\tRER2\nYAL01C\tRER2\nTFC3\tYAL001C\nRER2\n\t\nYCL003W\tRER2\n"
    found, rejects = read(text, tmp_path, sizes=(2, 3))
    assert sets_of(found) == [[0, 1], [1, 2]]
    assert [where for where, _ in rejects.rows] == ["line 2", "line 3", "line 4"]
    unknown, repeated, alone = (reason for _, reason in rejects.rows)
    assert "unknown gene 'YAL01C'" in unknown
    assert "YAL001C" in unknown
    assert "repeated" in repeated
    assert "2 or more" in alone


def test_a_first_line_of_unknown_genes_is_no_header(tmp_path: Path) -> None:
    _, rejects = read("YZZ999W\tYQQ111C\nTFC3\tRER2\n", tmp_path)
    assert [where for where, _ in rejects.rows] == ["line 1"]


def test_other_columns_of_a_table_are_left_alone(tmp_path: Path) -> None:
    text = "strain\tgene_a\tgene_b\teps\nx1\tTFC3\tRER2\t0.1\nx2\tRER2\tYCL003W\t-0.2\n"
    found, rejects = read(text, tmp_path)
    assert sets_of(found) == [[0, 1], [1, 2]]
    assert rejects.rows == []


def test_columns_of_the_training_table_come_first(tmp_path: Path) -> None:
    text = "q\ta\tcontrol\tname\nTFC3\tRER2\tYCL003W\tYCL003W\n"
    assert sets_of(read(text, tmp_path, columns=("q", "a"))[0]) == [[0, 1]]


def test_a_table_without_genes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column holds genes") as caught:
        read("gene\teps\nhumanA\t1\nhumanB\t2\n", tmp_path)
    assert "5 genes" in str(caught.value)


def test_neutral_genes_are_taken_out(tmp_path: Path) -> None:
    found, _ = read("YDL227C\tTFC3\tRER2\n", tmp_path, neutral=("YDL227C",), sizes=(2,))
    assert sets_of(found) == [[0, 1]]
    _, rejects = read("YDL227C\tTFC3\n", tmp_path, neutral=("YDL227C",), sizes=(2,))
    assert "2 or more" in rejects.rows[0][1]


def test_single_genes_where_the_model_knows_them(tmp_path: Path) -> None:
    assert sets_of(read("TFC3\n", tmp_path, sizes=(1, 2))[0]) == [[0]]


def test_sizes_that_were_not_trained_on_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "graphwright"):
        read("TFC3\tRER2\n", tmp_path, sizes=(2,))
        assert caplog.text == ""
        found, _ = read("TFC3\tRER2\tQ0010\n", tmp_path, sizes=(2,))
    assert len(found.names) == 1
    assert "sets of 2 genes; those of 3" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no gene set"),
        (b"# nothing\n\n", "no gene set"),
        (bytes(range(256)) * 4, "cannot be read as text"),
        (b"TFC3\tRER2\n\0\0\n", "binary"),
    ],
)
def test_what_is_no_list_of_sets(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "sets.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        given_rows(path, NAMES)
    assert caught.value.where == str(path)


def test_a_broken_archive_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "sets.tsv.gz"
    path.write_bytes(gzip.compress(b"TFC3\tRER2\n" * 100)[:20])
    for wrong, message in ((path, "cannot be read"), (tmp_path / "no.tsv", "no such file")):
        with pytest.raises(DataError, match=message):
            given_rows(wrong, NAMES)
