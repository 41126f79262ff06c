"""Structures from Python arrays."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.arrays import (
    is_position,
    structures_from_arrays,
    with_center_of_mass,
)


def test_lists_of_unlike_sizes() -> None:
    table = structures_from_arrays(
        [np.zeros((2, 3)), [[1, 2, 3], [4, 5, 6], [7, 8, 9]]],
        numbers=[[6, 8], ["C", "H", "Cl"]],
        features=[np.zeros((2, 1)), np.ones((3, 1))],
        targets=[[0, 0, 1], [0, 1, 0]],
        groups=[4, 9],
        names=["first", "second"],
        target_name="dipole",
        target_is_position=False,
        target_unit="debye",
    )
    assert table.offsets.tolist() == [0, 2, 5]
    assert table.pos[2:].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert table.z is not None
    assert table.z.tolist() == [6, 8, 6, 1, 17]
    assert table.group is not None
    assert table.group.tolist() == [4, 9]
    assert table.names.tolist() == ["first", "second"]
    assert (table.target_name, table.target_is_position, table.target_unit) == (
        "dipole",
        False,
        "debye",
    )


def test_one_array_of_equal_structures() -> None:
    positions = np.random.default_rng(0).normal(size=(4, 5, 3))
    table = structures_from_arrays(positions)
    assert np.array_equal(table.pos, positions.reshape(-1, 3))
    assert table.names.tolist() == [f"structure {i}" for i in range(4)]
    assert table.target is None
    assert table.target_name == ""


def test_bad_structures_are_counted_with_their_reasons() -> None:
    good = np.zeros((2, 3))
    rejects = Rejects(None)
    table = structures_from_arrays(
        [good, np.zeros((2, 2)), [[0, 0, 0], [0, 0]], good, good, good, good * np.nan, good],
        numbers=[[6, 6], [6, 6], [6, 6], [6, 6, 6], ["C", "Xx"], [6, 0], [6, 6], [True, False]],
        rejects=rejects,
    )
    assert len(table) == 1
    assert rejects.by_reason() == {
        "positions: shape 2x2, expected nx3": 1,
        "positions: not a regular array of numbers": 1,
        "elements: shape 3, expected 2": 1,
        "'Xx' is not an element": 1,
        "unknown element": 1,
        "non-finite position": 1,
        "elements: neither numbers nor symbols": 1,
    }


def test_fields_must_be_alike() -> None:
    good = np.zeros((2, 3))
    rejects = Rejects(None)
    structures_from_arrays(
        [good, good], features=[np.zeros((2, 1)), np.zeros((2, 2))], rejects=rejects
    )
    assert rejects.by_reason() == {"other fields than the first structure": 1}


def test_without_rejects_a_bad_structure_is_an_error() -> None:
    with pytest.raises(DataError, match="fewer than 2 points"):
        structures_from_arrays([np.zeros((1, 3))])
    with pytest.raises(DataError, match="target: shape 2, expected 3"):
        structures_from_arrays([np.zeros((2, 3))], targets=[[0, 1]])


def test_lists_of_unequal_length() -> None:
    with pytest.raises(DataError, match="1 numbers for 2 structures"):
        structures_from_arrays(np.zeros((2, 2, 3)), numbers=[[6, 6]])


def test_nothing_at_all() -> None:
    with pytest.raises(DataError, match="no usable structure: it is empty"):
        structures_from_arrays([])


def test_centre_of_mass_moves_with_the_molecule() -> None:
    table = structures_from_arrays(
        [[[0, 0, 0], [0, 0, 1.2]]], numbers=[["C", "O"]], position_unit="angstrom"
    )
    centred = with_center_of_mass(table)
    assert centred.target is not None
    assert centred.target[0, 2] == pytest.approx(1.2 * 15.999 / 28.010)
    assert (centred.target_unit, centred.target_is_position) == ("angstrom", True)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("com", "auto", True),
        ("center_of_mass", "auto", True),
        ("dipole_gfn2_au", "auto", False),
        ("com", "vector", False),
        ("anything", "position", True),
    ],
)
def test_how_a_target_moves(name: str, kind: str, expected: bool) -> None:
    assert is_position(name, kind) is expected  # type: ignore[arg-type]


def test_a_name_that_does_not_say_how_it_moves() -> None:
    with pytest.raises(DataError, match="does not say") as caught:
        is_position("vec", "auto")
    assert "target_kind=position" in str(caught.value)
