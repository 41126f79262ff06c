"""Networks from files: npz of compressed rows, STRING, and lists of edges.

Legend: N genes, R lines of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import DataError, nearest
from graphwright.tasks.genes.csr import csr_from_pairs, rows_of
from graphwright.tasks.genes.data_config import NetworksConfig, Storage
from graphwright.tasks.genes.edge_file import EdgeList, read_edges
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.network import Network

__all__ = ["from_edge_files", "from_npz", "from_string_files", "network_files", "open_networks"]

_ENDINGS = (".txt", ".tsv", ".csv")


def open_networks(config: NetworksConfig) -> GeneMultigraph:
    """The networks of a configuration.

    Raises:
        DataError: a file that is missing or malformed, or no network of a name that was chosen.
    """
    path = Path(config.path)
    if config.format == "npz":
        return from_npz(path, Path(config.genes), names=config.names, storage=config.storage)
    read = from_string_files if config.format == "string" else from_edge_files
    files = network_files(config)
    genes = read_gene_list(Path(config.genes)) if config.genes else None
    found = read(files, genes, min_score=config.min_score, storage=config.storage)
    # one file of STRING may hold several networks: then the names are those of its columns
    return found.choose(config.names) if config.names and path.is_file() else found


def network_files(config: NetworksConfig) -> dict[str, Path]:
    """The files that are read, by the name of their network.

    Raises:
        DataError: no such file or folder, or no file of a name that was chosen.
    """
    path = Path(config.path)
    if path.is_file():
        return {_stem(path): path}
    if not path.is_dir():
        raise DataError(
            "there are no such networks",
            where=path,
            fix="set data.networks.path to a file or folder",
        )
    given = Path(config.genes).resolve() if config.genes else None
    files = {
        _stem(file): file
        for file in sorted(path.iterdir())
        if file.resolve() != given and file.name.removesuffix(".gz").endswith(_ENDINGS)
    }
    for name in config.names:
        if name not in files:
            raise DataError(
                f"there is no network {name!r}{nearest(name, files)}",
                where=path,
                fix=f"there are {', '.join(files)}",
            )
    return {name: files[name] for name in config.names or files}


def from_npz(
    path: Path,
    genes: Path | Sequence[str],
    *,
    names: Sequence[str] = (),
    storage: Storage = "symmetric",
) -> GeneMultigraph:
    """Networks from an npz with `NAME__indptr [N+1]` and `NAME__indices [E]` of each.

    Args:
        path: the file.
        genes: names in the order of the indices, or the file that lists them.
        names: networks that are taken; all if empty.
        storage: see `GeneMultigraph`.

    Raises:
        DataError: no such file or network, or arrays that do not fit the genes.
    """
    listed = read_gene_list(genes) if isinstance(genes, Path) else list(genes)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = [key.removesuffix("__indptr") for key in file.files if key.endswith("__indptr")]
            for name in names:
                if name not in found:
                    raise DataError(
                        f"there is no network {name!r}{nearest(name, found)}",
                        where=path,
                        fix=f"there are {', '.join(found)}",
                    )
            networks = [
                _from_rows(name, file[f"{name}__indptr"], file[f"{name}__indices"], listed, storage)
                for name in names or found
            ]
    except DataError as error:
        raise DataError(error.what, where=f"{path}: {error.where or ''}", fix=error.fix) from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the networks cannot be read: {error}", where=path) from error
    if not networks:
        raise DataError("the file has no NAME__indptr and NAME__indices", where=path)
    return GeneMultigraph(tuple(listed), tuple(networks), storage)


def from_string_files(
    files: Mapping[str, Path],
    genes: Sequence[str] | None = None,
    *,
    min_score: float = 0.0,
    storage: Storage = "symmetric",
) -> GeneMultigraph:
    """Networks from STRING: `i⇥j⇥score` (1-based), or its tables of protein names.

    A table of names has a header; each column of scores behind the two of proteins is a network
    (`NAME` for a single one, else `NAME_COLUMN`), and "4932." before a protein is passed over.

    Args:
        files: of every network.
        genes: names in the order of the indices, needed for `i⇥j⇥score`; edges to other proteins
            are left out and counted. All proteins if not given.
        min_score: edges with a smaller score are left out and counted, in the file's unit. Where
            there is a threshold of 0, an edge of score 0 in a table of channels is none.
        storage: see `GeneMultigraph`.

    Raises:
        DataError: a file that is missing or malformed, or an index that is no gene.
    """
    lists: dict[str, EdgeList] = {}
    for name, path in files.items():
        lists |= read_edges(path, name, one_based=True)
    return _assemble(lists, genes, min_score, storage)


def from_edge_files(
    files: Mapping[str, Path],
    genes: Sequence[str] | None = None,
    *,
    min_score: float = 0.0,
    storage: Storage = "symmetric",
) -> GeneMultigraph:
    """Networks from lists of edges: two gene names a line, perhaps a weight; no header.

    See `from_string_files`.
    """
    lists: dict[str, EdgeList] = {}
    for name, path in files.items():
        lists |= read_edges(path, name, one_based=False)
    return _assemble(lists, genes, min_score, storage)


def read_gene_list(path: Path) -> list[str]:
    """The genes in a file with one a line.

    Raises:
        DataError: no such file, or an empty one.
    """
    if not path.is_file():
        raise DataError(
            "there is no such list of genes",
            where=path,
            fix="set data.networks.genes to a file with one gene a line",
        )
    found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not found:
        raise DataError("the list of genes is empty", where=path)
    return found


def _assemble(
    lists: Mapping[str, EdgeList], genes: Sequence[str] | None, min_score: float, storage: Storage
) -> GeneMultigraph:
    if genes is None:
        if any(edges.names is None for edges in lists.values()):
            raise DataError(
                "numbers of genes mean nothing without their list", fix="set data.networks.genes"
            )
        genes = sorted({name for edges in lists.values() for name in edges.names or ()})
    place = {name: i for i, name in enumerate(genes)}
    networks = [_network(name, e, place, min_score, storage) for name, e in lists.items()]
    return GeneMultigraph(tuple(genes), tuple(networks), storage)


def _network(
    name: str, edges: EdgeList, place: Mapping[str, int], min_score: float, storage: Storage
) -> Network:
    low_R = np.zeros(len(edges.source), bool) if edges.score is None else edges.score < min_score
    source, target = edges.source, edges.target
    if edges.names is not None:
        place_U = np.array([place.get(one, -1) for one in edges.names], np.int64)
        source, target = place_U[source], place_U[target]
    elif len(source) and max(source.max(), target.max()) >= len(place):
        raise DataError(
            f"gene {max(source.max(), target.max()) + 1} is named, the list has {len(place)}",
            where=edges.path,
        )
    outside_R = ((source < 0) | (target < 0)) & ~low_R
    kept_R = ~(low_R | outside_R)
    built = csr_from_pairs(source[kept_R], target[kept_R], len(place), storage)
    counts = built.counts | {"below_min_score": int(low_R.sum())}
    counts |= {"outside_the_gene_list": int(outside_R.sum()), "given": len(source)}
    return Network(name, built.indptr, built.indices, built.symmetric, counts)


def _from_rows(
    name: str,
    indptr: NDArray[np.integer],
    indices: NDArray[np.integer],
    genes: Sequence[str],
    storage: Storage,
) -> Network:
    given = Network(name, indptr.astype(np.int64), indices.astype(np.int32), False)
    given.check(len(genes))
    built = csr_from_pairs(given.indices, rows_of(given.indptr), len(genes), storage)
    return replace(
        given,
        indptr=built.indptr,
        indices=built.indices,
        symmetric=built.symmetric,
        counts=built.counts,
    )


def _stem(path: Path) -> str:
    return path.name.split(".gz")[0].rsplit(".", 1)[0]
