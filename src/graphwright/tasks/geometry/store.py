"""Prepared geometry data on disk, found again by the digest of what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphwright.config import io
from graphwright.data.build_once import build_once
from graphwright.data.packed import PackedGraphs
from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.runs.files import read_json
from graphwright.tasks.geometry.config import DataConfig
from graphwright.tasks.geometry.data_config import FileSource
from graphwright.tasks.geometry.graphs import build_store
from graphwright.tasks.geometry.readers import load_source

__all__ = ["Loaded", "open_or_build"]

# part of the digest: a new way of building graphs must not meet an old store
VERSION = 1


@dataclass(frozen=True)
class Loaded:
    """A packed store and what was left out of it."""

    store: PackedGraphs
    folder: Path
    rejected: dict[str, Any]


def open_or_build(config: DataConfig, data_root: Path) -> Loaded:
    """The packed graphs of a configuration; read and packed only the first time.

    Args:
        config: source, graph and strictness.
        data_root: stores lie in `<data_root>/geometry/<digest>/`.

    Raises:
        DataError: the source is missing, damaged or has no usable structure.
        RunError: the data root cannot be written.
    """
    folder = data_root / "geometry" / _key(config)[:16]
    build_once(folder, lambda: _build(config, folder))
    rejected = read_json(folder / "rejected.json")
    return Loaded(PackedGraphs.open(folder / "store"), folder, rejected)


def _build(config: DataConfig, folder: Path) -> None:
    with Rejects(folder, config.strict) as rejects:
        table = load_source(config.source, rejects)
    if table.target is None:
        raise DataError("these structures have no target to learn", where=config.source)
    build_store(table, folder / "store", graph=config.graph)


def _key(config: DataConfig) -> str:
    recipe = io.to_dict(dataclasses.replace(config, split=type(config.split)()))
    text = json.dumps([VERSION, recipe, _content(config)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _content(config: DataConfig) -> list[str]:
    """Digests of the source's files, so that a changed file is another data set."""
    if not isinstance(config.source, FileSource):
        return []
    path = Path(config.source.path)
    if not path.exists():
        raise DataError(
            "there is no such file or folder",
            where=path,
            fix="set data.source.path to a .npz, .xyz or .extxyz file or a folder of .pt files",
        )
    files = [path] if path.is_file() else sorted(path.glob("*.pt"))
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digests
