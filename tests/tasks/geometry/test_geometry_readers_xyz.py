"""Structures from .xyz and .extxyz files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.geometry.data_config import Columns
from graphwright.tasks.geometry.readers import read_structures
from graphwright.tasks.geometry.structures import StructureTable

pytest.importorskip("ase")

CO = "2\n{}\nC 0 0 0\nO 0 0 1.128\n"
EXT = (
    '3\nProperties=species:S:1:pos:R:3:q:R:1 dipole="0.1 0.2 0.3" id=water group=5\n'
    "O 0 0 0 -0.6\nH 0 0 1 0.3\nH 0 1 0 0.3\n"
)


def read(path: Path, text: str, target: str | None, **options: Any) -> StructureTable:
    path.write_text(text)
    options.setdefault("rejects", Rejects(None, strict=True))
    return read_structures(path, target=target, **options)


def test_plain_frames(tmp_path: Path) -> None:
    text = CO.format("one") + "\n" + CO.format("") + "\n"
    table = read(tmp_path / "m.xyz", text, "center_of_mass")
    assert table.names.tolist() == ["m:0", "m:1"]
    assert table.z is not None
    assert table.z.tolist() == [6, 8, 6, 8]
    assert table.target is not None
    assert table.target[1] == pytest.approx([0, 0, 1.128 * 15.999 / 28.010])
    assert (table.position_unit, table.target_unit) == ("angstrom", "angstrom")


def test_extended_frames(tmp_path: Path) -> None:
    table = read(tmp_path / "m.extxyz", EXT, "dipole", columns=Columns(features=("q",)))
    assert table.target is not None
    assert table.target.tolist() == [[0.1, 0.2, 0.3]]
    assert not table.target_is_position
    assert table.names.tolist() == ["water"]
    assert table.group is not None
    assert table.group.tolist() == [5]
    assert table.features is not None
    assert table.features[:, 0].tolist() == [-0.6, 0.3, 0.3]


def test_own_key_as_target(tmp_path: Path) -> None:
    text = CO.format('Properties=species:S:1:pos:R:3 spin="1 0 2"')
    table = read(tmp_path / "m.xyz", text, "spin", target_kind="vector", target_unit="hbar")
    assert table.target is not None
    assert table.target.tolist() == [[1, 0, 2]]
    assert table.target_unit == "hbar"


def test_a_bad_frame_costs_only_itself(tmp_path: Path) -> None:
    bad = [
        "2\n\nC 0 0 0\nQq 0 0 1\n",  # no element
        "2\n\nC 0 0 0\nO 0 zero 1\n",  # no number
        "2\n\nC 0 0 0\nO 0 nan 1\n",
        "1\n\nC 0 0 0\n",
    ]
    rejects = Rejects(None)
    text = "".join(frame + CO.format("") for frame in bad)
    table = read(tmp_path / "m.xyz", text + "5\n\nC 0 0 0\n", None, rejects=rejects)
    assert len(table) == len(bad)
    assert np.isfinite(table.pos).all()
    assert rejects.count == len(bad) + 1
    assert rejects.by_reason()["non-finite position"] == 1
    assert rejects.by_reason()["fewer than 2 points"] == 1


def test_frames_without_the_target(tmp_path: Path) -> None:
    rejects = Rejects(None)
    table = read(tmp_path / "m.xyz", EXT + EXT.replace("dipole", "dip"), "dipole", rejects=rejects)
    assert len(table) == 1
    assert rejects.by_reason() == {"no target 'dipole'": 1}
    with pytest.raises(DataError, match=r"no usable structure: no target 'dipole' \(1\)"):
        read(tmp_path / "m.xyz", CO.format(""), "dipole", rejects=Rejects(None))


def test_a_missing_feature_or_an_odd_group(tmp_path: Path) -> None:
    rejects = Rejects(None)
    text = EXT + EXT.replace(":q:", ":w:") + EXT.replace("group=5", "group=five")
    columns = Columns(features=("q",))
    assert len(read(tmp_path / "m.xyz", text, "dipole", columns=columns, rejects=rejects)) == 1
    assert rejects.by_reason() == {
        "no column 'q'": 1,
        "the key 'group' is not a whole number": 1,
    }


@pytest.mark.parametrize("head", ["C 0 0 0", "-1", "2.5"])
def test_a_file_out_of_step(tmp_path: Path, head: str) -> None:
    with pytest.raises(DataError, match="expected a number of atoms") as caught:
        read(tmp_path / "m.xyz", CO.format("") + head + "\n", None)
    assert caught.value.where == f"{tmp_path / 'm.xyz'}:5"


def test_ase_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ase", None)
    monkeypatch.setitem(sys.modules, "ase.io", None)
    with pytest.raises(MissingExtraError, match="needs the package ase"):
        read(tmp_path / "m.xyz", CO.format(""), None)
