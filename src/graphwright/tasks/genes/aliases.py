"""Names of genes: systematic ones (YAL001C), standard ones (TFC3), and what to say of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from graphwright.tasks.genes.edit_distance import NearestNames

__all__ = ["AliasTable", "GeneNames", "nearest"]


@dataclass(frozen=True)
class AliasTable:
    """Other names of genes.

    Attributes:
        systematic: for every other name its systematic name.
        ambiguous: names that stand for several genes, and which.
    """

    systematic: Mapping[str, str] = field(default_factory=dict)
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """From (other name, systematic name); a name of two genes becomes ambiguous."""
        found: dict[str, dict[str, None]] = {}
        for other, name in pairs:
            found.setdefault(other, {})[name] = None
        return cls(
            {other: next(iter(names)) for other, names in found.items() if len(names) == 1},
            {other: tuple(names) for other, names in found.items() if len(names) > 1},
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """A TSV or CSV with a header: the first column is the systematic name, the others hold
        other names, several of them separated by '|' (as SGD and BioGRID do).

        Raises:
            DataError: no such file, or not a table of two or more columns.
        """
        from graphwright.tasks.genes.table_file import read_texts

        columns = read_texts(path)
        first, *others = columns.values()
        return cls.from_pairs(
            (other.strip(), name)
            for column in others
            for name, cell in zip(first, column, strict=True)
            for other in cell.split("|")
            if name and other.strip() and other.strip() != name
        )

    def to_json(self) -> dict[str, Any]:
        """For a bundle."""
        return {"systematic": dict(self.systematic), "ambiguous": dict(self.ambiguous)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        ambiguous = {name: tuple(genes) for name, genes in value["ambiguous"].items()}
        return cls(dict(value["systematic"]), ambiguous)


def nearest(name: str, names: Sequence[str], n: int = 3) -> list[str]:
    """The `n` names with the fewest edits to `name`, the nearest first.

    For many questions about the same names use `edit_distance.NearestNames`.
    """
    return NearestNames(names)(name, n)


@dataclass(frozen=True)
class GeneNames:
    """From what people write to places in the fixed order of genes.

    A text is a gene if it is one of `genes`, else if it is another name of one; else the same in
    upper case; else the same without one of `suffixes`.

    Attributes:
        genes: systematic names, in the order that places mean.
        aliases: other names.
        suffixes: ends that mark an allele and no other gene (YDR081C-PH is one of YDR081C).
    """

    genes: tuple[str, ...]
    aliases: AliasTable = field(default_factory=AliasTable)
    suffixes: tuple[str, ...] = ()

    def find(self, text: str) -> int | str:
        """The place of a gene, or why there is none."""
        text = text.strip()
        place = self.place(text)
        if place is not None:
            return place
        if text not in self._reasons:
            self._reasons[text] = self._reason(text)
        return self._reasons[text]

    def place(self, text: str) -> int | None:
        """The place of a gene, None if there is none."""
        for form in self._forms(text.strip()):
            name = form if form in self._place else self.aliases.systematic.get(form, form)
            if name in self._place:
                return self._place[name]
        return None

    def _reason(self, text: str) -> str:
        for form in self._forms(text):
            if form in self.aliases.ambiguous:
                return f"{text!r} is ambiguous: {' or '.join(self.aliases.ambiguous[form])}"
        near = ", ".join(self._nearest(text))
        return f"unknown gene {text!r}, nearest: {near}" if near else f"unknown gene {text!r}"

    def _forms(self, text: str) -> Iterable[str]:
        for form in dict.fromkeys((text, text.upper())):
            yield form
            yield from (form.removesuffix(end) for end in self.suffixes if form.endswith(end))

    @cached_property
    def _reasons(self) -> dict[str, str]:
        return {}

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.genes)}

    @cached_property
    def _nearest(self) -> NearestNames:
        others = (other for other, name in self.aliases.systematic.items() if name in self._place)
        return NearestNames([*self.genes, *others])
