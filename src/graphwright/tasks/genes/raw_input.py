"""What a user hands to a trained model: gene sets, one a row, in whatever names they have.

Legend: S = sets that can be predicted, P = genes of all of them.
"""

from __future__ import annotations

import gzip
import logging
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphwright.data.limits import InputLimits
from graphwright.data.rejects import Rejects
from graphwright.errors import DataError
from graphwright.tasks.genes.aliases import GeneNames
from graphwright.training.task import InputForm

__all__ = ["GivenRow", "GivenSets", "given_rows", "input_form", "place_sets"]

log = logging.getLogger("graphwright")

JOINED_BY = "+"
# words of a first line that is no gene set; anything else there is taken as one, or rejected aloud
_HEADER_WORD = re.compile(
    r"(?:gene|orf|g|q|a|o|query|array|name|id|label|set|deletion|strain|partner)s?"
    r"(?:[ _.-]?(?:\d+|[a-c]|name|id|pair|strain|score))*",
    re.IGNORECASE,
)
_BREAKS = {"tab": "\t", "comma": ","}


class GivenRow(NamedTuple):
    """One row of a user's file: what a person calls it, and its texts."""

    where: str
    texts: list[str]


@dataclass(frozen=True, eq=False)
class GivenSets:
    """Gene sets without labels.

    Attributes:
        gene_index: `[P]` int64, places of the genes of set 0, then of set 1, …; ascending in a set.
        gene_ptr: `[S + 1]` int64.
        names: of the sets, in the user's own words.
    """

    gene_index: NDArray[np.int64]
    gene_ptr: NDArray[np.int64]
    names: list[str]


def input_form(state: Mapping[str, Any]) -> InputForm:
    """Files that a service takes, and `{"sets": [[gene, gene], …]}`."""
    genes, size = state["genes"], min(state["sizes"], default=2)
    return InputForm(
        suffixes=(".tsv", ".csv", ".txt", ".tsv.gz", ".csv.gz", ".txt.gz"),
        files="gene sets, one a line",
        json=f"sets: a list of lists of gene names (the model knows {len(genes):,} genes)",
        example={"sets": [genes[:size], genes[size : 2 * size]]},
        from_json=_sets_of,
    )


def _sets_of(value: Any) -> list[list[str]]:
    sets = value.get("sets") if isinstance(value, dict) else None
    if not isinstance(sets, list) or not sets:
        raise DataError("there is no list of sets", where="sets", fix='{"sets": [["…", "…"], …]}')
    for i, one in enumerate(sets):
        if not isinstance(one, list) or not all(isinstance(name, str) for name in one):
            raise DataError("a set is a list of names", where=f"sets[{i}]", fix='["…", "…"]')
    return sets


def given_rows(
    raw: Path | Sequence[Sequence[str]],
    names: GeneNames,
    columns: Sequence[str] = (),
    limits: InputLimits | None = None,
) -> list[GivenRow]:
    """The rows of a file, or of lists in memory.

    A file is text, one set a line: names with tabs, commas or blanks between them, also .gz, as
    many names a line as a set has. A header is not needed. With one, sets are read from `columns`
    if it has them all, and else from the columns that mostly hold known genes.

    Args:
        raw: the file, or one list of names for each set.
        names: the genes there are.
        columns: names of the columns of genes in the table that the model was trained on.
        limits: of a stranger's input; unknown names take long, so rows are counted first.

    Raises:
        LimitError: more rows than `limits`.
        DataError: no such file, no text, no row, or a header without a column of genes.
    """
    limits = limits or InputLimits(samples=sys.maxsize)
    if not isinstance(raw, Path):
        limits.check_samples(len(raw), "gene sets")
        return [GivenRow(f"set {i}", list(texts)) for i, texts in enumerate(raw)]
    rows = _split_lines(_text(raw))
    limits.check_samples(len(rows), "lines")
    if not rows:
        raise DataError("the file holds no gene set", where=raw, fix="write one set a line")
    if not _is_header(rows[0].texts, names, columns):
        return rows
    chosen = _columns(rows, names, columns, raw)
    return [
        GivenRow(where, [texts[i] for i in chosen if i < len(texts)]) for where, texts in rows[1:]
    ]


def place_sets(
    rows: Iterable[GivenRow],
    names: GeneNames,
    rejects: Rejects,
    *,
    neutral: Sequence[str] = (),
    sizes: Collection[int] = (),
    source: str = "input",
) -> GivenSets:
    """The sets of rows whose genes are all known.

    Args:
        rows: as `given_rows` gives them.
        names: the genes there are.
        rejects: takes rows with an unknown, ambiguous or repeated gene, with none at all, or with
            one where the model knows only larger sets.
        neutral: genes that are taken out of every set.
        sizes: numbers of genes that training sets had; a set of another size is predicted, and
            that is said.
        source: name of the input, for the rejects.
    """
    skipped = {place for name in neutral if isinstance(place := names.find(name), int)}
    ignored = set(neutral)
    places: list[list[int]] = []
    kept: list[str] = []
    for where, texts in rows:
        parts = [part for text in texts for part in _parts(text) if part not in ignored]
        found = _find(parts, names, skipped, smallest=min(sizes, default=1))
        if isinstance(found, str):
            rejects.add(source, where, found)
        else:
            places.append(found)
            kept.append(JOINED_BY.join(parts))
    unseen = sorted({len(one) for one in places} - set(sizes)) if sizes else []
    if unseen:
        log.warning(
            "the model was trained on sets of %s genes; those of %s are beyond what it has seen",
            _listed(sorted(sizes)),
            _listed(unseen),
        )
    lengths = np.array([len(one) for one in places], np.int64)
    return GivenSets(
        gene_index=np.array([place for one in places for place in one], np.int64),
        gene_ptr=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        names=kept,
    )


def _find(
    parts: Sequence[str], names: GeneNames, skipped: Collection[int], *, smallest: int
) -> list[int] | str:
    """Ascending places of the genes, or why the row cannot be predicted."""
    found = [names.find(part) for part in parts]
    for one in found:
        if isinstance(one, str):
            return one
    places = sorted(place for place in found if isinstance(place, int) and place not in skipped)
    if not places:
        return "the row names no gene"
    if len(set(places)) < len(places):
        return "a gene is repeated in the row"
    if len(places) < min(smallest, 2):
        return "one gene alone has no interaction: name 2 or more"
    return places


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError("there is no such file", where=path)
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise DataError(f"the file cannot be read as text: {error}", where=path) from None
    if "\0" in text:
        raise DataError("this is a binary file and no text", where=path)
    return text


def _split_lines(text: str) -> list[GivenRow]:
    """Rows that have anything in them; the break is the first line's: tab, comma, else blanks."""
    rows: list[GivenRow] = []
    mark: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not rows:
            mark = next((found for found in _BREAKS.values() if found in line), None)
        cells = [cell.strip().strip('"') for cell in line.split(mark)]
        rows.append(GivenRow(f"line {number}", cells))
    return rows


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(JOINED_BY) if part.strip()]


def _is_header(texts: Sequence[str], names: GeneNames, columns: Sequence[str]) -> bool:
    """The columns that are looked for; else no gene, and a word that heads a column of genes."""
    if columns and set(columns) <= set(texts):
        return True
    if any(_is_gene(text, names) for text in texts):
        return False
    return any(_HEADER_WORD.fullmatch(text) for text in texts)


def _is_gene(text: str, names: GeneNames) -> bool:
    parts = _parts(text)
    return bool(parts) and all(isinstance(names.find(part), int) for part in parts)


def _columns(
    rows: Sequence[GivenRow], names: GeneNames, wanted: Sequence[str], path: Path
) -> list[int]:
    """Places of the columns of genes."""
    there = rows[0].texts
    if wanted and set(wanted) <= set(there):
        return [there.index(name) for name in wanted]
    found = []
    for i in range(len(there)):
        cells = {row.texts[i] for row in rows[1:] if i < len(row.texts) and row.texts[i]}
        if cells and 2 * sum(_is_gene(cell, names) for cell in cells) >= len(cells):
            found.append(i)
    if not found:
        raise DataError(
            "no column holds genes that the model knows",
            where=path,
            fix=f"name sets of its {len(names.genes):,} genes: "
            f"{', '.join(names.genes[:3])}, …; the columns are {', '.join(there)}",
        )
    return found


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
