"""What a user hands to a trained model: a file, arrays, or the JSON that a service is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.data.limits import InputLimits
from graphwright.errors import DataError
from graphwright.tasks.geometry.arrays import Sample
from graphwright.tasks.geometry.read_xyz import count_frames
from graphwright.tasks.geometry.structures import StructureTable
from graphwright.training.task import InputForm

__all__ = ["check_file", "check_table", "input_form"]

_KEYS = ("points", "elements", "features", "name")
_FIVE = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, 0.5]]


def input_form(state: Mapping[str, Any]) -> InputForm:
    """Files that a service takes, and `{"structures": [{"points": …, "elements": …}, …]}`."""
    example: dict[str, Any] = {"name": "mine", "points": _FIVE}
    keys = "points [n,3]"
    if state["elements"]:
        known = state["elements"]
        example["elements"] = [known[i % len(known)] for i in range(len(_FIVE))]
        keys += f" in {state['position_unit'] or 'any unit'}, elements [n] (symbols or numbers)"
    if state["features"]:
        example["features"] = [[0.0] * state["features"]] * len(_FIVE)
        keys += f", features [n,{state['features']}]"
    return InputForm(
        suffixes=(".npz", ".xyz", ".extxyz"),
        files="structures",
        json=f"structures: a list of objects with {keys}, and a name if you like",
        example={"structures": [example]},
        from_json=_from_json,
    )


def check_file(path: Path, limits: InputLimits | None) -> None:
    """See that a file is parsed in bounded time: each frame of an `.xyz` takes long.

    Raises:
        LimitError: more frames than `limits`.
        DataError: no such file, or a line that should count atoms and does not.
    """
    if limits is not None and path.suffix.lower() in (".xyz", ".extxyz"):
        limits.check_samples(count_frames(path), "frames")


def check_table(table: StructureTable, limits: InputLimits | None, where: object) -> None:
    """See that neighbours are found in bounded time: the pairs of points are compared.

    Raises:
        LimitError: more structures than `limits`, or more pairs than one largest structure has.
    """
    if limits is None:
        return
    limits.check_samples(len(table), "structures")
    pairs = float(np.square(table.counts.astype(np.float64)).sum())
    limits.check_size(
        int(np.ceil(np.sqrt(pairs))), "points (of one structure with as many pairs)", where
    )


def _from_json(value: Any) -> list[Sample]:
    structures = value.get("structures") if isinstance(value, dict) else None
    if not isinstance(structures, list) or not structures:
        raise DataError(
            "there is no list of structures",
            where="structures",
            fix='send {"structures": [{"points": [[x, y, z], …]}, …]}',
        )
    return [_sample(one, f"structures[{i}]") for i, one in enumerate(structures)]


def _sample(value: Any, where: str) -> Sample:
    if not isinstance(value, dict) or "points" not in value:
        raise DataError("a structure without points", where=where, fix='{"points": [[x, y, z], …]}')
    if unknown := sorted(set(value) - set(_KEYS)):
        known = ", ".join(_KEYS)
        raise DataError(f"{unknown[0]}: no such key", where=where, fix=f"keys are {known}")
    name = value.get("name")
    return Sample(
        name=where if name is None else str(name),
        pos=value["points"],
        z=value.get("elements"),
        features=value.get("features"),
    )
