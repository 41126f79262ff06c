"""Structures from `.xyz` and `.extxyz`, parsed frame by frame by ase."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.geometry.arrays import (
    CENTER_OF_MASS,
    Sample,
    assemble,
    is_position,
    with_center_of_mass,
)
from graphwright.tasks.geometry.data_config import Columns, TargetKind
from graphwright.tasks.geometry.structures import StructureTable

__all__ = ["count_frames", "read_xyz"]


def read_xyz(
    path: Path,
    *,
    target: str | None,
    target_kind: TargetKind,
    columns: Columns,
    rejects: Rejects,
) -> StructureTable:
    """The frames of an `.xyz` file, not yet checked for bad values.

    Args:
        path: the file; frames follow each other.
        target: key of the comment line (or a result that ase knows, as `dipole`), or
            `center_of_mass`, computed where the file has no such key; None reads no target.
        target_kind: whether the target is translated with its structure.
        columns: names of per-atom feature columns, and of the `id` and `group` keys.
        rejects: takes frames that ase cannot parse or that lack the target.

    Raises:
        DataError: a line that should count atoms and does not, or no usable frame.
        MissingExtraError: ase is not installed.
    """
    try:
        import ase.io
    except ImportError as error:
        raise MissingExtraError("ase", "xyz", f"reading {path.name}") from error

    def samples() -> Iterator[Sample]:
        for i, (line, text) in enumerate(_frames(path)):
            try:
                atoms: Any = ase.io.read(io.StringIO(text), format="extxyz")
                yield _sample(atoms, f"{path.stem}:{i}", target, columns)
            except DataError as error:
                rejects.add(str(path), f"line {line} (frame {i})", error.what)
            except Exception as error:  # ase raises whatever its parser meets
                reason = f"ase cannot read this frame ({type(error).__name__}: {error})"
                rejects.add(str(path), f"line {line} (frame {i})", reason)

    is_moving = target is None or is_position(target, target_kind)
    table = assemble(
        samples(),
        source=str(path),
        rejects=rejects,
        target_name=target or "",
        target_is_position=is_moving,
    )
    computed = target == CENTER_OF_MASS and table.target is None
    return with_center_of_mass(table) if computed else table


def count_frames(path: Path) -> int:
    """How many frames a file has, without parsing them.

    Raises:
        DataError: a line that should count atoms and does not.
    """
    return sum(1 for _ in _frames(path))


def _frames(path: Path) -> Iterator[tuple[int, str]]:
    """The text of each frame and its first line's number, one at a time.

    ase alone would give up a whole file for one bad frame.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        number = 0
        for head in file:
            number += 1
            if not head.strip():
                continue
            count = _count(head, path, number)
            body = [line for _, line in zip(range(count + 1), file, strict=False)]
            yield number, head + "".join(body)
            number += len(body)


def _count(head: str, path: Path, number: int) -> int:
    try:
        count = int(head)
    except ValueError:
        count = -1
    if count < 0:
        raise DataError(
            f"expected a number of atoms, found {head.strip()[:40]!r}",
            where=f"{path}:{number}",
            fix="each frame is: number of atoms, comment line, one line per atom",
        )
    return count


def _sample(atoms: Any, name: str, target: str | None, columns: Columns) -> Sample:
    group = atoms.info.get(columns.group)
    if group is not None and not isinstance(group, int | np.integer):
        raise DataError(f"the key {columns.group!r} is not a whole number")
    return Sample(
        name=str(atoms.info.get(columns.id, name)),
        pos=atoms.get_positions(),
        z=atoms.get_atomic_numbers(),
        features=_features(atoms, columns.features) if columns.features else None,
        target=None if target is None else _target(atoms, target),
        group=None if group is None else int(group),
    )


def _features(atoms: Any, names: tuple[str, ...]) -> NDArray[np.float64]:
    for name in names:
        if name not in atoms.arrays:
            raise DataError(f"no column {name!r}")
    return np.column_stack([np.asarray(atoms.arrays[name], dtype=np.float64) for name in names])


def _target(atoms: Any, target: str) -> Any:
    results = {} if atoms.calc is None else atoms.calc.results
    for place in (atoms.info, results):
        if target in place:
            return place[target]
    if target == CENTER_OF_MASS:
        return None
    raise DataError(f"no target {target!r}")
