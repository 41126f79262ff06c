"""Who trains, who validates, who is held out.

Legend: S = sets, G = groups, N = genes. In every split rows of the same gene set are on one side.

- `random`: gene sets at random.
- `pair_disjoint`: whole query groups. No query (of a digenic table: the query gene; of a trigenic
  one: the query pair) of the test split was a query in training or validation. The genes themselves
  may be there: as array genes, and a gene of a pair with another partner.
- `gene_disjoint`: genes are dealt to the three splits. A set is a test set if one of its genes is a
  test gene, a validation set if one is a validation gene and none a test gene, and a training set
  otherwise. So every test set has at least one gene that is in no training or validation set, and
  every validation set one that is in no training set.

A query group or a gene that alone has more sets than a split may have stays in training, and the
notes say so. If nothing is small enough, the smallest is taken all the same, which is said, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import SplitConfig
from graphwright.tasks.genes.labelled_sets import LabelledSets

__all__ = ["SPLIT_RULES", "SplitRows", "split_sets"]

Index = NDArray[np.int64]

SPLIT_RULES = {
    "random": "at random",
    "pair_disjoint": "by query: no query of the test split is one of training",
    "gene_disjoint": "by gene: each test set has a gene that no training set has",
}
_SALT = 0x6E6E  # other random numbers than those of whatever else has the run's seed
_HELD_OUT = ("test", "val")
_NAMES = {"query group": "query groups", "gene": "genes", "gene set": "gene sets"}


@dataclass(frozen=True, kw_only=True)
class SplitRows:
    """A split.

    Attributes:
        rows: sets of "train", "val" and "test" (what has no share is left out), ascending.
        notes: what a person must know of it: groups that were too large.
    """

    rows: dict[str, Index]
    notes: tuple[str, ...] = ()


def split_sets(sets: LabelledSets, config: SplitConfig, seed: int) -> SplitRows:
    """Deal the sets; every one of them is in exactly one split.

    Args:
        sets: S sets; their labels are not looked at.
        config: shares of validation and test; the rest trains.
        seed: used where the configuration has none of its own.

    Raises:
        DataError: shares that leave nothing to train on, or too few sets, groups or genes.
    """
    seed = seed if config.seed is None else config.seed
    rng = np.random.default_rng([seed, _SALT])
    amounts = _amounts(len(sets), config)
    if config.by == "gene_disjoint":
        side_S, notes = _by_gene(sets, amounts, rng)
    elif config.by == "pair_disjoint":
        side_S, notes = _by_group(_query_groups(sets), amounts, rng, "query group")
    else:
        side_S, notes = _by_group(sets.same_set(), amounts, rng, "gene set")
    rows = {"train": np.flatnonzero(side_S == "train")}
    rows |= {name: np.flatnonzero(side_S == name) for name in reversed(amounts)}
    for name, part in rows.items():
        if not len(part):
            raise DataError(
                f"the split {name!r} (data.split.by={config.by}) of {len(sets)} gene sets would "
                "be empty",
                fix="use more gene sets or another share",
            )
    return SplitRows(rows=rows, notes=tuple(notes))


def _amounts(count: int, config: SplitConfig) -> dict[str, int]:
    if config.val + config.test >= 1:
        raise DataError(
            f"data.split.val={config.val:g} and data.split.test={config.test:g} leave nothing "
            "to train on",
            fix="the two must add up to less than 1",
        )
    shares = {"test": config.test, "val": config.val}
    return {name: max(1, round(share * count)) for name, share in shares.items() if share > 0}


def _query_groups(sets: LabelledSets) -> Index:
    """Query groups; those that measured the same gene set are one, or the set would be on both
    sides."""
    _, pair_S = np.unique(sets.pair, return_inverse=True)
    same_S = sets.same_set()
    ones = np.ones(len(sets), np.int8)
    links = sparse.coo_matrix((ones, (pair_S, same_S)), shape=(pair_S.max() + 1, same_S.max() + 1))
    _, component = connected_components(sparse.bmat([[None, links], [links.T, None]]), False)
    return np.asarray(component[pair_S], np.int64)


def _by_group(
    group_S: Index, amounts: dict[str, int], rng: np.random.Generator, what: str
) -> tuple[NDArray[np.str_], list[str]]:
    """Side of every set: groups in random order, each to the first split with room for it."""
    _, member_S, size_G = np.unique(group_S, return_inverse=True, return_counts=True)
    side_G = np.full(len(size_G), "train")
    order = rng.permutation(len(size_G))
    notes = []
    for name in amounts:
        taken = _first_fit(order[side_G[order] == "train"], size_G, amounts[name])
        if not taken:
            free = order[side_G[order] == "train"]
            _need_two(free, what)
            smallest = int(free[np.argmin(size_G[free])])
            taken = [smallest]
            notes.append(_none_fits(name, amounts[name], int(size_G[smallest]), what))
        side_G[taken] = name
    notes += _too_large(size_G, amounts, what)
    return side_G[member_S], notes


def _first_fit(order: Index, size_G: Index, room: int) -> list[int]:
    taken = []
    for group in order:
        if size_G[group] <= room:
            taken.append(int(group))
            room -= int(size_G[group])
        if not room:
            break
    return taken


def _by_gene(
    sets: LabelledSets, amounts: dict[str, int], rng: np.random.Generator
) -> tuple[NDArray[np.str_], list[str]]:
    """Side of every set: genes in random order, each to the first split with room for its sets."""
    genes, place_P = np.unique(sets.gene_index, return_inverse=True)
    row_P = np.repeat(np.arange(len(sets)), sets.sizes())
    shape = (len(genes), len(sets))
    of_gene = sparse.csr_matrix((np.ones(len(row_P), np.int8), (place_P, row_P)), shape=shape)
    ends = of_gene.indptr
    side_S = np.full(len(sets), "train")
    taken_N = np.zeros(len(genes), bool)
    notes = []
    for name in amounts:
        room = amounts[name]
        for gene in rng.permutation(len(genes)):
            own = of_gene.indices[ends[gene] : ends[gene + 1]]
            free = own[side_S[own] == "train"]
            # all of a gene's sets that are left, or it would be in training as well
            if taken_N[gene] or not len(free) or len(free) > room:
                continue
            side_S[free], taken_N[gene] = name, True
            room -= len(free)
        if room == amounts[name]:
            side_S, taken = _smallest_gene(of_gene, side_S, name)
            taken_N[taken] = True
            size = int((side_S == name).sum())
            notes.append(_none_fits(name, amounts[name], size, "gene"))
    return side_S, [*notes, *_too_large(np.diff(ends), amounts, "gene")]


def _smallest_gene(
    of_gene: sparse.csr_matrix, side_S: NDArray[np.str_], name: str
) -> tuple[NDArray[np.str_], int]:
    free_N = of_gene @ (side_S == "train").astype(np.int64)
    candidates = np.flatnonzero(free_N)
    _need_two(candidates, "gene")
    gene = int(candidates[np.argmin(free_N[candidates])])
    own = of_gene.indices[of_gene.indptr[gene] : of_gene.indptr[gene + 1]]
    side_S = side_S.copy()
    side_S[own[side_S[own] == "train"]] = name
    return side_S, gene


def _need_two(free: Index, what: str) -> None:
    if len(free) < 2:
        raise DataError(
            f"a split by {what} needs at least one {what} for each of train, val and test",
            fix="data.split.by=random, or more data",
        )


def _none_fits(name: str, amount: int, size: int, what: str) -> str:
    return (
        f"No {what} has at most the {amount:,} sets that the {name} split may have: "
        f"it has the smallest, with {size:,}."
    )


def _too_large(size_G: NDArray[np.integer], amounts: dict[str, int], what: str) -> Sequence[str]:
    limit = max(amounts.values(), default=len(size_G))
    large = size_G[size_G > limit]
    if not len(large):
        return []
    noun = what if len(large) == 1 else _NAMES[what]
    return [
        f"{len(large)} {noun} with {int(large.min()):,} to {int(large.max()):,} sets "
        "can only be in training: too large to be held out."
    ]
