"""Gene sets with labels as a source of batches, beside what evaluating them needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from graphwright.data.source import SampleSource
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.gene_source import GeneSets
from graphwright.tasks.genes.gene_table import GeneSetTable
from graphwright.tasks.genes.labelled_sets import LabelledSets
from graphwright.tasks.genes.raw_input import JOINED_BY
from graphwright.tasks.genes.replicates import Ceiling, replicate_ceiling

__all__ = ["LabelledSource", "labelled_sets", "sets_of", "table_ceiling"]


class LabelledSource(GeneSets):
    """A split. Labels are in their own unit; the model knows how to standardise them.

    Args:
        sets: its gene sets.
        genes: names of all genes.
        notes: what a reader of its evaluation must know of the split.
        ceiling: what is known of the noise in the labels of the whole table.
        graphs: the networks; none where nobody looks up how genes are related in them.
    """

    def __init__(
        self,
        sets: LabelledSets,
        genes: Sequence[str],
        *,
        notes: tuple[str, ...] = (),
        ceiling: Ceiling | None = None,
        graphs: tuple[SharedGraph, ...] = (),
    ) -> None:
        super().__init__(sets.gene_index, sets.gene_ptr, {"label": sets.label})
        self.sets = sets
        self.notes = notes
        self.ceiling = ceiling
        self.graphs = graphs
        self._genes_by_place = genes

    def set_names(self) -> list[str]:
        """The genes of each set, by their names."""
        names = [self._genes_by_place[place] for place in self.sets.gene_index.tolist()]
        ends = self.sets.gene_ptr.tolist()
        return [JOINED_BY.join(names[a:b]) for a, b in pairwise(ends)]


def sets_of(source: SampleSource) -> LabelledSource:
    """A source of this task, as what it is."""
    assert isinstance(source, LabelledSource)
    return source


def labelled_sets(table: GeneSetTable) -> LabelledSets:
    """All sets of a table that has labels."""
    assert table.label is not None
    return LabelledSets(
        gene_index=np.asarray(table.gene_index, np.int64),
        gene_ptr=np.asarray(table.gene_ptr, np.int64),
        label=np.asarray(table.label, np.float64),
        pair=np.asarray(table.pair, np.int64),
    )


def table_ceiling(table: GeneSetTable) -> Ceiling:
    """What the repeats in a table tell of its noise."""
    assert table.label is not None
    return replicate_ceiling(table.label, table.repeats, table.spread)
