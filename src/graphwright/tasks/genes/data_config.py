"""What the input side of the genes task can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field

__all__ = [
    "CallsSource",
    "ColumnsConfig",
    "GenesData",
    "NetworksConfig",
    "PlantedSource",
    "SplitConfig",
    "Storage",
    "TableSource",
]

Count = Annotated[int, Ge(0)]
PositiveInt = Annotated[int, Gt(0)]
NonNegative = Annotated[float, Ge(0.0)]
Share = Annotated[float, Ge(0.0), Lt(1.0)]
Storage = Literal["symmetric", "compat"]
"""symmetric: both directions, no self loops, each edge once. compat: one way (i < j) with self
loops, the form in which the original stored its networks."""


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which columns of a table (TSV, CSV, .gz, Parquet) mean what."""

    genes: tuple[str, ...] = ()
    """One gene each; an empty cell is a smaller set. None given: the columns whose values are
    mostly known genes."""
    label: str = ""
    """ε or τ; empty: a table without labels."""
    p_value: str = ""
    query: tuple[str, ...] = ()
    """The genes that were crossed with an array of others: rows with the same are one query group.
    Empty: all genes of the row."""
    joined_by: str = ""
    """What stands between the genes of one cell ("YAL001C+YBR002W": "+"); empty: one gene."""


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A table of gene sets with measured scores."""

    kind: Literal["table"] = "table"
    path: str
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    neutral: tuple[str, ...] = ()
    """Genes whose deletion does nothing by design (the HO locus YDL227C of SGA control strains):
    taken out of every set."""
    duplicates: Literal["average", "keep"] = "average"
    """Several rows of one set: their mean (and the spread as an estimate of noise), or each."""


@dataclass(frozen=True, kw_only=True)
class CallsSource:
    """A table that holds only the significant calls; all other cells of the grid of queries and
    array genes are *assumed* not to interact."""

    kind: Literal["calls"] = "calls"
    path: str
    query: tuple[str, ...] = ("query_pair",)
    array: str = "array"
    joined_by: str = "+"
    arrays: str = ""
    """File with one array gene a line; empty: the array genes that are called at least once."""
    rows: tuple[str, ...] = ()
    """(column, value): only rows that have this value, ("kind", "trigenic") say."""


@dataclass(frozen=True, kw_only=True)
class PlantedSource:
    """Generated networks and gene sets with a planted rule (`planted.py`); no files."""

    kind: Literal["planted"] = "planted"
    genes: Annotated[int, Ge(60)] = 400
    networks: Annotated[int, Ge(2), Le(12)] = 4
    sets: Annotated[int, Ge(10)] = 8000
    triples: Annotated[float, Ge(0.0), Le(1.0)] = 0.3
    """Share of sets with three genes; the others have two."""
    noise: NonNegative = 0.3
    """Standard deviation of the noise; that of what can be predicted is 1."""
    seed: Count = 0


@dataclass(frozen=True, kw_only=True)
class NetworksConfig:
    """Where the networks of a table's genes come from. Generated data bring their own."""

    format: Literal["npz", "string", "edges"] = "npz"
    """npz: `NAME__indptr` and `NAME__indices` of each network in one file. string: STRING, either
    `i⇥j⇥score` (1-based, needs `genes`) or protein names with a header. edges: two names a line,
    perhaps a weight."""
    path: str = ""
    """The npz; or one file, or a folder of files (one network each, named as the file)."""
    genes: str = ""
    """File with one gene a line, in the order of the indices. Empty: all names in the files (and
    not for npz)."""
    names: tuple[str, ...] = ()
    """Networks that are taken, in this order; empty: all."""
    storage: Storage = "symmetric"
    min_score: NonNegative = 0.0
    """Edges with a smaller score are left out; in the unit of the file (0–1 or 0–1000)."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Who is held out; training gets the rest."""

    by: Literal["random", "pair_disjoint", "gene_disjoint"] = "random"
    """pair_disjoint: no query group of the test is in training. gene_disjoint: every test set
    contains a gene that no training set contains. See `splitting.py`."""
    val: Share = 0.1
    test: Share = 0.1
    seed: Count | None = None
    """None: the run's seed."""


@dataclass(frozen=True, kw_only=True)
class GenesData:
    """Networks, gene sets with labels, and who is held out."""

    source: Annotated[PlantedSource | TableSource | CallsSource, Field(discriminator="kind")] = (
        field(default_factory=PlantedSource)
    )
    networks: NetworksConfig = field(default_factory=NetworksConfig)
    aliases: str = ""
    """Table of standard and systematic names; empty: names are taken as they are."""
    allele_suffixes: tuple[str, ...] = ()
    """Ends of names that mark an allele and no other gene ("-PH": YDR081C-PH is YDR081C)."""
    split: SplitConfig = field(default_factory=SplitConfig)
    strict: bool = False  # stop at the first bad row instead of writing it aside
