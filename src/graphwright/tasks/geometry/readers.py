"""Structures from files: `.npz`, `.xyz`/`.extxyz`, a folder of the old per-graph `.pt` files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.geometry.data_config import Columns, FileSource, ScansSource, TargetKind
from graphwright.tasks.geometry.read_npz import read_npz
from graphwright.tasks.geometry.read_pt import read_pt_folder
from graphwright.tasks.geometry.read_xyz import read_xyz
from graphwright.tasks.geometry.scans import generate_scans
from graphwright.tasks.geometry.structures import StructureTable, drop_bad_structures

__all__ = ["load_source", "read_structures"]

_XYZ = (".xyz", ".extxyz")


def load_source(source: ScansSource | FileSource, rejects: Rejects) -> StructureTable:
    """The structures that a configuration asks for, generated or read.

    Raises:
        DataError: a file that is missing, damaged or lacks what was asked for.
        MissingExtraError: an `.xyz` file and no ase.
    """
    if isinstance(source, ScansSource):
        return generate_scans(source.count, source.seed)
    return read_structures(
        source.path,
        target=source.target,
        target_kind=source.target_kind,
        target_unit=source.target_unit,
        position_unit=source.position_unit,
        where=source.where,
        columns=source.columns,
        rejects=rejects,
    )


def read_structures(
    path: str | Path,
    *,
    target: str | None,
    rejects: Rejects,
    target_kind: TargetKind = "auto",
    target_unit: str = "",
    position_unit: str = "",
    where: Mapping[str, float] | None = None,
    columns: Columns | None = None,
) -> StructureTable:
    """Read, check and (bad structures) report the structures of a file or folder.

    Args:
        path: `.npz` (flat or rMD17 layout), `.xyz`, `.extxyz`, or a folder of `.pt` files.
        target: the vector to learn: an array [S,3] of the `.npz`, a key of the comment line of
            `.extxyz`, a key of the `.pt` dicts, or `center_of_mass` (computed from elements where
            the file has no such array); None for input without an answer.
        rejects: takes bad structures, with the reason.
        target_kind: whether the target is translated with its structure; `auto` goes by name.
        target_unit: unit of the target (a position has the unit of positions by default).
        position_unit: unit of positions; ångström by default where there are elements.
        where: keep only structures of an `.npz` whose number has this value (`{"charge": 0}`).
        columns: names of the arrays.

    Raises:
        DataError: no such file, not the format it claims to be, an array that is not there, no
            usable structure, or (`rejects` strict) a bad structure.
        MissingExtraError: an `.xyz` file and no ase.
    """
    path = Path(path)
    columns = Columns() if columns is None else columns
    if not path.exists():
        raise DataError("there is no such file or folder", where=path)
    if not os.access(path, os.R_OK):
        raise DataError("you may not read this", where=path, fix="ask its owner, or chmod +r")
    if path.suffix.lower() != ".npz" and where:
        raise DataError("`where` filters only .npz files", where=path)
    if path.is_dir():
        table = read_pt_folder(path, target=target, target_kind=target_kind, rejects=rejects)
    elif path.suffix.lower() == ".npz":
        table = read_npz(
            path, target=target, target_kind=target_kind, where=where or {}, columns=columns
        )
    elif path.suffix.lower() in _XYZ:
        table = read_xyz(
            path, target=target, target_kind=target_kind, columns=columns, rejects=rejects
        )
    else:
        raise DataError(
            f"structures cannot be read from {path.suffix or 'a file without suffix'}",
            where=path,
            fix="give .npz, .xyz, .extxyz or a folder of .pt files",
        )
    table = _with_units(table, position_unit, target_unit)
    return drop_bad_structures(table, str(path), rejects)


def _with_units(table: StructureTable, position_unit: str, target_unit: str) -> StructureTable:
    position_unit = position_unit or ("angstrom" if table.z is not None else "")
    if table.target is None:
        return replace(table, position_unit=position_unit)
    if not target_unit and table.target_is_position:
        target_unit = position_unit
    return replace(table, position_unit=position_unit, target_unit=target_unit)
