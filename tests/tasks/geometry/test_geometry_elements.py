"""Symbols and masses of elements."""

from __future__ import annotations

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.geometry.elements import MASSES, SYMBOLS, atomic_masses, atomic_numbers


def test_table_agrees_with_ase() -> None:
    data = pytest.importorskip("ase.data")
    assert SYMBOLS[1:] == tuple(data.chemical_symbols[1:119])
    theirs = np.asarray(data.atomic_masses_iupac2016[1:119])
    assert np.allclose(MASSES[1:], theirs, rtol=0.015)  # radioactive ones: another isotope
    stable = [z for z in range(1, 93) if z not in (43, 61)]  # not technetium, promethium
    assert np.allclose(MASSES[stable], theirs[np.array(stable) - 1], rtol=2e-4)
    assert MASSES.shape == (119,)


def test_well_known_masses() -> None:
    assert atomic_masses(np.array([1, 6, 8, 82])).tolist() == [1.008, 12.011, 15.999, 207.2]


def test_symbols_become_numbers() -> None:
    assert atomic_numbers(["H", "C", "Cl", "Og"]).tolist() == [1, 6, 17, 118]


def test_masses_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        MASSES[1] = 2.0


@pytest.mark.parametrize("number", [0, 119, -1])
def test_number_of_no_element(number: int) -> None:
    with pytest.raises(DataError, match=f"^{number} is not the number of an element"):
        atomic_masses(np.array([6, number]))


def test_unknown_symbol_names_the_nearest() -> None:
    with pytest.raises(DataError, match="'Cll' is not an element, did you mean Cl"):
        atomic_numbers(["Cll"])
