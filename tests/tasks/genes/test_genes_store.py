"""Prepared gene sets: built once, found again, and never read when damaged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graphwright.config.presets import resolve_preset
from graphwright.errors import DataError
from graphwright.launch.datasets import describe_store, list_stores, prepare_data
from graphwright.tasks.genes import store
from graphwright.tasks.genes.data_config import (
    CallsSource,
    ColumnsConfig,
    GenesData,
    NetworksConfig,
    PlantedSource,
    SplitConfig,
    TableSource,
)
from graphwright.tasks.genes.store import open_or_build, open_store

PLANTED = GenesData(source=PlantedSource(genes=80, networks=3, sets=240))


@pytest.fixture
def table_data(tmp_path: Path) -> GenesData:
    """A small table with its networks and names."""
    place = tmp_path / "raw"
    (place / "nets").mkdir(parents=True)
    (place / "nets" / "physical.tsv").write_text("A1\tB2\nB2\tC3\nC3\tC3\n")
    (place / "sets.tsv").write_text(
        "x\ty\teps\nA1\tB2\t0.5\nbee\tA1\t0.7\nA1\tZ9\t0.1\nB2\tC3\t0\n"
    )
    (place / "names.tsv").write_text("systematic\tstandard\nB2\tBEE\n")
    return GenesData(
        source=TableSource(
            path=str(place / "sets.tsv"), columns=ColumnsConfig(genes=("x", "y"), label="eps")
        ),
        networks=NetworksConfig(format="edges", path=str(place / "nets")),
        aliases=str(place / "names.tsv"),
    )


def test_built_once_and_found_again(
    tmp_path: Path, table_data: GenesData, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_or_build(table_data, tmp_path)
    assert first.multigraph.genes == ("A1", "B2", "C3")
    assert first.table.repeats.tolist() == [2, 1]
    assert first.rejected["count"] == 1
    assert "Z9" in (first.folder / "rejected.csv").read_text()

    def never(*_: object) -> None:
        raise AssertionError("built twice")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_build", never)
        moved = tmp_path / "elsewhere"
        shutil.copytree(tmp_path / "raw", moved)
        source, networks = table_data.source, table_data.networks
        assert isinstance(source, TableSource)
        same = replace(
            table_data,
            source=replace(source, path=str(moved / "sets.tsv")),
            networks=replace(networks, path=str(moved / "nets")),
            aliases=str(moved / "names.tsv"),
            split=SplitConfig(by="gene_disjoint", seed=5),
        )
        again = open_or_build(same, tmp_path)
    assert again.folder == first.folder
    assert again.digest == first.digest
    assert again.multigraph.digest == first.multigraph.digest
    assert again.names.find("bee") == 1
    for name in ("gene_index", "gene_ptr", "label", "pair", "repeats", "row"):
        assert np.array_equal(getattr(again.table, name), getattr(first.table, name))
    assert again.summary == first.summary


def test_what_is_read_differently_is_another_store(tmp_path: Path, table_data: GenesData) -> None:
    source = table_data.source
    assert isinstance(source, TableSource)
    others = [
        replace(table_data, source=replace(source, duplicates="keep")),
        replace(table_data, aliases=""),
        replace(table_data, networks=replace(table_data.networks, storage="compat")),
        PLANTED,
    ]
    folders = {open_or_build(one, tmp_path).folder for one in (table_data, *others)}
    assert len(folders) == 5
    assert len(list_stores(tmp_path)) == 5
    (tmp_path / "raw" / "sets.tsv").write_text("x\ty\teps\nA1\tB2\t0.5\n")
    assert open_or_build(table_data, tmp_path).folder not in folders


def test_strict_stops_at_a_bad_row_and_leaves_no_store(
    tmp_path: Path, table_data: GenesData
) -> None:
    with pytest.raises(DataError, match="Z9") as error:
        open_or_build(replace(table_data, strict=True), tmp_path)
    assert "line 4" in str(error.value)
    assert list_stores(tmp_path) == []


def test_inspect_shows_what_is_there(tmp_path: Path, table_data: GenesData) -> None:
    loaded = open_or_build(table_data, tmp_path)
    (place,) = list_stores(tmp_path)
    for path in (place, loaded.folder):
        described = describe_store(path)
        assert described["genes"] == 3
        assert described["sets by size"] == {"2": 2}
        assert described["networks"]["physical"]["self loops"] == 1
        assert described["networks"]["physical"]["edges"] == 4
        assert described["rejected"]["count"] == 1
        assert described["repeats"] == "1 sets, sd between repeats 0.1414"
        assert described["digest"] == loaded.digest
        assert described["bytes"] > 0


def test_prepare_says_what_training_would_see(tmp_path: Path) -> None:
    summary = prepare_data(resolve_preset("genes/tiny"), tmp_path)
    (place,) = list_stores(tmp_path)
    assert summary["digest"] == describe_store(place)["digest"]
    assert "0.958" in describe_store(place)["ceiling"]


def test_damage_is_told(tmp_path: Path) -> None:
    loaded = open_or_build(PLANTED, tmp_path)
    folder = loaded.folder / "store"
    for name in ("label.npy", "networks/0.indices.npy"):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(DataError, match=r"damaged|outside"):
            open_store(loaded.folder)
        (folder / name).write_bytes(kept[:-20])
        with pytest.raises(DataError):
            describe_store(folder)
        (folder / name).write_bytes(kept)
    assert open_store(loaded.folder).digest == loaded.digest
    (folder / "gene_ptr.npy").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_store(loaded.folder)


def test_files_that_are_not_there(tmp_path: Path, table_data: GenesData) -> None:
    source = table_data.source
    assert isinstance(source, TableSource)
    for wrong in (
        replace(table_data, source=replace(source, path=str(tmp_path / "none.tsv"))),
        replace(table_data, aliases=str(tmp_path / "none.tsv")),
        replace(table_data, source=CallsSource(path=source.path, arrays=str(tmp_path / "no.txt"))),
        replace(table_data, networks=replace(table_data.networks, path=str(tmp_path / "none"))),
        replace(table_data, networks=NetworksConfig(path=str(tmp_path / "none.npz"))),
    ):
        with pytest.raises(DataError) as error:
            open_or_build(wrong, tmp_path)
        assert "no" in str(error.value)
    assert list_stores(tmp_path) == []
