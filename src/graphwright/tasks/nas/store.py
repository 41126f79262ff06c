"""Prepared architectures on disk, found again by the digest of what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np

from graphwright.config import io
from graphwright.data.build_once import build_once
from graphwright.data.packed import PackedGraphs
from graphwright.errors import DataError
from graphwright.runs.files import read_json
from graphwright.tasks.nas.data_config import NasData, TableSource, TinySource
from graphwright.tasks.nas.layout import Layout
from graphwright.tasks.nas.loaded import Loaded, from_archs, from_cells, from_texts
from graphwright.tasks.nas.row_encoders import RowEncoder, SpaceEncoder, TracedEncoder
from graphwright.tasks.nas.store_build import StoreBuild
from graphwright.tasks.nas.table import header, read_table
from graphwright.tasks.nas.table_columns import TableColumns, find_columns, find_format

__all__ = [
    "Loaded",
    "from_archs",
    "from_cells",
    "from_texts",
    "open_or_build",
    "open_store",
    "table_source",
]

# part of the digest: a new way of building graphs must not meet an old store
VERSION = 1
_LOOK_AT = 200  # values of a column that tell its format


def open_or_build(data: NasData, data_root: Path) -> Loaded:
    """The packed architectures of a configuration; read and packed only the first time.

    A build that was killed goes on where it was. Graph, label and split options make no
    difference here: one store serves them all.

    Args:
        data: source and strictness.
        data_root: stores lie in `<data_root>/nas/<digest>/`.

    Raises:
        DataError: the table is missing or damaged, lacks a column, or has no readable row.
        RunError: the data root cannot be written.
    """
    source = table_source(data)
    folder = data_root / "nas" / _key(source, data.strict)[:16]
    build_once(folder, lambda: _build(source, folder, strict=data.strict))
    return open_store(folder)


def open_store(folder: Path) -> Loaded:
    """What `open_or_build` made in a folder.

    Raises:
        DataError: no finished store there, or a damaged one.
    """
    store = PackedGraphs.open(folder / "store")
    attributes = store.attributes
    return Loaded(
        store=store,
        layout=Layout.from_json(attributes["layout"]),
        ops=tuple(attributes["ops"]),
        hyperparameters=tuple(attributes.get("hyperparameters", ())),
        hyper_RH=np.load(folder / "hyperparameters.npy", allow_pickle=False),
        folder=folder,
        rejected=read_json(folder / "rejected.json"),
    )


def table_source(data: NasData) -> TableSource:
    """The table of a configuration; the one in the package for the tiny networks."""
    if isinstance(data.source, TableSource):
        return data.source
    assert isinstance(data.source, TinySource)
    from graphwright.tasks.nas.tiny import table_path

    return TableSource(
        path=str(table_path()),
        format="tiny_cells",
        metrics=("val_acc",),
        features=("params", "macs"),
        repeats=("acc_seed0", "acc_seed1"),
        limit=data.source.limit,
    )


def _build(source: TableSource, folder: Path, *, strict: bool) -> None:
    path = Path(source.path)
    columns = find_columns(source, header(path))
    space = source.format if source.format != "auto" else _found_format(path, columns)
    build = StoreBuild(
        folder, path, columns, _encoder(space, path.parent), space=space, strict=strict
    )
    build.run(source.limit)


def _encoder(space: str, folder: Path) -> RowEncoder:
    return TracedEncoder(space, folder) if space in ("module", "onnx") else SpaceEncoder(space)


def _found_format(path: Path, columns: TableColumns) -> str:
    from graphwright.tasks.nas.spaces import detect

    only = TableColumns(arch=columns.arch)
    pieces = itertools.islice(read_table(path, only, limit=_LOOK_AT), 8)
    try:
        return find_format([text for rows in pieces for text in rows.texts], detect)
    except DataError as error:
        raise DataError(
            error.what, where=f"{path}: {'+'.join(columns.arch)}", fix=error.fix
        ) from error


def _key(source: TableSource, strict: bool) -> str:
    """Digest of the table's contents and of everything that decides what is read of it."""
    path = Path(source.path)
    if not path.is_file():
        raise DataError(
            "there is no such table",
            where=path,
            fix="set data.source.path to a CSV (also .gz) or Parquet table",
        )
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    # paths of ONNX files start from the table's folder
    recipe = dataclasses.replace(source, path=str(path.resolve()), higher_is_better=True)
    text = json.dumps([VERSION, io.to_dict(recipe), strict, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
