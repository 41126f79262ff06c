"""Links that work on GitHub, made to work on the site.

A page of docs/ links to `../examples/demo.py` as the repository has it. The site has only what lies
in docs/, so every other file that is linked to gets a page there, and links are pointed at it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "linked_files", "page_of_file", "rewritten", "site_path"]

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]+)?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED = {
    "README.md": "files/README.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}


def site_path(path: Path) -> str:
    """Where a file of the repository is on the site, below docs/."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    if path.suffix == ".ipynb":
        return f"notebooks/{path.stem}.md"
    return NAMED.get(name) or f"files/{name}" + ("" if path.suffix == ".md" else ".md")


def linked_files(page: Path) -> Iterator[Path]:
    """Files of the repository outside docs/ that a page links to."""
    for match in LINK.finditer(FENCED.sub("", page.read_text())):
        target = _target(page, match[2])
        if target is not None and target.is_file() and not target.is_relative_to(DOCS):
            yield target


def rewritten(markdown: str, source: Path, uri: str) -> str:
    """The page with its links to files as the site needs them.

    Args:
        markdown: text of the page.
        source: the file that it stands in, whose links are relative to it.
        uri: where the page is on the site.
    """

    def point(match: re.Match[str]) -> str:
        target = _target(source, match[2])
        if target is None or not target.is_file():
            return match[0]
        there = os.path.relpath(site_path(target), Path(uri).parent)
        return f"[{match[1]}]({there}{match[3] or ''})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(point, part) for part in parts)


def page_of_file(path: Path) -> str:
    """A page that shows a text file."""
    language = {".py": "python", ".yaml": "yaml"}.get(path.suffix, "text")
    fence = "`" * 5
    return f"# {path.relative_to(ROOT)}\n\n{fence}{language}\n{path.read_text()}{fence}\n"


def _target(page: Path, link: str) -> Path | None:
    """The file that a link names; None for an address elsewhere."""
    if "://" in link or link.startswith("mailto:"):
        return None
    target = Path(os.path.normpath(page.parent / link))
    return target if target.is_relative_to(ROOT) else None
