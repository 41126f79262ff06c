"""Somebody who does what a page says: runs its Python, types its commands, in one folder.

Commands of graphwright are called in this process, which saves seconds of imports each; others go
to a shell.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from docs_blocks import CONSOLE, ROOT, Block
from graphwright.cli import app, main

__all__ = ["Reader", "command_of"]

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
MINUTES = 120.0  # no command of the documentation may take longer here


class Reader:
    """Reads one page after the other in a folder of their own.

    Args:
        folder: where everything happens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {}

    def read(self, found: Iterable[Block]) -> int:
        """Do what the blocks say, in order; returns how many commands and blocks were executed."""
        count = 0
        with _inside(self.folder):
            for block in found:
                if block.marks.reason or block.marks.elsewhere:
                    continue
                if block.marks.file:
                    Path(block.marks.file).write_text(block.text)
                elif block.language == "python":
                    exec(compile(block.text, str(block), "exec"), self.namespace)
                    count += 1
                elif block.language in CONSOLE:
                    count += self._type(block)
        return count

    def _type(self, block: Block) -> int:
        commands = block.commands()
        for number, line in enumerate(commands, start=1):
            words = _as_tested(block, shlex.split(line, comments=True))
            code = _graphwright(words[1:]) if words[0] == "graphwright" else _shell(line)
            expected = block.marks.exit_code if number == len(commands) else 0
            assert code == expected, f"{block}: exit code {code} of {' '.join(words)}"
        return len(commands)


def command_of(words: list[str]) -> click.Command:
    """The command that a line (without `graphwright`) ends at."""
    found: click.Command = app
    context = click.Context(app)
    for word in words:
        if not isinstance(found, click.Group):
            break
        child = found.get_command(context, word)
        assert child is not None, f"no command {word}"
        found = child
    return found


def _as_tested(block: Block, words: list[str]) -> list[str]:
    """The command with what the marks replace and append."""
    replaced = {name: _found(value) for name, value in block.marks.words}
    words = [replaced.get(word, word) for word in words]
    if words[0] != "graphwright":
        return words
    params = command_of(words[1:]).params
    known = {option for one in params if isinstance(one, click.Option) for option in one.opts}
    options = [word for word in block.marks.options if word.partition("=")[0] in known]
    takes_overrides = any(isinstance(p, click.Argument) and p.name == "overrides" for p in params)
    # a mirror is a process of its own, which imports MLflow
    overrides = [*block.marks.overrides, "tracking.mlflow=off"] if takes_overrides else []
    return [*words, *overrides, *options]


def _found(value: str) -> str:
    """A path with stars becomes the first that fits it."""
    return str(min(Path().glob(value))) if "*" in value else value


def _graphwright(words: list[str]) -> int:
    before, sys.argv = sys.argv, ["graphwright", *words]
    try:
        main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return 0


def _shell(line: str) -> int:
    environment = {**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["bash", "-c", line], env=environment, timeout=MINUTES, check=False)
    return done.returncode


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """In a folder, from which modules can be imported as `python` in it would."""
    with contextlib.chdir(folder):
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
