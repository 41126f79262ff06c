"""Prepared networks and gene sets on disk, found again by the digest of what they were made from.

A store is a folder with `schema.json` (what is in it and its digest), `networks/` (see
`GeneMultigraph.save`) and one npy for each array of the table. What could not be used lies beside
it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphwright.config import io
from graphwright.data.build_once import build_once
from graphwright.data.digest import block_digests, content_digest
from graphwright.data.rejects import Rejects
from graphwright.data.swap import place_folder, remove_abandoned, temporary_sibling
from graphwright.errors import DataError
from graphwright.runs.files import read_json, storage_errors, write_json_atomic
from graphwright.tasks.genes.aliases import AliasTable, GeneNames
from graphwright.tasks.genes.calls import significant_calls
from graphwright.tasks.genes.data_config import (
    CallsSource,
    GenesData,
    PlantedSource,
    SplitConfig,
)
from graphwright.tasks.genes.gene_table import GeneSetTable, read_gene_sets
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.network_readers import network_files, open_networks

__all__ = ["Loaded", "describe", "open_or_build", "open_store"]

# part of the digest: a new way of reading must not meet an old store
VERSION = 1
FORMAT = "graphwright.genes"
_ARRAYS = ("gene_index", "gene_ptr", "label", "p_value", "pair", "repeats", "spread", "row")
_TOLD = 12  # reasons of rejects in a summary; all are in rejected.csv


@dataclass(frozen=True, eq=False)
class Loaded:
    """Networks and gene sets.

    Attributes:
        multigraph: genes and networks.
        table: gene sets with labels.
        names: how texts become genes.
        rejected: what was left out: count and reasons.
        folder: where it lies on disk.
        digest: SHA-256 of all contents.
        summary: what `data prepare` and `data inspect` show.
    """

    multigraph: GeneMultigraph
    table: GeneSetTable
    names: GeneNames
    rejected: Mapping[str, Any]
    folder: Path
    digest: str
    summary: Mapping[str, Any]


def open_or_build(data: GenesData, data_root: Path) -> Loaded:
    """The networks and gene sets of a configuration; read and checked only the first time.

    Args:
        data: source, networks, aliases and strictness; the split makes no difference here.
        data_root: stores lie in `<data_root>/genes/<digest>/`.

    Raises:
        DataError: a file that is missing or damaged, or no row that can be used.
        RunError: the data root cannot be written.
    """
    folder = data_root / "genes" / _key(data)[:16]
    build_once(folder, lambda: _build(data, folder))
    return open_store(folder)


def open_store(folder: Path) -> Loaded:
    """What `open_or_build` made in a folder.

    Raises:
        DataError: no finished store there, or a damaged one.
    """
    store = folder / "store"
    try:
        head = read_json(store / "schema.json")
        if head["format"] != FORMAT:
            raise DataError("this is no store of gene sets", where=store)
        arrays = {
            name: np.load(store / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in _ARRAYS
            if name in head["blocks"]
        }
        table = GeneSetTable(
            **{"label": None, **arrays},
            pair_names=tuple(head["pair_names"]),
            counts=head["counts"],
        )
        names = AliasTable.from_json(head["aliases"]), tuple(head["suffixes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the gene sets cannot be read: {error}", where=store) from error
    for name, array in arrays.items():
        if block_digests(np.ascontiguousarray(array)) != head["blocks"][name]:
            raise DataError(f"{name} is damaged", where=store, fix="prepare the data again")
    multigraph = GeneMultigraph.load(store / "networks")
    rejected = read_json(folder / "rejected.json")
    return Loaded(
        multigraph=multigraph,
        table=table,
        names=GeneNames(multigraph.genes, *names),
        rejected=rejected,
        folder=folder,
        digest=head["digest"],
        summary={**head["summary"], "rejected": _shortened(rejected)},
    )


def describe(folder: Path) -> dict[str, Any]:
    """What `data inspect` shows of a store, which is read and checked for that.

    Raises:
        DataError: no finished store there, or a damaged one.
    """
    loaded = open_store(folder)
    size = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
    return {**loaded.summary, "digest": loaded.digest, "bytes": size}


def _build(data: GenesData, folder: Path) -> None:
    aliases = AliasTable.read(Path(data.aliases)) if data.aliases else AliasTable()
    extra: dict[str, Any] = {}
    with Rejects(folder, strict=data.strict) as rejects:
        if isinstance(data.source, PlantedSource):
            from graphwright.tasks.genes.planted import make_planted

            made = make_planted(data.source)
            multigraph, table = made.multigraph, made.table
            extra["ceiling"] = f"Pearson {made.ceiling:.3f}: the noise that was planted"
        else:
            multigraph = open_networks(data.networks)
            names = GeneNames(multigraph.genes, aliases, data.allele_suffixes)
            if isinstance(data.source, CallsSource):
                table = significant_calls(data.source, names, rejects)
            else:
                table = read_gene_sets(data.source, names, rejects)
    head = {
        "task": "genes",
        "format": FORMAT,
        "version": VERSION,
        "aliases": aliases.to_json(),
        "suffixes": list(data.allele_suffixes),
        "pair_names": list(table.pair_names),
        "counts": dict(table.counts),
        "summary": {**multigraph.summary(), **table.summary(), **extra},
    }
    with storage_errors(folder):
        _write(folder / "store", head, multigraph, table)


def _write(
    store: Path, head: dict[str, Any], multigraph: GeneMultigraph, table: GeneSetTable
) -> None:
    """Put a whole store in place in one step."""
    remove_abandoned(store)
    made = temporary_sibling(store)
    arrays = {name: getattr(table, name) for name in _ARRAYS if getattr(table, name) is not None}
    for name, array in arrays.items():
        np.save(made / f"{name}.npy", array, allow_pickle=False)
    multigraph.save(made / "networks")
    blocks = {name: block_digests(np.ascontiguousarray(array)) for name, array in arrays.items()}
    digest = content_digest({**head, "networks": multigraph.digest}, blocks)
    write_json_atomic(made / "schema.json", {**head, "blocks": blocks, "digest": digest})
    place_folder(made, store, overwrite=False)


def _key(data: GenesData) -> str:
    """Digest of the files' contents and of everything that decides what is read of them."""
    source, networks = data.source, data.networks
    files: dict[str, Path] = {}
    if isinstance(source, PlantedSource):
        # generated data have networks and names of their own
        recipe = GenesData(source=source)
    else:
        files["source"] = Path(source.path)
        if isinstance(source, CallsSource) and source.arrays:
            files["arrays"] = Path(source.arrays)
            source = dataclasses.replace(source, arrays="given")
        files |= {f"network {name}": path for name, path in network_files(networks).items()}
        files |= {"genes": Path(networks.genes)} if networks.genes else {}
        files |= {"aliases": Path(data.aliases)} if data.aliases else {}
        # where the files lie is no part of what they are
        recipe = dataclasses.replace(
            data,
            source=dataclasses.replace(source, path=""),
            networks=dataclasses.replace(networks, path="", genes=""),
            aliases="",
            split=SplitConfig(),
        )
    contents = {name: _content(path) for name, path in files.items()}
    text = json.dumps([VERSION, io.to_dict(recipe), contents], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _content(path: Path) -> str:
    if not path.is_file():
        raise DataError("there is no such file", where=path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shortened(rejected: Mapping[str, Any]) -> dict[str, Any]:
    """Count and the most frequent reasons: a table may have thousands of unknown genes."""
    reasons = dict(rejected["reasons"])
    shown = dict(list(reasons.items())[:_TOLD])
    if len(reasons) > _TOLD:
        shown[f"{len(reasons) - _TOLD} other reasons"] = sum(list(reasons.values())[_TOLD:])
    return {"count": rejected["count"], "reasons": shown}
