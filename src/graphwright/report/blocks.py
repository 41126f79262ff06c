"""The tables of a comparison as plain text, Markdown and LaTeX: one content, three forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphwright.report.latex import latex_table
from graphwright.report.text import markdown_table, plain_table

__all__ = ["Block", "as_latex", "as_markdown", "as_text"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One table with its remarks.

    Attributes:
        key: names it in LaTeX, `tab:<key>`.
        headings: of the columns where they are printed; by default `columns`.
        bold: (row, column) of cells in bold, where there is bold; `bold_note` says why.
        notes: paragraphs below it, in print its caption.
        remarks: further paragraphs, which print has no room for.
        left_out: columns that print has no room for.
    """

    key: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    remarks: Sequence[str] = ()
    headings: Sequence[str] = ()
    bold: frozenset[tuple[int, int]] = frozenset()
    bold_note: str = ""
    left_out: frozenset[str] = frozenset()


def as_text(blocks: Sequence[Block]) -> str:
    """For a terminal."""
    parts = []
    for block in blocks:
        parts.append(f"{block.title}\n\n{plain_table(block.columns, block.rows)}")
        parts += [*block.notes, *block.remarks]
    return "\n\n".join(parts) + "\n"


def as_markdown(blocks: Sequence[Block]) -> str:
    """For an issue or a notebook."""
    parts = []
    for block in blocks:
        table = markdown_table(block.columns, block.rows, bold=block.bold)
        parts.append(f"## {block.title}\n\n{table}")
        parts += [*([block.bold_note] if block.bold_note else []), *block.notes, *block.remarks]
    return "\n\n".join(parts) + "\n"


def as_latex(blocks: Sequence[Block]) -> str:
    """For a paper: floats with captions; needs the package booktabs."""
    parts = [r"% \usepackage{booktabs}"]
    for block in blocks:
        kept = [i for i, name in enumerate(block.columns) if name not in block.left_out]
        headings = block.headings or block.columns
        notes = [*block.notes, block.bold_note]
        caption = " ".join([f"{block.title}.", *(" ".join(note.split()) for note in notes if note)])
        parts.append(
            latex_table(
                [headings[i] for i in kept],
                [[row[i] for i in kept] for row in block.rows],
                caption=caption,
                label=block.key,
                bold={(r, kept.index(c)) for r, c in block.bold if c in kept},
            )
        )
    return "\n\n".join(parts) + "\n"
