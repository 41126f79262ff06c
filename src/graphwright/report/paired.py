"""Tables and sentences of the differences between configurations, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphwright.report.blocks import Block
from graphwright.report.boards import Board
from graphwright.report.difference import (
    BOOTSTRAP_FROM,
    LEVEL,
    PairedDifference,
    paired_difference,
)
from graphwright.report.grouping import Group
from graphwright.report.text import MISSING, format_number

__all__ = ["Paired", "paired_differences", "signed"]

MOST_PAIRED = 16  # configurations; with more of them nobody reads each pair


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Pairs of comparable configurations in one metric: all, or where they are many those with
    the best.

    Attributes:
        where: the data, where there are several; see `Board`.
        letters: of the groups, best first; the first is the reference of `rows`.
        labels: by letter.
        pairs: by (letter, reference), both ways.
    """

    metric: str
    higher_is_better: bool
    where: str
    letters: tuple[str, ...]
    labels: Mapping[str, str]
    pairs: Mapping[tuple[str, str], PairedDifference]

    @property
    def title(self) -> str:
        """Of the table."""
        beside = f" ({self.where})" if self.where else ""
        return f"Paired differences in {self.metric.replace('_', ' ')}{beside}"

    @property
    def note(self) -> str:
        """How the numbers were made."""
        few = min(len(pair.values) for pair in self.pairs.values())
        how = "bootstrap-t over seeds" if few >= BOOTSTRAP_FROM else "Student's t"
        return (
            f"Row minus {self.letters[0]} on each common seed: mean ± sample standard deviation, "
            f"and a {100 * LEVEL:.0f} % interval of the mean ({how}), each on its own. Larger than "
            "the seeds' spread: the interval does not hold zero."
        )

    @property
    def complete(self) -> bool:
        """Whether all pairs were looked at."""
        return len(self.letters) <= MOST_PAIRED

    def with_best(self) -> list[PairedDifference]:
        """Every other configuration minus the best, best first."""
        best = self.letters[0]
        pairs = (self.pairs.get((letter, best)) for letter in self.letters[1:])
        return [pair for pair in pairs if pair is not None]

    def verdict(self) -> str:
        """What the seeds say of the best, in a sentence or two of letters."""
        pairs = self.with_best()
        beaten = [p.letter for p in pairs if p.clear]
        open_ = [p.letter for p in pairs if not p.clear]
        if not beaten:
            return f"The seeds do not tell {self.letters[0]} from {_listed(open_, self.letters)}."
        words = f"{self.letters[0]} is better than {_listed(beaten, self.letters)}"
        words += " by more than the seeds' spread"
        if not open_:
            return f"{words}."
        return f"{words}; they do not tell it from {_listed(open_, self.letters)}."

    def columns(self) -> list[str]:
        """Headings of `rows`."""
        return ["", "configuration", "difference", "interval", "seeds", "larger than their spread"]

    def rows(self) -> list[list[str]]:
        """Every configuration minus the best."""
        best = self.letters[0]
        return [
            [letter, self.labels[letter], *_texts(self.pairs.get((letter, best)))]
            for letter in self.letters[1:]
        ]

    def statements(self) -> list[str]:
        """A sentence for each configuration: which ones it beats by more than the spread."""
        found = []
        for letter in self.letters if self.complete else self.letters[:1]:
            beaten = [o for o in self.letters if self._beats(letter, o)]
            if beaten:
                names = ", ".join(self.labels[other] for other in beaten)
                found.append(f"{self.labels[letter]} is better than {names}.")
        return found or ["No difference is larger than the seeds' spread."]

    def block(self, key: str) -> Block:
        """As a table with its remarks."""
        return Block(
            key=key,
            title=self.title,
            columns=self.columns(),
            rows=self.rows(),
            notes=[self.note],
            remarks=["\n".join(self.statements())],
        )

    def matrix(self) -> list[list[str]]:
        """Row minus column, for every pair; a star where it is larger than the spread."""
        return [[row, *(self._cell(row, col) for col in self.letters)] for row in self.letters]

    def to_json(self) -> dict[str, Any]:
        """JSON values, each pair once."""
        once = [p.to_json() for (a, b), p in self.pairs.items() if self._place(a) > self._place(b)]
        return {"metric": self.metric, "where": self.where, "level": LEVEL, "pairs": once}

    def _beats(self, letter: str, other: str) -> bool:
        pair = self.pairs.get((letter, other))
        return pair is not None and pair.clear and (pair.mean > 0) == self.higher_is_better

    def _cell(self, row: str, column: str) -> str:
        pair = self.pairs.get((row, column))
        if pair is None:
            return "" if row == column else MISSING
        return signed(pair.mean) + ("*" if pair.clear else "")

    def _place(self, letter: str) -> int:
        return self.letters.index(letter)


def paired_differences(boards: Sequence[Board]) -> tuple[Paired, ...]:
    """Differences in each primary metric between groups on the same data with two common seeds."""
    found = []
    for board in boards:
        pairs = _pairs(board.groups, board.metric)
        letters = tuple(g.letter for g in board.groups if any(g.letter in pair for pair in pairs))
        if letters:
            found.append(
                Paired(
                    metric=board.metric,
                    higher_is_better=board.higher_is_better,
                    where=board.where,
                    letters=letters,
                    labels={group.letter: group.label for group in board.groups},
                    pairs=pairs,
                )
            )
    return tuple(found)


def signed(value: float) -> str:
    """Three significant digits with their sign."""
    shown = format_number(value, 3)
    return f"+{shown}" if value > 0 else shown.replace("-", "−", 1)


def _pairs(groups: Sequence[Group], metric: str) -> dict[tuple[str, str], PairedDifference]:
    many = len(groups) > MOST_PAIRED
    found = {}
    for a in groups:
        for b in groups:
            if a is b or (many and groups[0] not in (a, b)):
                continue
            pair = paired_difference(a, b, metric)
            if pair is not None:
                found[a.letter, b.letter] = pair
    return found


def _texts(pair: PairedDifference | None) -> list[str]:
    if pair is None:
        return [MISSING] * 4
    return [
        f"{signed(pair.mean)} ± {format_number(pair.sd, 2)}",
        f"{signed(pair.low)} to {signed(pair.high)}",
        str(len(pair.values)),
        "yes" if pair.clear else "no",
    ]


def _listed(letters: Sequence[str], order: Sequence[str]) -> str:
    """ "B", "B and C", "B to E and G": three in a row or more are a range."""
    words: list[str] = []
    rest = list(letters)
    while rest:
        first = order.index(rest[0])
        count = 1
        while rest[count : count + 1] == list(order[first + count : first + count + 1]) != []:
            count += 1
        words += [f"{rest[0]} to {rest[count - 1]}"] if count > 2 else rest[:count]
        rest = rest[count:]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
