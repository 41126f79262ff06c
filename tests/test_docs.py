"""The documentation is checked: commands parse, keys exist, links resolve, examples run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from docs_blocks import CONSOLE, FENCE, PAGES, ROOT, Block, blocks
from graphwright.cli import app
from graphwright.config.io import flatten, to_dict
from graphwright.config.presets import (
    TASKS,
    preset_names,
    resolve_preset,
    tasks_with_commands,
)
from graphwright.launch.local import with_reference
from graphwright.launch.search.space import read_space
from graphwright.launch.slurm.options import read_launch, split_launch
from graphwright.launch.sweep.plan import SweepPlan, planned_runs

OTHER_PAGES = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FLAG_ROW = re.compile(r"^\| `(--\w+)[^`]*` \| `([^`]+)`", re.MULTILINE)
SECTIONS = ("training", "loading", "tracking", "data", "model", "augment", "loss", "threshold")
KEY = re.compile(rf"(?:{'|'.join(SECTIONS)})(?:\.[a-z_]+)+(?:=.*)?")


def _commands() -> list[tuple[str, list[str]]]:
    found = []
    for block in blocks(*CONSOLE):
        for line in block.lines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "graphwright":
                found.append((block.page.name, words[1:]))
    return found


@cache
def _keys() -> frozenset[str]:
    """Every key of every preset with every choice of its groups, and all their sections."""
    keys: set[str] = set()
    for task in TASKS:
        # thousands of names of canbus have the same keys
        for name, _ in preset_names(task)[:60]:
            config = resolve_preset(name)
            options = [(n, o) for n, group in config.groups.items() for o in group.values()]
            keys |= set(flatten(to_dict(config)))
            keys |= {f"{name}.{key}" for name, o in options for key in flatten(to_dict(o))}
    return frozenset(key.rsplit(".", depth)[0] for key in keys for depth in range(9))


def _parse(words: list[str]) -> click.Context:
    """Parse a command line without executing it; an error says what is wrong."""
    command: click.Command = app
    context = None
    while True:
        context = command.make_context(words[0] if words else "", list(words), parent=context)
        if not isinstance(command, click.Group):
            return context
        rest = [*context._protected_args, *context.args]
        name, found, words = command.resolve_command(context, rest)
        assert found is not None, f"no command {name}"
        command = found


@pytest.mark.parametrize(("page", "words"), _commands(), ids=lambda v: v if type(v) is str else "")
def test_commands_parse(page: str, words: list[str]) -> None:
    """Sub-command, options, preset, overrides and references exist."""
    try:
        options = _parse(words).params
    except click.exceptions.Exit:  # --help and --version
        return
    if "overrides" in options:
        rest, launch = split_launch(options["overrides"])
        options["overrides"] = tuple(rest)
        read_launch(launch)
    if options.get("search"):
        assert read_space(options["plan"], options["overrides"]).dimensions
    elif "plan" in options and not options["plan"].endswith(".yaml"):
        planned_runs(SweepPlan(name="", preset=options["plan"], overrides=options["overrides"]))
    if "preset" in options:
        # the walk-through's own model exists only in the copy that test_add_a_model makes
        preset = options["preset"]
        overrides = [
            text.replace("model=deep_sets", "model=painn") for text in options["overrides"]
        ]
        if options.get("config_file") is not None:
            preset, overrides = "geometry/tiny", [o for o in (preset, *overrides) if o]
        config: Any = resolve_preset(str(preset), overrides)
        for name in options.get("references", ()):
            with_reference(config, name)


def test_commands_are_found() -> None:
    """The test above has something to test."""
    used = {words[0] for _, words in _commands()}
    assert used == {*app.commands, *tasks_with_commands()}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_keys_in_text_exist(page: Path) -> None:
    """`training.epochs=5` in running text is a real key."""
    inline = re.findall(r"`'?([^`\n]+?)'?`", FENCE.sub("", page.read_text()))
    named = [text.split("=")[0] for text in inline if KEY.fullmatch(text)]
    named = [name for name in named if not name.endswith((".json", ".onnx", ".yaml"))]
    assert [key for key in named if key not in _keys()] == []


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda p: p.name)
def test_links_resolve(page: Path) -> None:
    """Files and headings that are linked to exist."""
    missing = []
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (anchor and anchor not in _anchors(other)):
            missing.append(target)
    assert missing == []


def _anchors(page: Path) -> set[str]:
    """Headings as GitHub names them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    """A page that nobody links to is not read."""
    linked = {name for name in LINK.findall((ROOT / "docs/index.md").read_text()) if ".md" in name}
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert pages - {"index.md"} == linked


def test_flags_of_the_old_script() -> None:
    """Each old flag has a row, and what stands beside it exists."""
    rows = dict(FLAG_ROW.findall((ROOT / "docs/geometry.md").read_text()))
    options = {option for param in app.commands["train"].params for option in param.opts}
    new = {name.split("=")[0] for name in rows.values()}
    assert len(rows) == 19
    assert {name for name in new if name not in options and name not in _keys()} == set()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    """Every Python block is valid."""
    compile(block.text, str(block.page), "exec")


def test_add_a_model(tmp_path: Path) -> None:
    """The walk-through, executed as it stands on a copy, gives a model that trains."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    target = None
    text = (ROOT / "docs/add_a_model.md").read_text()
    for piece in re.finditer(r"^`(src/\S+\.py)`|^```(python|diff)\n(.*?)^```$", text, re.M | re.S):
        target = tmp_path / piece[1] if piece[1] else target
        assert target is not None
        if piece[2] == "python":
            target.write_text(piece[3])
        elif piece[2] == "diff":
            _edit(target, piece[3].splitlines())
    command = [sys.executable, "-m", "graphwright", "train", "geometry/tiny", "model=deep_sets"]
    quick = ["training.epochs=1", "tracking.mlflow=off", "data.source.count=20"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(
        [*command, *quick], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "deep_sets" in done.stdout
    assert list(tmp_path.glob("runs/geometry/scans/center_of_mass/deep_sets/run_000/bundle/*.json"))


def _edit(path: Path, lines: list[str]) -> None:
    """Apply one hunk whose old lines must stand exactly once in the file."""
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " -")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in " +")
    text = path.read_text()
    assert old, "a hunk needs a line to hold on to"
    assert text.count(old) == 1, f"{path.name} has not exactly once:\n{old}"
    path.write_text(text.replace(old, new))
