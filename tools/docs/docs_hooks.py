"""What mkdocs does beside rendering: generated parts, pages for files outside docs/, links.

Named under `hooks` in mkdocs.yml. A page says where something generated belongs by a comment:

    <!-- generated: commands -->

On GitHub the page stands as it is; on the site the comment becomes the commands' reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from docs_benchmarks import benchmark_tables
from docs_commands import command_reference
from docs_links import ROOT, linked_files, page_of_file, rewritten, site_path
from docs_notebooks import notebook_page
from docs_settings import settings_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["on_files", "on_page_markdown", "on_pre_build"]

MARK = re.compile(r"^<!-- generated: (\w+) ?(\w*) -->$", re.MULTILINE)
MAKERS: dict[str, Callable[[str], str]] = {
    "benchmarks": benchmark_tables,
    "commands": command_reference,
    "settings": settings_reference,
}
_sources: dict[str, Path] = {}


def on_pre_build(config: MkDocsConfig) -> None:
    """Forget the last build (`mkdocs serve` builds again and again)."""
    _sources.clear()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that the documentation links to."""
    docs = Path(config.docs_dir)
    _sources.update({file.src_uri: docs / file.src_uri for file in files.documentation_pages()})
    notebooks = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
    waiting = [*_sources.values(), ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *notebooks]
    while waiting:
        path = waiting.pop()
        uri = site_path(path)
        if uri not in _sources:
            _sources[uri] = path
            files.append(File.generated(config, uri, content=_text(path)))
        if path.suffix == ".md":
            waiting += [other for other in linked_files(path) if site_path(other) not in _sources]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated; point links at the site instead of the repository."""
    source = _sources[page.file.src_uri]
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]  # it has but one entry
    if source.suffix == ".md":
        markdown = rewritten(markdown, source, page.file.src_uri)
    return MARK.sub(lambda match: MAKERS[match[1]](match[2]), markdown)


def _text(path: Path) -> str:
    if path.suffix == ".ipynb":
        return notebook_page(path)
    return path.read_text() if path.suffix == ".md" else page_of_file(path)
