"""Generated networks and gene sets with a planted interaction rule.

Genes have a module in every network, drawn independently; genes of a module are neighbours, a few
hubs are neighbours of many, and some edges are noise. The overlap of two genes i, j in a cell
without the genes S is the cosine of their neighbourhoods among the genes that are left,

    o(i, j | S) = |N(i) ∩ N(j) \\ S| / sqrt(|N(i) \\ S| · |N(j) \\ S|),

and the score of a set is the sum over its pairs of the overlap in the first network ("redundancy":
one gene stands in for the other) minus that in the second ("rivalry"), standardised, plus noise.
All other networks mean nothing.

Every query (a gene, or a pair of genes of different modules) meets partners of its first module, of
its second module and any genes, a third each. So no gene and no query has a mean of its own: a
mean, an additive model and the mean of a query find nothing, and with modules of eight genes there
are more of them than a model of gene identities can learn from the sets, while two genes of a
module look alike to whoever aggregates neighbours.

Legend: N genes, M modules, S sets, R = rows of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import PlantedSource
from graphwright.tasks.genes.gene_table import GeneSetTable
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.set_rows import SetRows, number_rows, sorted_genes

__all__ = ["Planted", "make_planted", "overlap"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NAMES = ("redundancy", "rivalry")
_MODULE = 8  # genes of a module
_WITHIN = 0.9  # chance of an edge between two genes of a module
_NOISE_EDGES = 0.5  # edges of a gene to anywhere
_HUBS, _HUB_SHARE = 0.01, 0.1  # share of genes that are hubs, and of all genes that they touch
_PARTNERS = 24  # array genes that a query meets
_ROUNDS = 50  # of drawing: one round is as many sets as are wanted


@dataclass(frozen=True)
class Planted:
    """Generated data.

    Attributes:
        multigraph: networks "redundancy", "rivalry" and decoys.
        table: gene sets with labels.
        signal: float64 [S], labels without noise (mean 0, standard deviation 1).
        ceiling: Pearson's r between signal and label that is expected of a perfect model.
    """

    multigraph: GeneMultigraph
    table: GeneSetTable
    signal: Floats
    ceiling: float


def make_planted(source: PlantedSource) -> Planted:
    """Networks and sets from a seed; the same source gives the same data."""
    rng = np.random.default_rng(source.seed)
    names = NAMES + tuple(f"decoy_{i}" for i in range(1, source.networks - 1))
    module = {name: _modules(source.genes, rng) for name in names}
    edges = {name: _edges(own_N, rng) for name, own_N in module.items()}
    genes = [f"G{i:04d}" for i in range(source.genes)]
    multigraph = GeneMultigraph.from_edge_lists(genes, edges)
    rows = _sets(source, [module[name] for name in NAMES], rng)
    raw_S = _score(multigraph, rows.gene_RC)
    signal_S = (raw_S - raw_S.mean()) / raw_S.std()
    label_S = signal_S + source.noise * rng.standard_normal(len(rows))
    table = GeneSetTable.from_rows(rows, label=label_S, p_value=np.full(len(rows), np.nan))
    return Planted(multigraph, table, signal_S, float(1 / np.sqrt(1 + source.noise**2)))


def overlap(multigraph: GeneMultigraph, name: str, pair_R2: Ints, deleted_RC: Ints) -> Floats:
    """Cosine of the neighbourhoods of two genes in cells without some genes [R]; 0 where one of
    them has no neighbour left.

    Args:
        multigraph: has the network.
        name: of the network.
        pair_R2: two genes of every row.
        deleted_RC: genes that are deleted in every row; −1 is none.
    """
    network = multigraph[name]
    count = len(multigraph.genes)
    ones = np.ones(network.num_edges)
    adjacency = sparse.csr_matrix((ones, network.indices, network.indptr), shape=(count, count))
    one_RN, other_RN = adjacency[pair_R2[:, 0]], adjacency[pair_R2[:, 1]]
    row, column = np.repeat(np.arange(len(pair_R2)), deleted_RC.shape[1]), deleted_RC.reshape(-1)
    there = column >= 0
    gone_RN = sparse.csr_matrix(
        (np.ones(there.sum()), (row[there], column[there])), shape=one_RN.shape
    )
    left_RN = one_RN.multiply(other_RN)
    shared = _row_sums(left_RN) - _row_sums(left_RN.multiply(gone_RN))
    degrees = [_row_sums(end) - _row_sums(end.multiply(gone_RN)) for end in (one_RN, other_RN)]
    product = degrees[0] * degrees[1]
    found: Floats = np.divide(
        shared, np.sqrt(product), out=np.zeros_like(shared), where=product > 0
    )
    return found


def _row_sums(matrix: sparse.spmatrix) -> Floats:
    return np.asarray(matrix.sum(axis=1), np.float64).reshape(-1)


def _modules(count: int, rng: np.random.Generator) -> Ints:
    """Module of every gene [N], all of (nearly) the same size."""
    return rng.permutation(count) // _MODULE


def _edges(module_N: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Sources and targets: within modules, from hubs, and noise."""
    count = len(module_N)
    one, other = np.nonzero(np.triu(module_N[:, None] == module_N[None, :], k=1))
    there = rng.random(len(one)) < _WITHIN
    hubs = rng.choice(count, max(1, round(_HUBS * count)), replace=False)
    reach = max(1, round(_HUB_SHARE * count))
    noise = rng.integers(0, count, (2, round(_NOISE_EDGES * count)))
    source = np.concatenate([one[there], np.repeat(hubs, reach), noise[0]])
    touched = rng.integers(0, count, len(hubs) * reach)
    target = np.concatenate([other[there], touched, noise[1]])
    different = source != target
    return source[different].astype(np.int64), target[different].astype(np.int64)


def _sets(source: PlantedSource, modules: list[Ints], rng: np.random.Generator) -> SetRows:
    """Different gene sets with their queries."""
    triples = round(source.triples * source.sets)
    parts = [
        _of_size(size, amount, source.genes, modules, rng)
        for size, amount in ((2, source.sets - triples), (3, triples))
        if amount
    ]
    width = max(genes.shape[1] for genes, _ in parts)
    padded = [np.pad(g, ((0, 0), (0, width - g.shape[1])), constant_values=-1) for g, _ in parts]
    queries = [
        np.pad(q, ((0, 0), (0, width - 1 - q.shape[1])), constant_values=-1) for _, q in parts
    ]
    query_RQ = np.concatenate(queries)
    pair_R = number_rows(query_RQ)
    first_K = np.unique(pair_R, return_index=True)[1]
    names = ["+".join(f"G{g:04d}" for g in q if g >= 0) for q in query_RQ[first_K].tolist()]
    genes_RC = np.concatenate(padded)
    return SetRows(genes_RC, pair_R, names, np.arange(len(genes_RC)))


def _of_size(
    size: int, amount: int, count: int, modules: list[Ints], rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """`amount` different sets [R, size] and their queries [R, size − 1]."""
    genes_RC, query_RQ = np.zeros((0, size), np.int64), np.zeros((0, size - 1), np.int64)
    for _ in range(_ROUNDS):
        query = _queries(size - 1, 1 + amount // _PARTNERS, count, modules, rng)
        query = np.repeat(query, _PARTNERS, axis=0)
        array = _partners(query, modules, rng)
        fits = ~(query == array[:, None]).any(1)
        genes = sorted_genes(np.concatenate([query, array[:, None]], axis=1))[fits]
        query_RQ = np.concatenate([query_RQ, query[fits]])
        genes_RC = np.concatenate([genes_RC, genes])
        first = np.unique(number_rows(genes_RC), return_index=True)[1]
        genes_RC, query_RQ = genes_RC[first], query_RQ[first]
        if len(genes_RC) >= amount:
            return genes_RC[:amount], query_RQ[:amount]
    raise DataError(
        f"{count} genes have not got {amount} different sets of {size}",
        where="data.source",
        fix="set more genes or fewer sets",
    )


def _queries(
    size: int, amount: int, count: int, modules: list[Ints], rng: np.random.Generator
) -> Ints:
    """Genes, or pairs of genes that share no module [amount, size], ascending."""
    found = np.zeros((0, size), np.int64)
    while len(found) < amount:
        drawn = sorted_genes(rng.integers(0, count, (2 * amount, size)))
        if size == 2:
            together = [own_N[drawn[:, 0]] == own_N[drawn[:, 1]] for own_N in modules]
            drawn = drawn[~np.any(together, axis=0)]
        found = np.concatenate([found, drawn])
    return found[:amount]


def _partners(query_RQ: Ints, modules: list[Ints], rng: np.random.Generator) -> Ints:
    """An array gene for every row: of a module of one of the query's genes, or any."""
    count, rows = len(modules[0]), len(query_RQ)
    chosen = query_RQ[np.arange(rows), rng.integers(0, query_RQ.shape[1], rows)]
    found = rng.integers(0, count, rows)
    kind = rng.integers(0, len(modules) + 1, rows)
    for number, own_N in enumerate(modules):
        order = np.argsort(own_N, kind="stable")
        sizes = np.bincount(own_N)
        start = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        module_R = own_N[chosen]
        mate_R = order[start[module_R] + (rng.random(rows) * sizes[module_R]).astype(np.int64)]
        found = np.where(kind == number, mate_R, found)
    return found


def _score(multigraph: GeneMultigraph, gene_RC: Ints) -> Floats:
    """The planted rule [R]."""
    total = np.zeros(len(gene_RC))
    width = gene_RC.shape[1]
    for one in range(width):
        for other in range(one + 1, width):
            both = (gene_RC[:, [one, other]] >= 0).all(1)
            pair, deleted = gene_RC[both][:, [one, other]], gene_RC[both]
            for name, sign in zip(NAMES, (1.0, -1.0), strict=True):
                total[both] += sign * overlap(multigraph, name, pair, deleted)
    return total
