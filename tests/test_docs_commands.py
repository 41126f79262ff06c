"""Every command and every Python block of the documentation is executed, page by page.

A page's blocks run in order in one folder, with the short settings that stand in the page itself as
comments (`docs_blocks.py`). Pages about a task start where its quick start ended: with its files,
its data and its runs. What cannot be executed here is marked in the page, with the reason.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from docs_blocks import CONSOLE, PAGES, ROOT, Block, blocks, blocks_of
from docs_files import write_files
from docs_reader import Reader

STARTS = {task: ROOT / f"docs/start/{task}.md" for task in ("geometry", "nas", "canbus", "genes")}
STARTS["language"] = ROOT / "docs/start/language.md"

# whose quick start a reader of a page has done before; by default geometry's
BEFORE: dict[str, tuple[str, ...]] = {
    "README.md": ("nas", "canbus", "geometry"),
    "docs/canbus.md": ("canbus",),
    "docs/canbus_watch.md": ("canbus",),
    "docs/genes.md": ("genes",),
    "docs/language.md": ("language",),
    "docs/nas.md": ("nas",),
    "docs/search.md": ("nas",),
}


def _here(block: Block) -> bool:
    """Whether this file executes a block."""
    return not block.marks.reason and not block.marks.elsewhere


OTHERS = [
    page
    for page in PAGES
    if page not in STARTS.values() and any(_here(b) for b in blocks_of(page, "python", *CONSOLE))
]
MOST_LEFT_OUT = 0.25

After = Callable[[str], Path]


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> After:
    """The folder in which somebody has done a task's quick start; done once."""
    done: dict[str, Path] = {}

    def folder_after(task: str) -> Path:
        if task not in done:
            folder = tmp_path_factory.mktemp(f"start_{task}")
            Reader(folder).read(blocks_of(STARTS[task]))
            done[task] = folder
        return done[task]

    return folder_after


@pytest.mark.parametrize("task", STARTS)
def test_quick_start(task: str, after: After) -> None:
    """From nothing to answers on one's own file, and a run that is finished."""
    folder = after(task)
    assert list(folder.glob("runs/**/bundle/model.json"))
    assert len(blocks_of(STARTS[task], "console")) >= 4


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page: Path, after: After, tmp_path: Path) -> None:
    """All that a page says to type works, in this order."""
    for task in BEFORE.get(page.relative_to(ROOT).as_posix(), ("geometry",)):
        shutil.copytree(after(task), tmp_path, dirs_exist_ok=True)
    write_files(tmp_path)
    assert Reader(tmp_path).read(blocks_of(page)) > 0


def test_what_is_not_executed() -> None:
    """Commands that are left out are few, and each says why."""
    commands = [(block, line) for block in blocks(*CONSOLE) for line in block.commands()]
    left_out = [(block, line) for block, line in commands if block.marks.reason]
    for block, line in left_out:
        sys.stdout.write(f"{block.page.name}: {line.strip()[:70]} [{block.marks.reason}]\n")
    sys.stdout.write(f"{len(left_out)} of {len(commands)} commands are not executed\n")
    assert all(len(block.marks.reason) > 10 for block, _ in left_out)
    assert all((ROOT / file).is_file() for block, _ in commands if (file := block.marks.elsewhere))
    assert len(left_out) <= MOST_LEFT_OUT * len(commands)


def test_python_that_is_not_executed_says_why() -> None:
    """A Python block that is left out needs a reason as well."""
    left_out: list[Block] = [block for block in blocks("python") if block.marks.reason]
    assert all(len(block.marks.reason) > 10 for block in left_out)
