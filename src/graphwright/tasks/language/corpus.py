"""Where text comes from: files, or the documentation strings of the standard library."""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphwright.errors import DataError
from graphwright.tasks.language.data_config import DocstringsSource, TextSource

__all__ = ["SPLITS", "Corpus", "Part", "open_corpus"]

SPLITS = ("train", "val", "test")
_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}  # of documentation strings
_BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Part:
    """The text of one split: bytes `start` to `stop` of a file, or text in memory."""

    path: Path | None
    start: int = 0
    stop: int = 0
    text: bytes = b""

    def blocks(self) -> Iterator[list[bytes]]:
        """Lines with their ends, about a megabyte at a time."""
        if self.path is None:
            yield io.BytesIO(self.text).readlines()
            return
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            left, block = self.stop - self.start, list[bytes]()
            for line in stream:
                if left <= 0:
                    break
                block.append(line)
                left -= len(line)
                if left % _BLOCK + len(line) >= _BLOCK:  # another megabyte is full
                    yield block
                    block = []
            if block:
                yield block

    def lines(self) -> Iterator[bytes]:
        """All lines with their ends."""
        for block in self.blocks():
            yield from block


@dataclass(frozen=True)
class Corpus:
    """Training, validation and test text.

    Attributes:
        parts: by split.
        digest: SHA-256 of all text and of how it is divided.
        origin: where it is from, for a person.
    """

    parts: dict[str, Part]
    digest: str
    origin: str


def open_corpus(source: DocstringsSource | TextSource) -> Corpus:
    """The text of a configuration.

    Raises:
        DataError: a file is missing or empty, or a split has no text.
    """
    if isinstance(source, DocstringsSource):
        return _docstrings(source)
    path = Path(source.path)
    return _folder(path, source) if path.is_dir() else _one_file(path, source)


def _folder(folder: Path, source: TextSource) -> Corpus:
    names = (source.train, source.valid, source.test)
    parts = {}
    for split, name in zip(SPLITS, names, strict=True):
        path = folder / name
        parts[split] = Part(path, 0, _size(path))
    return Corpus(parts, _digest(parts), str(folder))


def _one_file(path: Path, source: TextSource) -> Corpus:
    size = _size(path)
    test_at = _line_start(path, round(size * (1 - source.test_share)))
    val_at = _line_start(path, round(size * (1 - source.test_share - source.val_share)))
    cuts = (0, val_at, test_at, size)
    parts = {
        split: Part(path, start, stop)
        for split, start, stop in zip(SPLITS, cuts[:-1], cuts[1:], strict=True)
    }
    for split, part in parts.items():
        if part.start >= part.stop:
            raise DataError(
                f"nothing is left for the split {split}",
                where=path,
                fix="give a longer text, other data.source.val_share and test_share, or a folder "
                "with train.txt, valid.txt and test.txt",
            )
    return Corpus(parts, _digest(parts), str(path))


def _size(path: Path) -> int:
    if not path.is_file():
        raise DataError(
            "there is no such text",
            where=path,
            fix="set data.source.path to a text file, or to a folder with train.txt, valid.txt "
            "and test.txt",
        )
    size = path.stat().st_size
    if not size:
        raise DataError("the text is empty", where=path)
    return size


def _line_start(path: Path, position: int) -> int:
    """The first beginning of a line at or after a position."""
    if position <= 0:
        return 0
    with path.open("rb") as stream:
        stream.seek(position - 1)
        stream.readline()
        return stream.tell()


def _digest(parts: dict[str, Part]) -> str:
    digest = hashlib.sha256()
    for split, part in parts.items():
        digest.update(f"\0{split}\0".encode())
        for block in part.blocks():
            digest.update(b"".join(block))
    return digest.hexdigest()


def _docstrings(source: DocstringsSource) -> Corpus:
    modules = _modules()
    order = np.random.default_rng(source.seed).permutation(len(modules))
    texts: dict[str, list[bytes]] = {split: [] for split in SPLITS}
    total = 0
    for number in order:
        text = _documentation(modules[number])
        # to the split that is furthest from its share
        split = min(SPLITS, key=lambda name: sum(map(len, texts[name])) / _SHARES[name])
        texts[split].append(text)
        total += len(text)
        if total >= source.max_bytes:
            break
    parts = {split: Part(None, text=b"".join(pieces)) for split, pieces in texts.items()}
    if not all(part.text for part in parts.values()):
        raise DataError(
            f"only {total} bytes of documentation strings were found",
            where=sysconfig.get_path("stdlib"),
            fix="this Python has no sources of its library; set data.source=text and a path",
        )
    return Corpus(parts, _digest(parts), "documentation strings of the standard library")


def _modules() -> list[Path]:
    """The library's own source files, in a fixed order; its tests and packages are left out."""
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "dist-packages", "test", "tests", "encodings", "lib2to3"}
    files = (path.relative_to(root) for path in root.rglob("*.py"))
    return [root / file for file in sorted(files) if not skipped & set(file.parts)]


def _documentation(module: Path) -> bytes:
    """Documentation strings of a module, its classes and functions, in the order they stand in."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in somebody else's strings
            tree = ast.parse(module.read_bytes())
    except (SyntaxError, ValueError):  # files that are there to be wrong
        return b""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    found.sort(key=lambda node: getattr(node, "lineno", 0))
    strings = (ast.get_docstring(node, clean=False) for node in found)
    return "".join(f"{inspect.cleandoc(text)}\n\n" for text in strings if text).encode()
