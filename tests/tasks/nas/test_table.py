"""Tables of architectures: what is read, what is refused, and in which words."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from graphwright.errors import DataError
from graphwright.tasks.nas.data_config import TableSource
from graphwright.tasks.nas.table import Rows, header, read_table
from graphwright.tasks.nas.table_columns import TableColumns, find_columns, find_format

TEXT = """hash,adj_upper_bits,ops,acc,params,arg_width,arg_kind
x,100110,02001,0.5,10,8,a
y,010101,00,diverged,,16,
"z, z",0,000,1e12,30,,b
"""


def everything(pieces: Sequence[Rows]) -> tuple[list[int], list[str]]:
    """Numbers and texts of all pieces."""
    return [int(n) for p in pieces for n in p.row], [text for p in pieces for text in p.texts]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_texts_stay_texts_and_words_are_no_numbers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"table.{kind}"
    if kind == "csv":
        path.write_text(TEXT)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(TEXT.encode()))
    else:
        (tmp_path / "t.csv").write_text(TEXT)
        names = TEXT.splitlines()[0].split(",")
        options = pa.csv.ConvertOptions(column_types={name: pa.string() for name in names})
        pa.parquet.write_table(pa.csv.read_csv(tmp_path / "t.csv", convert_options=options), path)
    source = TableSource(path=str(path), metrics=("acc",), features=("params",), group="hash")
    columns = find_columns(source, header(path))
    (rows,) = read_table(path, columns)
    assert rows.texts == ["100110:02001", "010101:00", "0:000"]
    assert np.array_equal(rows.metrics, [[0.5], [np.nan], [1e12]], equal_nan=True)
    assert np.array_equal(rows.features, [[10], [np.nan], [30]], equal_nan=True)
    assert rows.group == ["x", "y", "z, z"]
    assert rows.arguments == [{"width": 8, "kind": "a"}, {"width": 16}, {"kind": "b"}]
    assert rows.repeats.shape == (3, 0)


def test_parquet_keeps_types_of_numbers_and_comes_in_pieces(tmp_path: Path) -> None:
    count, path = 20_000, tmp_path / "t.parquet"
    table = pa.table(
        {
            "arch": pa.array([f"{i:06d}" for i in range(count)]).dictionary_encode(),
            "acc": pa.array(np.arange(count, dtype=np.int32)),
            "loss": pa.array([None, 1.5] * (count // 2)),
        }
    )
    pa.parquet.write_table(table, path)
    columns = TableColumns(arch=("arch",), metrics=("acc", "loss"))
    pieces = list(read_table(path, columns, start=5, limit=15_000))
    numbers, texts = everything(pieces)
    assert len(pieces) > 1
    assert numbers == list(range(5, 15_000))
    assert texts[0] == "000005"
    assert pieces[0].metrics[0].tolist() == [5, 1.5]
    assert np.isnan(pieces[0].metrics[1, 1])


def test_lines_that_are_no_rows_are_told_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"arch{i},{i}" if i % 1000 else f"arch{i},{i},more" for i in range(120_000)]
    path.write_text("arch,acc\n" + "\n".join(lines) + "\n")
    columns = TableColumns(arch=("arch",), metrics=("acc",))
    pieces = list(read_table(path, columns))
    numbers, texts = everything(pieces)
    assert len(pieces) > 1
    assert numbers == [i for i in range(120_000) if i % 1000]
    assert texts == [f"arch{i}" for i in numbers]
    bad = [line for piece in pieces for line in piece.bad]
    assert [line.row for line in bad] == list(range(0, 120_000, 1000))
    assert {line.reason for line in bad} == {"3 values instead of 2"}
    numbers, _ = everything(list(read_table(path, columns, start=70_000, limit=70_003)))
    assert numbers == [70_001, 70_002]


def test_pieces_are_cut_to_a_size() -> None:
    none = np.zeros((10, 0))
    rows = Rows(np.arange(10), [str(i) for i in range(10)], none, none, none, None, [{}] * 10)
    pieces = list(rows.pieces(4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert everything(pieces)[0] == list(range(10))
    assert list(rows.pieces(10)) == [rows]


def test_a_missing_column_lists_those_that_are_there() -> None:
    names = ["arch", "val_acc_4", "val_acc_108", "params"]
    with pytest.raises(DataError, match="val_acc_107") as caught:
        find_columns(TableSource(path="t.csv", metrics=("val_acc_107",)), names)
    assert "did you mean val_acc_108?" in str(caught.value)
    assert "arch, val_acc_4, val_acc_108, params" in str(caught.value)
    with pytest.raises(DataError, match="'id'"):
        find_columns(TableSource(path="t.csv", group="id"), names)


def test_the_column_of_architectures_is_found() -> None:
    def arch(*names: str) -> tuple[str, ...]:
        return find_columns(TableSource(path="t.csv"), names).arch

    assert arch("index", "arch_str", "ops", "acc") == ("arch_str",)
    assert arch("hash", "adj_upper_bits", "ops") == ("adj_upper_bits", "ops")
    assert arch("index", "c1", "c2", "c3", "c4", "c5") == ("c1", "c2", "c3", "c4", "c5")
    assert arch("genome", "iou_loss") == ("genome",)
    with pytest.raises(DataError, match="no column is known to name architectures") as caught:
        arch("id", "acc")
    assert "id, acc" in str(caught.value)


def test_formats_are_told_apart() -> None:
    def never(texts: Sequence[str]) -> str:
        raise AssertionError(texts)

    assert find_format(["a/b.onnx", "", "c.ONNX"], never) == "onnx"
    assert find_format(["nets.small:build", "nets:Other"], never) == "module"
    assert find_format(["100110:02001"], lambda texts: texts[0]) == "100110:02001"
    with pytest.raises(DataError, match="empty"):
        find_format(["", ""], never)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such table"):
        header(tmp_path / "none.csv")
    broken = tmp_path / "t.csv.gz"
    broken.write_bytes(gzip.compress(b"arch,acc\n" + b"x,1\n" * 100_000)[:-200])
    with pytest.raises(DataError, match="cannot be read") as caught:
        list(read_table(broken, TableColumns(arch=("arch",), metrics=("acc",))))
    assert str(broken) in str(caught.value)
    wrong = tmp_path / "t.parquet"
    wrong.write_bytes(b"not parquet")
    with pytest.raises(DataError, match="cannot be read"):
        header(wrong)
