"""Structures from .npz files, also from bad ones."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.data_config import Columns, FileSource, ScansSource
from graphwright.tasks.geometry.readers import load_source, read_structures
from graphwright.tasks.geometry.structures import StructureTable

POSITIONS = np.arange(15, dtype=float).reshape(5, 3) ** 1.5


def write(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "offsets": np.array([0, 2, 5]),
        "pos": POSITIONS,
        "z": np.array([6, 8, 1, 1, 8], np.uint8),
        "dipole_au": np.eye(3)[:2],
        "group": np.array(["b", "a"]),
        "id": np.array(["CO", "H2O"]),
        "charge": np.array([0.0, -1.0]),
        "partial": np.arange(5) / 10,
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def read(path: Path, target: str | None = "dipole_au", **options: Any) -> StructureTable:
    options.setdefault("rejects", Rejects(None, strict=True))
    return read_structures(path, target=target, **options)


def test_flat_layout(tmp_path: Path) -> None:
    table = read(
        write(tmp_path / "a.npz"), columns=Columns(features=("partial",)), target_unit="e a0"
    )
    assert table.offsets.tolist() == [0, 2, 5]
    assert np.array_equal(table.pos, POSITIONS)
    assert table.names.tolist() == ["CO", "H2O"]
    assert table.group is not None
    assert table.group.tolist() == [1, 0]
    assert table.features is not None
    assert table.features[:, 0].tolist() == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert not table.target_is_position
    assert (table.position_unit, table.target_unit) == ("angstrom", "e a0")


def test_points_without_elements(tmp_path: Path) -> None:
    path = write(tmp_path / "cloud.npz", z=None, id=None, group=None, com=np.ones((2, 3)))
    table = read(path, "com")
    assert table.z is None
    assert table.group is None
    assert table.names.tolist() == ["cloud:0", "cloud:1"]
    assert table.target_is_position
    assert table.position_unit == ""


def test_frames_of_one_molecule(tmp_path: Path) -> None:
    path = tmp_path / "frames.npz"
    coords = np.random.default_rng(0).normal(size=(4, 3, 3))
    np.savez(path, coords=coords, nuclear_charges=np.array([8, 1, 1], np.uint8))
    table = read(path, "center_of_mass")
    assert table.counts.tolist() == [3, 3, 3, 3]
    assert table.z is not None
    assert table.z[3:6].tolist() == [8, 1, 1]
    masses = np.array([15.999, 1.008, 1.008])
    assert table.target is not None
    assert np.allclose(table.target, masses @ coords / masses.sum())


def test_centre_of_mass_is_read_where_the_file_has_it(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.npz", center_of_mass=np.full((2, 3), 7.0)), "center_of_mass")
    assert table.target is not None
    assert (table.target == 7).all()


def test_no_target_for_prediction(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.npz"), None).target is None


def test_where_keeps_equal_values(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    assert read(path, where={"charge": -1}).names.tolist() == ["H2O"]
    with pytest.raises(DataError, match="no structure is left where charge is 3") as caught:
        read(path, where={"charge": 3})
    assert "-1, 0" in str(caught.value)
    with pytest.raises(DataError, match="no array 'chrage', did you mean charge"):
        read(path, where={"chrage": 0})
    with pytest.raises(DataError, match="not numbers"):
        read(path, where={"id": 0})
    with pytest.raises(DataError, match=r"'pos' has shape \(5, 3\), expected \(2,\)"):
        read(path, where={"pos": 0})


def test_unknown_target_lists_the_vectors(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    with pytest.raises(DataError, match="did you mean dipole_au") as caught:
        read(path, "dipol_au")
    assert "vectors in the file: dipole_au; or center_of_mass" in str(caught.value)
    assert str(path) in str(caught.value)
    with pytest.raises(DataError, match=r"'charge' is no array of shape \(2, 3\)"):
        read(path, "charge")


def test_centre_of_mass_without_elements(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not in the file") as caught:
        read(write(tmp_path / "a.npz", z=None, com=np.ones((2, 3))), "center_of_mass")
    assert "vectors in the file: dipole_au, com" in str(caught.value)


def test_bad_structures_are_reported(tmp_path: Path) -> None:
    pos = POSITIONS.copy()
    pos[0, 1] = np.nan
    rejects = Rejects(None)
    table = read(write(tmp_path / "a.npz", pos=pos), rejects=rejects)
    assert table.names.tolist() == ["H2O"]
    assert rejects.by_reason() == {"non-finite position": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offsets": None}, "no array 'offsets'"),
        ({"pos": None}, "no array 'pos'"),
        ({"pos": None, "offsets": None}, "neither 'offsets' and 'pos' nor coords"),
        ({"offsets": np.array([0, 5, 2])}, "not monotone"),
        ({"offsets": np.array(3)}, "whole numbers"),
        ({"offsets": np.array([0, 2, 9])}, "offsets end at 9"),
        ({"id": np.array(["a"])}, "array 'id' has shape"),
        ({"id": np.array([{}, {}], dtype=object)}, "array 'id' holds Python objects"),
        ({"z": np.array([6])}, "z has shape"),
        ({"pos": np.zeros((5, 2))}, "pos has shape"),
        ({"partial": np.zeros(4)}, "feature 'partial' is float64 of shape"),
    ],
)
def test_a_file_that_does_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "a.npz", **changes)
    with pytest.raises(DataError, match=message) as caught:
        read(path, columns=Columns(features=("partial",)))
    assert caught.value.where == str(path)


def test_frames_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", coords=np.zeros((2, 3, 3)), nuclear_charges=np.ones(4))
    with pytest.raises(DataError, match="are not"):
        read(tmp_path / "a.npz")


def test_a_pickle_with_another_name_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    path.write_bytes(pickle.dumps({"offsets": [0]}))
    with pytest.raises(DataError, match=r"not an \.npz file"):
        read(path)


def test_an_npy_with_another_name(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", POSITIONS)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        read(tmp_path / "a.npz")


def test_an_archive_that_begins_with_something_else(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    with pytest.raises(DataError, match=r"the \.npz file is damaged"):
        read(path)


def test_an_archive_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"the \.npz file is cut short"):
        read(path)


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", z=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("z", "carbon")
    with pytest.raises(DataError, match="'z' is not a numpy array"):
        read(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("damaged") / "a.npz")
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        table = read(path, rejects=Rejects(None))
    except DataError:
        return
    assert np.isfinite(table.pos).all()


@settings(max_examples=40, deadline=None)
@given(
    pos=hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.just(3))),
    target=hnp.arrays(np.float64, (1, 3)),
)
def test_only_finite_values_get_through(
    tmp_path_factory: pytest.TempPathFactory,
    pos: np.ndarray[Any, Any],
    target: np.ndarray[Any, Any],
) -> None:
    path = tmp_path_factory.mktemp("values") / "a.npz"
    np.savez(path, offsets=[0, len(pos)], pos=pos, com=target)
    if np.isfinite(pos).all() and np.isfinite(target).all():
        assert np.array_equal(read(path, "com").pos, pos)
    else:
        with pytest.raises(DataError, match="non-finite"):
            read(path, "com")


def test_paths_that_hold_no_structures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "missing.npz")
    (tmp_path / "a.csv").write_text("x,y,z\n")
    with pytest.raises(DataError, match=r"cannot be read from \.csv"):
        read(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"filters only \.npz"):
        read(tmp_path / "a.csv", where={"charge": 0})


def test_a_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="may not read"):
        read(write(tmp_path / "a.npz"))


def test_sources(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    source = FileSource(path=str(path), target="dipole_au", where={"charge": 0})
    assert load_source(source, Rejects(None)).names.tolist() == ["CO"]
    assert len(load_source(ScansSource(count=3, seed=1), Rejects(None))) == 3
