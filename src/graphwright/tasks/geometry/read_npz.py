"""Structures from `.npz`: flat arrays with offsets, or rMD17's frames of one molecule."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from graphwright.errors import DataError, nearest
from graphwright.tasks.geometry.arrays import CENTER_OF_MASS, is_position, with_center_of_mass
from graphwright.tasks.geometry.data_config import Columns, TargetKind
from graphwright.tasks.geometry.structures import StructureTable

__all__ = ["read_npz"]

_FRAMES = ("coords", "nuclear_charges")


def read_npz(
    path: Path,
    *,
    target: str | None,
    target_kind: TargetKind,
    where: Mapping[str, float],
    columns: Columns,
) -> StructureTable:
    """The structures of an `.npz` file, not yet checked for bad values.

    Two layouts are known. Flat: `offsets` [S+1], `pos` [N,3], and where present `z` [N], `group`
    and `id` [S]. Frames of one molecule (rMD17): `coords` [S,n,3], `nuclear_charges` [n].
    Pickled arrays are never loaded.

    Args:
        path: the file.
        target: name of an array [S,3], or `center_of_mass`; None reads no target.
        target_kind: whether the target is translated with its structure.
        where: numbers [S] that must have a value.
        columns: names of the arrays.

    Raises:
        DataError: not an `.npz`, damaged, an array missing or of wrong shape, or nothing left.
    """
    with _open(path) as arrays:
        try:
            table = _read(arrays, path.stem, columns)
            if target is not None:
                table = _with_target(arrays, table, target, target_kind)
            return _filtered(arrays, table, where)
        except DataError as error:
            raise DataError(error.what, where=error.where or path, fix=error.fix) from error


class _Arrays:
    """The arrays of an open `.npz`, with errors for people."""

    def __init__(self, file: NpzFile) -> None:
        self._file = file
        self.names: list[str] = list(file.files)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.names:
            raise DataError(
                f"no array {name!r}{nearest(name, self.names)}",
                fix=f"the file has: {', '.join(self.names) or 'nothing'}",
            )
        try:
            array: NDArray[Any] = self._file[name]
        except Exception as error:  # numpy and zipfile raise whatever the damage leads to
            raise _unreadable(name, error) from error
        if not isinstance(array, np.ndarray):
            raise DataError(f"{name!r} is not a numpy array")
        return array

    def get(self, name: str) -> NDArray[Any] | None:
        """An array that need not be there."""
        return self[name] if name in self.names else None

    def column(self, name: str, length: int, tail: tuple[int, ...] = ()) -> NDArray[Any]:
        """An array whose first axis runs over the structures."""
        array = self[name]
        if array.shape != (length, *tail):
            wanted = (length, *tail)
            raise DataError(f"array {name!r} has shape {array.shape}, expected {wanted}")
        return array

    def of_shape(self, shape: tuple[int, ...]) -> list[str]:
        """Names of the numeric arrays of this shape; unreadable ones are passed over."""
        found = []
        for name in self.names:
            try:
                array = self[name]
            except DataError:
                continue
            if array.shape == shape and array.dtype.kind in "iuf":
                found.append(name)
        return found


@contextmanager
def _open(path: Path) -> Iterator[_Arrays]:
    """Open an `.npz` without ever unpickling."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        what = "the .npz file is cut short" if zipped else "this is not an .npz file"
        raise DataError(what, where=path, fix="save it with numpy.savez, or fetch it again")
    with path.open("rb") as file:  # numpy would leave the file open when it is damaged
        try:
            arrays = _Arrays(np.load(file, allow_pickle=False))
        except Exception as error:
            raise DataError(f"the .npz file is damaged: {error}", where=path) from error
        yield arrays


def _unreadable(name: str, error: Exception) -> DataError:
    if "pickle" in str(error).lower():
        return DataError(
            f"array {name!r} holds Python objects, which would have to be unpickled",
            fix="save plain numeric or text arrays: unpickling a file can run its code",
        )
    return DataError(f"array {name!r} cannot be read: {error}")


def _read(arrays: _Arrays, stem: str, columns: Columns) -> StructureTable:
    if columns.offsets in arrays or columns.pos in arrays:
        offsets, pos = arrays[columns.offsets], arrays[columns.pos]
        z = arrays.get(columns.z)
    elif all(name in arrays for name in _FRAMES):
        offsets, pos, z = _frames(arrays)
    else:
        raise DataError(
            f"neither {columns.offsets!r} and {columns.pos!r} nor {' and '.join(_FRAMES)}",
            fix=f"the file has: {', '.join(arrays.names) or 'nothing'}; name arrays by `columns`",
        )
    names = np.array([f"{stem}:{i}" for i in range(offsets.size - 1)], dtype=np.str_)
    table = StructureTable(offsets=offsets, pos=pos, names=names, z=z)
    if columns.features:
        table = replace(table, features=_features(arrays, columns.features, table.num_points))
    if columns.id in arrays:
        table = replace(table, names=arrays.column(columns.id, len(table)).astype(np.str_))
    if columns.group in arrays:
        group = arrays.column(columns.group, len(table))
        table = replace(table, group=np.unique(group, return_inverse=True)[1])
    return table


def _frames(arrays: _Arrays) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    coords, z = (arrays[name] for name in _FRAMES)
    if coords.ndim != 3 or coords.shape[2] != 3 or z.shape != coords.shape[1:2]:
        raise DataError(
            f"coords {coords.shape} and nuclear_charges {z.shape} are not [S,n,3] and [n]"
        )
    S, n, _ = coords.shape
    return np.arange(S + 1) * n, coords.reshape(-1, 3), np.tile(z, S)


def _features(arrays: _Arrays, names: tuple[str, ...], N: int) -> NDArray[np.float64]:
    parts = []
    for name in names:
        array = arrays[name]
        if array.dtype.kind not in "iuf" or array.ndim not in (1, 2) or len(array) != N:
            found = f"{array.dtype} of shape {array.shape}"
            raise DataError(f"feature {name!r} is {found}, expected numbers ({N},) or ({N}, F)")
        parts.append(array.reshape(N, -1).astype(np.float64))
    return np.concatenate(parts, axis=1)


def _with_target(
    arrays: _Arrays, table: StructureTable, target: str, kind: TargetKind
) -> StructureTable:
    S = len(table)
    if target == CENTER_OF_MASS and target not in arrays and table.z is not None:
        return with_center_of_mass(table)
    candidates = arrays.of_shape((S, 3))
    if target not in candidates:
        problem = f"is no array of shape ({S}, 3)" if target in arrays else "is not in the file"
        raise DataError(
            f"target {target!r} {problem}{nearest(target, candidates)}",
            fix=f"vectors in the file: {', '.join(candidates) or 'none'}"
            + (f"; or {CENTER_OF_MASS}, from the elements" if table.z is not None else ""),
        )
    return replace(
        table,
        target=arrays[target],
        target_name=target,
        target_is_position=is_position(target, kind),
    )


def _filtered(arrays: _Arrays, table: StructureTable, where: Mapping[str, float]) -> StructureTable:
    keep_S = np.ones(len(table), dtype=bool)
    for name, value in where.items():
        column = arrays.column(name, len(table))
        if column.dtype.kind not in "iufb":
            raise DataError(f"where.{name}: the array holds {column.dtype}, not numbers")
        keep_S &= column == value
        if not keep_S.any():
            have = ", ".join(f"{v:g}" for v in np.unique(column.astype(float))[:8])
            raise DataError(f"no structure is left where {name} is {value:g}", fix=f"it is: {have}")
    return table if keep_S.all() else table.select(keep_S)
