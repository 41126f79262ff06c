"""What a stranger sends to a predictor is read, and never called or opened."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graphwright.config.presets import resolve_preset
from graphwright.data.limits import InputLimits, LimitError
from graphwright.errors import DataError
from graphwright.tasks.nas.data_config import TableSource
from graphwright.tasks.nas.raw_input import input_form, read_architectures
from graphwright.tasks.nas.spaces import SPACES

LIMITS = InputLimits(samples=3)


@pytest.fixture(scope="module")
def config() -> Any:
    """A predictor that finds the format of a table by its contents."""
    tiny = resolve_preset("nas/tiny")
    source = TableSource(path="table.csv", metrics=("val_acc",))
    return replace(tiny, data=replace(tiny.data, source=source))


def _read(raw: Any, config: Any, folder: Path, space: str = "nasbench201") -> Any:
    return read_architectures(raw, config, {"space": space}, folder, LIMITS)


def test_functions_in_a_table_are_not_called(config: Any, tmp_path: Path) -> None:
    table, sign = tmp_path / "t.csv", tmp_path / "called"
    table.write_text(f'arch,arg_command\nos:system,"touch {sign}"\n')
    with pytest.raises(DataError, match="no architecture of the table can be read"):
        _read(table, config, tmp_path / "work")
    with pytest.raises(DataError, match="not taken here"):
        _read(table, config, tmp_path / "work", space="module")
    assert not sign.exists()
    with pytest.raises(DataError):  # one's own table is another matter
        read_architectures(table, config, {"space": "module"}, tmp_path / "own")
    assert sign.exists()


def test_a_name_that_is_a_function_is_not_called(config: Any) -> None:
    with pytest.raises(DataError, match="no table"):
        _read(Path("os:getcwd"), config, Path())


def test_too_many_texts(config: Any, tmp_path: Path) -> None:
    text = input_form({"space": "nasbench201"}).example["architectures"][0]
    assert len(_read([text] * 3, config, tmp_path)) == 3
    with pytest.raises(LimitError, match="4 architectures"):
        _read([text] * 4, config, tmp_path)


@pytest.mark.parametrize("space", SPACES)
def test_examples_of_every_space_can_be_read(space: str, config: Any, tmp_path: Path) -> None:
    form = input_form({"space": space})
    assert ".parquet" not in form.suffixes
    if form.example is not None:
        assert form.from_json is not None
        texts = form.from_json(form.example)
        assert len(_read(texts, config, tmp_path, space=space)) == 2


@pytest.mark.parametrize("space", ["module", "onnx"])
def test_traced_networks_come_as_onnx_only(space: str) -> None:
    form = input_form({"space": space})
    assert form.suffixes == (".onnx",)
    assert form.from_json is None


@pytest.mark.parametrize("value", [None, {}, {"architectures": []}, {"architectures": [1]}])
def test_no_list_of_texts(value: Any) -> None:
    from_json = input_form({"space": "nasbench201"}).from_json
    assert from_json is not None
    with pytest.raises(DataError, match="no list of texts"):
        from_json(value)


def test_too_many_rows_are_counted_before_they_are_read(config: Any, tmp_path: Path) -> None:
    table = tmp_path / "t.csv.gz"
    text = input_form({"space": "nasbench201"}).example["architectures"][0]
    table.write_bytes(gzip.compress("\n".join(["arch", *[text] * 4, ""]).encode()))
    with pytest.raises(LimitError, match="4 rows"):
        _read(table, config, tmp_path)
    table.write_bytes(table.read_bytes()[:-6])
    with pytest.raises(DataError):
        _read(table, config, tmp_path)
