"""Structures from a folder of the old per-graph `.pt` files."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphwright.data.rejects import Rejects
from graphwright.errors import DataError, nearest
from graphwright.tasks.geometry.arrays import Sample, assemble, is_position
from graphwright.tasks.geometry.data_config import TargetKind
from graphwright.tasks.geometry.structures import StructureTable

__all__ = ["read_pt_folder"]


def read_pt_folder(
    path: Path, *, target: str | None, target_kind: TargetKind, rejects: Rejects
) -> StructureTable:
    """One structure per `*.pt` file, in the order of their names.

    Each file is a dict of tensors: `node_features` [n,3] (the positions), `edge_index` [2,E],
    `edge_attr` [E,…] and `target` [3]. Edges are checked but not used: they are built again from
    the positions, so that they turn with them.

    Args:
        path: the folder.
        target: key of the target; `center_of_mass` is another name of `target`, which is what the
            old files hold; None reads no target.
        target_kind: whether the target is translated with its structure (`target` is).
        rejects: takes files that are damaged, malformed, or need unpickling.

    Raises:
        DataError: no `.pt` file, or none that is usable.
    """
    files = sorted(path.glob("*.pt"))
    if not files:
        raise DataError("the folder has no .pt file", where=path)
    key = "target" if target == "center_of_mass" else target

    def samples() -> Iterator[Sample]:
        for file in files:
            try:
                yield _sample(file.stem, _load(file), key)
            except DataError as error:
                rejects.add(str(path), file.name, error.what)

    known = target is None or (key == "target" and target_kind == "auto")
    return assemble(
        samples(),
        source=str(path),
        rejects=rejects,
        target_name=target or "",
        target_is_position=True if known else is_position(str(target), target_kind),
    )


def _load(file: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError("it holds Python objects; only plain tensors are loaded") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"damaged or not a .pt file ({type(error).__name__})") from error
    if not isinstance(content, Mapping):
        raise DataError(f"a {type(content).__name__}, expected a dict of tensors")
    return content


def _sample(name: str, content: Mapping[str, Any], target: str | None) -> Sample:
    pos = _tensor(content, "node_features")
    _check_edges(content, len(pos) if pos.ndim else 0)
    answer = None if target is None else _tensor(content, target).double().numpy()
    return Sample(name=name, pos=pos.double().numpy(), target=answer)


def _tensor(content: Mapping[str, Any], key: str) -> Tensor:
    if key not in content:
        raise DataError(f"no {key!r}{nearest(key, map(str, content))}")
    value = content[key]
    if not isinstance(value, Tensor):
        raise DataError(f"{key!r} is a {type(value).__name__}, not a tensor")
    return value.detach()


def _check_edges(content: Mapping[str, Any], n: int) -> None:
    if "edge_index" not in content:
        return
    edge_index = _tensor(content, "edge_index")
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise DataError(f"edge_index: shape {'x'.join(map(str, edge_index.shape))}, expected 2xE")
    if edge_index.numel() and (edge_index.min() < 0 or edge_index.max() >= n):
        raise DataError("edge_index: points to a node that does not exist")
    if "edge_attr" in content and len(_tensor(content, "edge_attr")) != edge_index.shape[1]:
        raise DataError("edge_attr: not one row per edge")
