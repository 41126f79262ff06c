"""Prepared captures on disk, found again by the digest of what they were made from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from graphwright.config import io
from graphwright.data.build_once import build_once
from graphwright.data.packed import PackedGraphs
from graphwright.errors import DataError
from graphwright.runs.files import read_json
from graphwright.tasks.canbus.capture_source import content_digests, open_captures
from graphwright.tasks.canbus.data_config import (
    CanbusData,
    FolderSource,
    SplitConfig,
)
from graphwright.tasks.canbus.loaded import CaptureInfo, Loaded
from graphwright.tasks.canbus.store_build import build_store

__all__ = ["CaptureInfo", "Loaded", "open_or_build", "open_store"]

# part of the digest: a new way of building graphs must not meet an old store
VERSION = 2


def open_or_build(data: CanbusData, data_root: Path) -> Loaded:
    """The packed windows of a configuration; read and packed only the first time.

    Options of the split and `id_free` make no difference here: one store serves them all.

    Args:
        data: source, windows, duplicates and strictness.
        data_root: stores lie in `<data_root>/canbus/<digest>/`.

    Raises:
        DataError: no captures, one that cannot be read, or no whole window.
        RunError: the data root cannot be written.
    """
    folder = data_root / "canbus" / _key(data)[:16]
    build_once(folder, lambda: _build(data, folder))
    return open_store(folder)


def open_store(folder: Path) -> Loaded:
    """What `open_or_build` made in a folder.

    Raises:
        DataError: no finished store there, or a damaged one.
    """
    store = PackedGraphs.open(folder / "store")
    attributes = store.attributes
    if "captures" not in attributes:
        raise DataError("this is no store of captures", where=folder)
    return Loaded(
        store=store,
        captures=tuple(CaptureInfo.from_json(row) for row in attributes["captures"]),
        dropped=tuple(attributes["dropped"]),
        rejected=read_json(folder / "rejected.json"),
        folder=folder,
    )


def _build(data: CanbusData, folder: Path) -> None:
    captures = open_captures(data.source)
    build_store(
        captures.sources,
        folder,
        window=data.window,
        fields=captures.fields,
        deduplicate=data.deduplicate,
        strict=data.strict,
        source_names=captures.names.names,
    )


def _key(data: CanbusData) -> str:
    """Digest of the captures' contents and of everything that decides what is made of them."""
    source = data.source
    content: list[tuple[str, str]] = []
    if isinstance(source, FolderSource):
        content = content_digests(source)
        # where the files lie is no part of what they are
        source = dataclasses.replace(source, path="", dataset="")
    recipe = dataclasses.replace(
        data,
        source=source,
        split=SplitConfig(),
        window=dataclasses.replace(data.window, id_free=False),
    )
    text = json.dumps([VERSION, io.to_dict(recipe), content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
