"""Tables of gene sets: no row is lost, none is invented."""

from __future__ import annotations

import csv
import gzip
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphwright.data.rejects import KeptRejects
from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import AliasTable, GeneNames
from graphwright.tasks.genes.calls import significant_calls
from graphwright.tasks.genes.data_config import CallsSource, ColumnsConfig, TableSource
from graphwright.tasks.genes.gene_table import GeneSetTable, read_gene_sets
from graphwright.tasks.genes.network_readers import read_gene_list
from graphwright.tasks.genes.set_rows import number_rows

SHARED = Path(__file__).parents[4] / "shared" / "data" / "genes"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
GENES = tuple(f"YAL00{i}C" for i in range(8))
NAMES = GeneNames(GENES, AliasTable({"TFC3": GENES[1]}))
COLUMNS = ColumnsConfig(genes=("q", "a"), label="eps", p_value="p", query=("q",))


def read(
    path: Path, columns: ColumnsConfig = COLUMNS, **more: object
) -> tuple[GeneSetTable, list[tuple[str, str]]]:
    rejects = KeptRejects()
    source = TableSource(path=str(path), columns=columns, **more)  # type: ignore[arg-type]
    return read_gene_sets(source, NAMES, rejects), rejects.rows


def write(path: Path, rows: list[str], head: str = "q\ta\teps\tp") -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def sets_of(table: GeneSetTable) -> list[list[int]]:
    return [part.tolist() for part in np.split(table.gene_index, table.gene_ptr[1:-1])]


def test_duplicates_are_averaged_in_any_order_of_genes(tmp_path: Path) -> None:
    a, b, c = GENES[:3]
    rows = [
        f"{b}\t{a}\t0.1\t0.5",
        f"{a}\t{c}\t-0.2\t0.01",
        f"{a}\t{b}\t0.3\t",
        f"{a}\tTFC3\t0.5\t1",
    ]
    table, rejected = read(write(tmp_path / "t.tsv", rows))
    assert sets_of(table) == [[0, 1], [0, 2]]
    assert table.label is not None
    assert table.label.tolist() == pytest.approx([0.3, -0.2])
    assert table.repeats.tolist() == [3, 1]
    assert table.spread[0] == pytest.approx(np.std([0.1, 0.3, 0.5], ddof=1))
    assert np.isnan(table.spread[1])
    assert table.noise == pytest.approx(0.2)
    assert np.isnan(table.p_value[0])  # there is no single one
    assert table.p_value[1] == 0.01
    assert [table.pair_names[k] for k in table.pair] == [b, a]
    assert table.row.tolist() == [0, 1]
    assert rejected == []
    assert table.summary()["sets measured with several queries (the first one counts)"] == 1
    kept, _ = read(tmp_path / "t.tsv", duplicates="keep")
    assert len(kept) == 4
    assert kept.p_value[3] == 1


def test_every_bad_row_has_its_reason(tmp_path: Path) -> None:
    a, b, c = GENES[:3]
    rows = [
        f"{a}\t{b}\t0.1\t0.5",
        f"{a}\tYAL009C\t0.1\t0.5",
        f"{a}\t{a}\t0.1\t0.5",
        "\t\t0.1\t0.5",
        f"{a}\t{b}\tnan\t0.5",
        f"{a}\t{b}\tinf\t0.5",
        f"{a}\t{b}\t\t0.5",
        f"{a}\t{b}\tabc\t0.5",
        f"{a}\t{b}\t1e999\t0.5",
        f"{a}\t{b}\t0.1\t1.5",
        f"{a}\t{b}\t0.1\tnone",
        f"{a}\t{b}\t0.1",
        f"{a}\t{b}\t0.1\t0.5\tmore",
        "",
        f" {a} \t {c} \t 0.25 \t ",
    ]
    table, rejected = read(write(tmp_path / "t.tsv", rows))
    assert sets_of(table) == [[0, 1], [0, 2]]
    assert table.label is not None
    assert table.label[1] == 0.25
    number = "eps is no finite number"
    near = "unknown gene 'YAL009C', nearest: YAL000C, YAL001C, YAL002C"
    assert rejected == [
        ("line 3", near),
        ("line 4", "a gene is repeated in the row"),
        ("line 5", "the row names no gene"),
        *[(f"line {i}", number) for i in range(6, 11)],
        ("line 11", "p is no number from 0 to 1"),
        ("line 12", "p is no number from 0 to 1"),
        ("line 13", "3 values instead of 4"),
        ("line 14", "5 values instead of 4"),
        ("line 15", "the row names no gene"),
    ]


def test_sets_of_any_size_and_neutral_genes(tmp_path: Path) -> None:
    a, b, c, ho = GENES[:4]
    rows = [f"{a}\t{b}\t{c}", f"{a}\t\t{c}", f"{b}\t\t", f"{c}\t{ho}\t{a}", f"{ho}\t{ho}\t"]
    path = write(tmp_path / "t.tsv", rows, "x\ty\tz")
    columns = ColumnsConfig(genes=("x", "y", "z"))
    table, rejected = read(path, columns, neutral=(ho,))
    assert sets_of(table) == [[0, 1, 2], [0, 2], [1]]
    assert table.repeats.tolist() == [1, 2, 1]
    assert table.label is None
    assert table.noise is None
    assert rejected == [("line 6", "the row names no gene")]
    # the columns are found where they are not named, also beside others
    write(path, [f"1\t{a}\t{b}", f"2\t{b}\tTFC3"], "row\tone\ttwo")
    assert sets_of(read(path, ColumnsConfig())[0]) == [[0, 1]]
    # several genes in one cell
    write(path, [f"{a}+{b}\t{c}", f"{c}\t{a}"], "query\tarray")
    joined = ColumnsConfig(genes=("query", "array"), joined_by="+", query=("query",))
    table, _ = read(path, joined)
    assert sets_of(table) == [[0, 1, 2], [0, 2]]
    assert table.pair_names == (f"{a}+{b}", c)


def test_comma_gzip_and_parquet_are_the_same(tmp_path: Path) -> None:
    a, b, c = GENES[:3]
    columns = {"q": [a, b, a], "a": [b, c, "nope"], "eps": [0.5, float("nan"), 0.1], "p": [0.1] * 3}
    text = [
        "q,a,eps,p",
        *(f"{x},{y},{e},{p}" for x, y, e, p in zip(*columns.values(), strict=True)),
    ]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress("\r\n".join(text).encode("utf-8-sig")))
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    results = [read(tmp_path / name) for name in ("t.csv.gz", "t.parquet")]
    for table, rejected in results:
        assert sets_of(table) == [[0, 1]]
        assert [reason.split(",")[0] for _, reason in rejected] == [
            "eps is no finite number",
            "unknown gene 'nope'",
        ]
    assert [where for where, _ in results[0][1]] == ["line 3", "line 4"]
    assert [where for where, _ in results[1][1]] == ["row 2", "row 3"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read"),
        (b"q\ta\teps\tp\n", "no row"),
        (b"q\ta\tepsilon\tp\nA\tB\t1\t1\n", "did you mean epsilon"),
        (b"q\tq\teps\tp\nA\tB\t1\t1\n", "two columns are called 'q'"),
        (b"q\ta\teps\tp\nA\tB\t1\t1\n", "no row"),
        (b"q\ta\teps\tp\n\xff\xfe\tB\t1\t1\n", "cannot be read"),
        (b"\0\1\2\3", "binary"),
    ],
)
def test_tables_that_are_none_are_told(tmp_path: Path, content: bytes, told: str) -> None:
    plain, packed = tmp_path / "t.tsv", tmp_path / "t.tsv.gz"
    for path in (plain, packed):
        path.write_bytes(content)  # which is no gzip
    with pytest.raises(DataError, match=told) as error:
        read(plain)
    assert "t.tsv" in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read(packed)
    with pytest.raises(DataError, match="no such table"):
        read(tmp_path / "none.tsv")


def test_a_truncated_file_is_no_shorter_table(tmp_path: Path) -> None:
    whole = ["q\ta\teps\tp", *(f"{GENES[0]}\t{GENES[1]}\t{i / 7}\t0.5" for i in range(5000))]
    path = tmp_path / "t.tsv.gz"
    packed = gzip.compress("\n".join(whole).encode())
    path.write_bytes(packed)
    assert read(path)[0].repeats.tolist() == [5000]
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read(path)


CELL = st.one_of(
    st.sampled_from([*GENES[:4], "TFC3", "tfc3", "", " ", "YXX", "0.5", "-1e-3", "nan", "1", "é"]),
    st.text(st.characters(blacklist_characters='"\r\n\0', blacklist_categories=["Cs"]), max_size=4),
)
LINE = st.one_of(
    st.lists(CELL, min_size=4, max_size=4).map("\t".join),
    st.lists(CELL, min_size=0, max_size=6).map("\t".join),
)


@given(st.lists(LINE, max_size=12))
@settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_malformed_tables_never_lose_or_invent_a_row(tmp_path: Path, lines: list[str]) -> None:
    """Whatever stands in a table: an error that is told, or counts that add up."""
    path = tmp_path / "t.tsv"
    path.write_bytes("\n".join(["q\ta\teps\tp", *lines]).encode() + (b"\n" if lines else b""))
    rejects = KeptRejects()
    source = TableSource(path=str(path), columns=COLUMNS)
    try:
        table = read_gene_sets(source, NAMES, rejects)
    except DataError:
        assert rejects.count in (0, len(lines))
        return
    assert table.label is not None
    assert int(table.repeats.sum()) + rejects.count == len(lines)
    assert len({where for where, _ in rejects.rows}) == rejects.count
    assert set(table.sizes()) <= {1, 2}
    assert np.isfinite(table.label).all()
    good = {f"line {i}" for i in range(2, len(lines) + 2)} - {where for where, _ in rejects.rows}
    assert {f"line {row + 2}" for row in table.row} <= good
    # each set is what the line that it came from says
    for genes, row in zip(sets_of(table), table.row.tolist(), strict=True):
        cells = lines[row].split("\t")[:2]
        assert genes == sorted(int(str(NAMES.find(c))) for c in cells if c.strip())


@given(st.lists(st.lists(st.integers(-1, 2), min_size=3, max_size=3), max_size=30))
@settings(deadline=None)
def test_numbers_of_rows_follow_first_appearance(rows: list[list[int]]) -> None:
    found = number_rows(np.array(rows, np.int64).reshape(-1, 3)).tolist()
    first: dict[tuple[int, ...], int] = {}
    assert found == [first.setdefault(tuple(row), len(first)) for row in rows]


def test_a_large_table_takes_a_moment(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    genes = np.array([f"Y{i:05d}" for i in range(6000)])
    names = GeneNames(tuple(genes.tolist()))
    one, other = (genes[rng.integers(0, 6000, 200_000)] for _ in range(2))
    table = pa.table(
        {"q": one, "a": other, "eps": rng.normal(size=200_000), "p": np.zeros(200_000)}
    )
    pa.csv.write_csv(table, tmp_path / "t.csv")
    start = time.process_time()
    found = read_gene_sets(
        TableSource(path=str(tmp_path / "t.csv"), columns=COLUMNS), names, rejects := KeptRejects()
    )
    assert time.process_time() - start < 4
    assert int(found.repeats.sum()) + rejects.count == 200_000
    assert rejects.count == int((one == other).sum())


# -- significant calls ---------------------------------------------------------------------------


def calls_of(
    tmp_path: Path, lines: list[str], arrays: list[str] | None, **more: object
) -> tuple[GeneSetTable, list[tuple[str, str]]]:
    path = write(tmp_path / "calls.tsv", lines, "query_pair\tarray\tkind")
    listed = ""
    if arrays is not None:
        listed = str(tmp_path / "arrays.txt")
        Path(listed).write_text("\n".join(arrays) + "\n")
    rejects = KeptRejects()
    source = CallsSource(path=str(path), arrays=listed, **more)  # type: ignore[arg-type]
    return significant_calls(source, NAMES, rejects), rejects.rows


def test_calls_make_a_grid(tmp_path: Path) -> None:
    a, b, c, d, e = GENES[:5]
    rows = [f"{a}+{b}\t{c}\tx", f"{b}+{a}\t{c}\tx", f"{c}+{a}\t{d}\tx", f"{a}+{b}\t{e}\tx"]
    table, rejected = calls_of(tmp_path, rows, [c, d, a, "YZZ"])
    assert sets_of(table) == [[0, 1, 2], [0, 1, 3], [0, 2, 3]]
    assert table.label is not None
    assert table.label.tolist() == [1, 0, 1]
    assert [table.pair_names[k] for k in table.pair] == [f"{a}+{b}", f"{a}+{b}", f"{a}+{c}"]
    assert table.counts["cells not called, assumed not to interact"] == 1
    assert table.counts["calls of a cell that was called before"] == 1
    # a is in both queries, c in the second
    assert table.counts["cells left out, the array gene is in the query"] == 3
    assert ("line 5", "the array gene is not in the list of array genes") in rejected
    assert [where for where, _ in rejected] == ["line 4", "line 5"]
    assert table.row.tolist() == [0, -1, 2]
    found, _ = calls_of(tmp_path, rows, None)
    assert found.counts["array genes"] == 3


def test_calls_of_one_kind_and_none_at_all(tmp_path: Path) -> None:
    a, b, c, d = GENES[:4]
    rows = [f"{a}+{b}\t{c}\tx", f"{a}+{b}\tYZZ\ty", f"{a}+{b}\t{d}\ty", f"\t{d}\tx"]
    rows += [f"{a}+{b}\t{a}\tx", f"{a}+{b}\t\tx"]
    table, rejected = calls_of(tmp_path, rows, None, rows=("kind", "x"))
    assert len(table) == 1
    assert table.counts["rows of another kind, not looked at"] == 2
    assert rejected == [
        ("line 5", "the row names no gene"),
        ("line 6", "a gene is repeated in the row"),
        ("line 7", "the row names no gene"),
    ]
    with pytest.raises(DataError, match="no call"):
        calls_of(tmp_path, rows, None, rows=("kind", "z"))
    with pytest.raises(DataError, match="no such list"):
        significant_calls(
            CallsSource(path=str(tmp_path / "calls.tsv"), arrays="none.txt"), NAMES, KeptRejects()
        )


# -- real files ----------------------------------------------------------------------------------


def real(source: TableSource | CallsSource) -> tuple[GeneSetTable, KeptRejects]:
    genes = read_gene_list(SHARED / "networks" / "yeast_string_genes.txt")
    names, rejects = GeneNames(tuple(genes), suffixes=("-PH",)), KeptRejects()
    if isinstance(source, CallsSource):
        return significant_calls(source, names, rejects), rejects
    return read_gene_sets(source, names, rejects), rejects


def lines_of(name: str) -> int:
    with (SHARED / name).open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file, delimiter="\t")) - 1


@needs_data
@pytest.mark.parametrize(
    ("name", "columns", "rows", "sets", "rejected"),
    [
        (
            "digenic_kuzmin2018_kgbox.tsv",
            ColumnsConfig(genes=("q", "a"), label="eps", p_value="P-value", query=("q",)),
            15034,
            14506,
            4,
        ),
        (
            "digenic_sga_public.tsv",
            ColumnsConfig(genes=("g1", "g2"), label="epsilon", p_value="p"),
            5826,
            5821,
            0,
        ),
        (
            "trigenic_sga_public.tsv",
            ColumnsConfig(genes=("q1", "q2", "a"), label="tau", p_value="p", query=("q1", "q2")),
            4606,
            4602,
            0,
        ),
    ],
)
def test_real_scores(
    name: str, columns: ColumnsConfig, rows: int, sets: int, rejected: int
) -> None:
    table, rejects = real(TableSource(path=str(SHARED / name), columns=columns))
    assert rows == lines_of(name) == int(table.repeats.sum()) + rejects.count
    assert len(table) == sets
    assert rejects.count == rejected
    # the columns of genes are found without being told
    guessed = ColumnsConfig(label=columns.label, p_value=columns.p_value)
    found, _ = real(TableSource(path=str(SHARED / name), columns=guessed))
    assert np.array_equal(found.gene_index, table.gene_index)


@needs_data
def test_real_calls() -> None:
    path = SHARED / "trigenic_significant_with_query_pair.tsv"
    table, rejects = real(CallsSource(path=str(path), arrays=str(SHARED / "miniarray_orfs.txt")))
    assert table.counts["calls"] + rejects.count == 3195
    assert table.counts["array genes"] == 1202
    # two of the 170 query pairs have a gene that is not in STRING; one row has no pair
    assert len(table.pair_names) == 168
    assert table.label is not None
    assert int(table.label.sum()) == table.counts["cells called"]
    assert len(table) == 168 * 1202 - 142
    both = SHARED / "significant_interactions_kuzmin2018_aleixmt.tsv"
    columns = ColumnsConfig(genes=("o1", "o2", "o3"))
    every, rejects = real(TableSource(path=str(both), columns=columns, neutral=("YDL227C",)))
    assert every.summary()["sets by size"] == {"2": 14025, "3": 3186}
    assert int(every.repeats.sum()) + rejects.count == 17285
