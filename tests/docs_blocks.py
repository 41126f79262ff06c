"""The fenced blocks of the documentation, and what is written beside them for the tests.

A comment right above a fence says how its commands are executed by `test_docs_commands.py`:

    <!-- not executed: why -->
    <!-- executed by: tests/test_docs.py -->
    <!-- test: training.epochs=1 --budget=6 RUN=latest exit=1 file=train.py -->

`key=value` is appended to every command that takes overrides, `--option=value` or `--flag` to
every command of graphwright that has it, `RUN=…` (capitals; perhaps a path with stars) replaces
that word, so does `latest->…`; `exit` is the code that is expected of the last command, `file`
writes the block to a file instead of executing it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["CONSOLE", "FENCE", "PAGES", "ROOT", "Block", "Marks", "blocks", "blocks_of"]

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
CONSOLE = ("console", "bash", "sh")

_KINDS = "not executed|executed by|test"
FENCE = re.compile(
    rf"(?:^<!-- ({_KINDS}): (.*?) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_LOST = re.compile(rf"^<!-- (?:{_KINDS}):.*?-->$(?!\n```)", re.MULTILINE | re.DOTALL)


class Marks(NamedTuple):
    """What a comment above a block says."""

    reason: str = ""  # why it is not executed; empty: it is
    elsewhere: str = ""  # the test that executes it instead
    overrides: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    exit_code: int = 0
    file: str = ""


class Block(NamedTuple):
    """A fenced block: where it is, its language, its text and its marks."""

    page: Path
    language: str
    text: str
    marks: Marks = Marks()

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.text.strip().splitlines()[0][:40]}"

    def lines(self) -> Iterator[str]:
        """Lines that a reader types; in a console block those behind a dollar."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if self.language != "console":
                yield line
            elif line.startswith("$ "):
                yield line[2:]

    def commands(self) -> list[str]:
        """The lines that are commands."""
        return [line for line in self.lines() if shlex.split(line, comments=True)]


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """Blocks of a page, in order; all languages where none is named.

    Raises:
        ValueError: a mark that stands above no block.
    """
    text = page.read_text()
    if lost := _LOST.search(text):
        raise ValueError(f"{page.relative_to(ROOT)}: no block below {lost[0]}")
    return [
        Block(page, match[3], match[4], _marks(match[1], match[2]))
        for match in FENCE.finditer(text)
        if not languages or match[3] in languages
    ]


def blocks(*languages: str) -> list[Block]:
    """Blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page, *languages)]


def _marks(kind: str | None, text: str | None) -> Marks:
    said = " ".join((text or "").split())
    if kind != "test":
        return Marks(
            reason=said if kind == "not executed" else "",
            elsewhere=said if kind == "executed by" else "",
        )
    found = Marks()
    for word in shlex.split(said):
        name, equals, value = word.partition("=")
        if "->" in word:
            old, _, new = word.partition("->")
            found = found._replace(words=(*found.words, (old, new)))
        elif word.startswith("--"):
            found = found._replace(options=(*found.options, word))
        elif not equals:
            raise ValueError(f"{word}: neither key=value nor an option")
        elif name == "exit":
            found = found._replace(exit_code=int(value))
        elif name == "file":
            found = found._replace(file=value)
        elif name.isupper():
            found = found._replace(words=(*found.words, (name, value)))
        else:
            found = found._replace(overrides=(*found.overrides, word))
    return found
