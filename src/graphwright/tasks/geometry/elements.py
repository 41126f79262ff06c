"""Symbols and masses of the chemical elements.

Masses are the abridged standard atomic weights of IUPAC 2021 (Prohaska et al., Pure Appl. Chem. 94
(2022) 573, table 2), in dalton. An element without a standard weight (technetium, for example) has
the mass number of its longest-lived isotope, as periodic tables print it in brackets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError, nearest

__all__ = ["MASSES", "MAX_ATOMIC_NUMBER", "SYMBOLS", "atomic_masses", "atomic_numbers"]

_TABLE = """
H 1.0080   He 4.0026  Li 6.94    Be 9.0122  B 10.81    C 12.011   N 14.007   O 15.999
F 18.998   Ne 20.180  Na 22.990  Mg 24.305  Al 26.982  Si 28.085  P 30.974   S 32.06
Cl 35.45   Ar 39.95   K 39.098   Ca 40.078  Sc 44.956  Ti 47.867  V 50.942   Cr 51.996
Mn 54.938  Fe 55.845  Co 58.933  Ni 58.693  Cu 63.546  Zn 65.38   Ga 69.723  Ge 72.630
As 74.922  Se 78.971  Br 79.904  Kr 83.798  Rb 85.468  Sr 87.62   Y 88.906   Zr 91.224
Nb 92.906  Mo 95.95   Tc 97      Ru 101.07  Rh 102.91  Pd 106.42  Ag 107.87  Cd 112.41
In 114.82  Sn 118.71  Sb 121.76  Te 127.60  I 126.90   Xe 131.29  Cs 132.91  Ba 137.33
La 138.91  Ce 140.12  Pr 140.91  Nd 144.24  Pm 145     Sm 150.36  Eu 151.96  Gd 157.25
Tb 158.93  Dy 162.50  Ho 164.93  Er 167.26  Tm 168.93  Yb 173.05  Lu 174.97  Hf 178.49
Ta 180.95  W 183.84   Re 186.21  Os 190.23  Ir 192.22  Pt 195.08  Au 196.97  Hg 200.59
Tl 204.38  Pb 207.2   Bi 208.98  Po 209     At 210     Rn 222     Fr 223     Ra 226
Ac 227     Th 232.04  Pa 231.04  U 238.03   Np 237     Pu 244     Am 243     Cm 247
Bk 247     Cf 251     Es 252     Fm 257     Md 258     No 259     Lr 262     Rf 267
Db 268     Sg 269     Bh 270     Hs 269     Mt 277     Ds 281     Rg 282     Cn 285
Nh 286     Fl 290     Mc 290     Lv 293     Ts 294     Og 294
"""

_WORDS: Final = _TABLE.split()

SYMBOLS: Final[tuple[str, ...]] = ("X", *_WORDS[0::2])
"""Symbol by atomic number; number 0 is the unknown element "X"."""

MASSES: Final[NDArray[np.float64]] = np.array([np.nan, *map(float, _WORDS[1::2])])
"""Mass in dalton by atomic number, shape [119]; NaN for number 0."""

MAX_ATOMIC_NUMBER: Final = len(SYMBOLS) - 1

MASSES.setflags(write=False)


def atomic_masses(z_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """Masses in dalton of atomic numbers.

    Args:
        z_N: atomic numbers, shape [N], each 1..118.

    Returns:
        Masses, shape [N].

    Raises:
        DataError: a number outside 1..118.
    """
    z_N = np.asarray(z_N)
    bad = (z_N < 1) | (z_N > MAX_ATOMIC_NUMBER)
    if bad.any():
        raise DataError(
            f"{z_N[bad][0]} is not the number of an element",
            fix=f"atomic numbers run from 1 to {MAX_ATOMIC_NUMBER}",
        )
    mass_N: NDArray[np.float64] = MASSES[z_N]
    return mass_N


def atomic_numbers(symbols: Iterable[str]) -> NDArray[np.int16]:
    """Atomic numbers of element symbols ("H", "He", …; the case matters).

    Raises:
        DataError: an unknown symbol; the message names the nearest one.
    """
    table = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
    numbers = []
    for symbol in symbols:
        if symbol not in table:
            raise DataError(f"{symbol!r} is not an element{nearest(symbol, table)}")
        numbers.append(table[symbol])
    return np.array(numbers, dtype=np.int16)
