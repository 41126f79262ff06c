"""Genes in a fixed order and their interaction networks: one shared graph, never copied.

A perturbed cell is a few gene places (`gene_index`); nothing here is made for each sample. The
doors `edge_mask`, `subgraph` and `to_hetero` are for users who come with other models.

Legend: N genes, G networks, E edges of a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from graphwright.data.digest import block_digests, content_digest
from graphwright.errors import DataError, nearest
from graphwright.runs.files import read_json, write_json_atomic
from graphwright.tasks.genes.csr import csr_from_pairs
from graphwright.tasks.genes.data_config import Storage
from graphwright.tasks.genes.network import Network

__all__ = ["GeneMultigraph", "Network"]

Ints = NDArray[np.int64]
Ends = tuple[Any, Any]
"""Sources and targets of edges: places or names of genes."""
NODE = "gene"
"""Type of all nodes in a `HeteroData`."""


@dataclass(frozen=True, eq=False)
class GeneMultigraph:
    """Genes and networks on them.

    Attributes:
        genes: names, in the order that all indices mean.
        networks: G of them, with different names.
        storage: "symmetric" or "compat" (one way with self loops; see `csr.csr_from_pairs`).
    """

    genes: tuple[str, ...]
    networks: tuple[Network, ...]
    storage: Storage = "symmetric"

    def __post_init__(self) -> None:
        if len(set(self.genes)) != len(self.genes):
            raise DataError(f"the gene {_repeated(self.genes)} appears twice in the list")
        names = [network.name for network in self.networks]
        if len(set(names)) != len(names):
            raise DataError(f"two networks are called {_repeated(names)}")
        for network in self.networks:
            network.check(len(self.genes))

    @classmethod
    def from_edge_lists(
        cls,
        genes: Sequence[str],
        edges: Mapping[str, Ends],
        *,
        storage: Storage = "symmetric",
    ) -> Self:
        """Networks from lists of edges.

        Args:
            genes: names, in their order.
            edges: for every network (sources [R], targets [R]): places, or names of genes.
            storage: see the class.

        Raises:
            DataError: an unknown gene, or lists that do not fit together.
        """
        place = {name: i for i, name in enumerate(genes)}
        networks = []
        for name, (source, target) in edges.items():
            begin, end = (_as_places(places, place, name) for places in (source, target))
            built = csr_from_pairs(begin, end, len(genes), storage)
            networks.append(
                Network(name, built.indptr, built.indices, built.symmetric, built.counts)
            )
        return cls(tuple(genes), tuple(networks), storage)

    @classmethod
    def from_networkx(
        cls,
        graphs: Mapping[str, Any],
        *,
        genes: Sequence[str] | None = None,
        storage: Storage = "symmetric",
    ) -> Self:
        """Networks from `networkx` graphs whose nodes are gene names.

        Args:
            graphs: graph of every network.
            genes: names, in their order; all nodes in alphabetical order if not given.
            storage: see the class.

        Raises:
            DataError: a node that is not in `genes`.
        """
        if genes is None:
            genes = sorted({str(node) for graph in graphs.values() for node in graph.nodes()})
        edges = {
            name: (
                [str(source) for source, *_ in graph.edges()],
                [str(target) for _, target, *_ in graph.edges()],
            )
            for name, graph in graphs.items()
        }
        return cls.from_edge_lists(genes, edges, storage=storage)

    @classmethod
    def from_hetero(cls, data: Any, *, storage: Storage = "symmetric") -> Self:
        """The inverse of `to_hetero`: a PyG `HeteroData` with one type of nodes.

        Raises:
            DataError: several types of nodes, or two relations of one name.
            MissingExtraError: torch-geometric is not installed.
        """
        from graphwright.data.convert_hetero import from_one_node_type

        names, edges = from_one_node_type(data)
        return cls.from_edge_lists(
            names, {name: (ends[0], ends[1]) for name, ends in edges.items()}, storage=storage
        )

    def to_hetero(self) -> Any:
        """A PyG `HeteroData`: nodes "gene" (with their `name`s), one relation per network.

        Raises:
            MissingExtraError: torch-geometric is not installed.
        """
        from graphwright.data.convert_hetero import to_one_node_type

        edges = {network.name: network.edge_index() for network in self.networks}
        return to_one_node_type(NODE, self.genes, edges)

    def __repr__(self) -> str:
        edges = sum(network.num_edges for network in self.networks)
        counts = f"{len(self.genes)} genes, {len(self.networks)} networks, {edges} edges"
        return f"GeneMultigraph({counts}, {self.storage})"

    def __getitem__(self, name: str) -> Network:
        for network in self.networks:
            if network.name == name:
                return network
        names = [network.name for network in self.networks]
        raise DataError(
            f"there is no network {name!r}{nearest(name, names)}", fix=f"one of {names}"
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 over genes, names and all edges."""
        head = {"genes": list(self.genes), "storage": self.storage, "networks": self._heads()}
        blocks = {}
        for network in self.networks:
            for part in ("indptr", "indices"):
                blocks[f"{network.name}.{part}"] = block_digests(
                    np.ascontiguousarray(getattr(network, part))
                )
        return content_digest(head, blocks)

    def choose(self, names: Sequence[str]) -> Self:
        """Only these networks, in this order.

        Raises:
            DataError: there is no such network.
        """
        return type(self)(self.genes, tuple(self[name] for name in names), self.storage)

    def edge_mask(self, deleted: Iterable[int]) -> dict[str, NDArray[np.bool_]]:
        """Which edges are left in a cell without some genes.

        Args:
            deleted: places of the deleted genes.

        Returns:
            for every network bool [E], in the order of `Network.edge_index`: whether both ends
            are left.

        Raises:
            DataError: there is no such gene.
        """
        kept_N = self._kept(deleted)
        return {n.name: np.all(kept_N[n.edge_index()], axis=0) for n in self.networks}

    def subgraph(self, deleted: Iterable[int]) -> Self:
        """The networks without some genes (places); those that remain are numbered anew.

        Raises:
            DataError: there is no such gene.
        """
        kept_N = self._kept(deleted)
        networks = tuple(network.without(kept_N) for network in self.networks)
        genes = tuple(name for name, kept in zip(self.genes, kept_N, strict=True) if kept)
        return type(self)(genes, networks, self.storage)

    def save(self, folder: Path) -> None:
        """Write into a folder: `multigraph.json`, and `N.indptr.npy`, `N.indices.npy` of each."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, network in enumerate(self.networks):
            np.save(folder / f"{number}.indptr.npy", network.indptr, allow_pickle=False)
            np.save(folder / f"{number}.indices.npy", network.indices, allow_pickle=False)
        head = {"genes": list(self.genes), "storage": self.storage, "networks": self._heads()}
        write_json_atomic(folder / "multigraph.json", {**head, "digest": self.digest})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote, checked against its digest.

        Raises:
            DataError: files that are missing or damaged.
        """
        try:
            head = read_json(folder / "multigraph.json")
            networks = tuple(
                Network(
                    one["name"],
                    np.load(folder / f"{i}.indptr.npy", allow_pickle=False),
                    np.load(folder / f"{i}.indices.npy", allow_pickle=False),
                    one["symmetric"],
                    one["counts"],
                )
                for i, one in enumerate(head["networks"])
            )
            found = cls(tuple(head["genes"]), networks, head["storage"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the networks cannot be read: {error}", where=folder) from error
        if found.digest != head["digest"]:
            raise DataError("the networks are damaged", where=folder, fix="prepare them again")
        return found

    def summary(self) -> dict[str, Any]:
        """Genes, storage, and of every network edges, degrees and what was dropped."""
        return {
            "genes": len(self.genes),
            "storage": _STORAGE[self.storage],
            "networks": {n.name: n.summary() for n in self.networks},
        }

    def _heads(self) -> list[dict[str, Any]]:
        return [
            {"name": n.name, "symmetric": n.symmetric, "counts": dict(n.counts)}
            for n in self.networks
        ]

    def _kept(self, deleted: Iterable[int]) -> NDArray[np.bool_]:
        kept_N = np.ones(len(self.genes), bool)
        places = np.array(list(deleted), np.int64)
        if len(places) and (places.min() < 0 or places.max() >= len(kept_N)):
            raise DataError(f"genes are numbered 0..{len(kept_N) - 1}, got {places.tolist()}")
        kept_N[places] = False
        return kept_N


_STORAGE = {
    "symmetric": "symmetric: both directions, no self loops",
    "compat": "compat: one way (lower to higher place), a self loop on every gene",
}


def _as_places(ends: Any, place: Mapping[str, int], network: str) -> Ints:
    found = np.asarray(ends)
    if found.size == 0 or found.dtype.kind in "iu":
        return found.reshape(-1) if found.size == 0 else found
    names, inverse = np.unique(found.astype(str), return_inverse=True)
    unknown = [name for name in names.tolist() if name not in place]
    if unknown:
        hint = nearest(unknown[0], place)
        raise DataError(
            f"{len(unknown)} names are not in the list of genes, {unknown[0]!r} say{hint}",
            where=f"network {network}",
        )
    places: Ints = np.array([place[name] for name in names.tolist()], np.int64)[inverse.reshape(-1)]
    return places


def _repeated(names: Sequence[str]) -> str:
    return Counter(names).most_common(1)[0][0]
