"""The captures of a folder, each content once.

Layout `DATASET/FOLDER/NAME-k.csv[.gz]`, at any depth: the folder says what part of an evaluation a
capture belongs to (`train_01_attack_free`), the file name without its number which attack it has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphwright.errors import DataError, nearest
from graphwright.runs.files import write_json_atomic
from graphwright.tasks.canbus.frames import Capture
from graphwright.tasks.canbus.readers.content import Content

__all__ = ["Captures", "Dropped", "attack_name", "capture_name", "content_hash", "find_captures"]

_SUFFIXES = (".csv", ".txt", ".log", ".asc", ".blf", ".trc")
_NUMBER = re.compile(r"[-_ ]\d+$")
_CACHE = "canbus_hashes.json"


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A capture that is left out, because another has the same content.

    Attributes:
        capture: the one left out.
        kept: the one that stays.
    """

    capture: Capture
    kept: Capture


@dataclass(frozen=True, kw_only=True)
class Captures:
    """What a folder has.

    Attributes:
        kept: every content once, sorted by folder and name.
        dropped: the others.
    """

    kept: tuple[Capture, ...]
    dropped: tuple[Dropped, ...]

    def report(self) -> list[str]:
        """A line for each capture that was dropped."""
        return [
            f"{_label(one.capture)} has the content of {_label(one.kept)}: dropped"
            for one in self.dropped
        ]


def find_captures(
    root: str | Path,
    *,
    datasets: Sequence[str] = (),
    folders: Sequence[str] = (),
    cache: str | Path | None = None,
) -> Captures:
    """Captures below a folder, or one file, without repetitions.

    Of captures with the same content the first in the order of folder and name stays, except that
    a test folder always gives way to a training folder: what was trained on tests nothing.

    Args:
        root: the folder of data sets, of one data set, of captures, or a file.
        datasets: folders directly below `root` to look in; none: all of `root`.
        folders: names of the folders wanted; none: all.
        cache: folder that keeps hashes by path, time of change and size; None hashes always.

    Raises:
        DataError: no such folder or data set, or no capture in it.
    """
    place = Path(root)
    found = [
        (path, path.parent.name)
        for base in _bases(place, datasets)
        for path in _files(base)
        if not folders or path.parent.name in folders
    ]
    if not found:
        raise DataError(
            f"no capture in {place}",
            where=place,
            fix=f"a capture is a file that ends in one of {', '.join(_SUFFIXES)}, or that and .gz",
        )
    hashes = _hashes([path for path, _ in found], None if cache is None else Path(cache))
    captures = [
        Capture(
            path=path,
            folder=folder,
            name=capture_name(path),
            attack=attack_name(path),
            sha256=sha256,
        )
        for (path, folder), sha256 in zip(found, hashes, strict=True)
    ]
    return _without_repetitions(captures)


def capture_name(path: Path) -> str:
    """File name without suffixes.

    >>> capture_name(Path("test/rpm-accessory-1.csv.gz"))
    'rpm-accessory-1'
    """
    name = path.name.removesuffix(".gz")
    return name[: -len(Path(name).suffix)] if Path(name).suffix in _SUFFIXES else name


def attack_name(path: Path) -> str:
    """The name without its number.

    >>> attack_name(Path("test/rpm-accessory-1.csv.gz"))
    'rpm-accessory'
    """
    name = capture_name(path)
    return _NUMBER.sub("", name) or name


def content_hash(path: Path) -> str:
    """SHA-256 of the uncompressed content; of a damaged file, of what can be read."""
    digest = hashlib.sha256()
    for piece in Content(path):
        digest.update(piece)
    return digest.hexdigest()


def _bases(root: Path, datasets: Sequence[str]) -> list[Path]:
    if not root.exists():
        raise DataError(f"{root} does not exist", where=root, fix="check the path of the data")
    there = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    for name in datasets:
        if name not in there:
            raise DataError(
                f"no data set {name} in {root}{nearest(name, there)}",
                where=root,
                fix=f"there are: {', '.join(there) or 'none'}",
            )
    return [root / name for name in datasets] or [root]


def _files(base: Path) -> list[Path]:
    if base.is_file():
        return [base]
    return [
        path
        for path in sorted(base.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(base).parts)
        and Path(path.name.removesuffix(".gz")).suffix.lower() in _SUFFIXES
    ]


def _hashes(paths: Sequence[Path], cache: Path | None) -> list[str]:
    file = None if cache is None else cache / _CACHE
    known = _cached(file)
    fresh: dict[str, str] = {}
    keys = []
    for path in paths:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_mtime_ns}|{stat.st_size}"
        fresh[key] = known.get(key) or content_hash(path)
        keys.append(key)
    if file is not None and not fresh.keys() <= known.keys():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json_atomic(file, {**known, **fresh})
    return [fresh[key] for key in keys]


def _cached(file: Path | None) -> dict[str, str]:
    if file is None or not file.exists():
        return {}
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a cache: what is damaged is made again
    return known if isinstance(known, dict) else {}


def _without_repetitions(captures: Sequence[Capture]) -> Captures:
    def order(capture: Capture) -> tuple[bool, str, str, str]:
        is_test = capture.folder.startswith("test")
        return is_test, capture.folder, capture.name, str(capture.path)

    kept: dict[str, Capture] = {}
    dropped = []
    for capture in sorted(captures, key=order):
        if capture.sha256 in kept:
            dropped.append(Dropped(capture=capture, kept=kept[capture.sha256]))
        else:
            kept[capture.sha256] = capture
    return Captures(kept=tuple(kept.values()), dropped=tuple(dropped))


def _label(capture: Capture) -> str:
    return f"{capture.path.parent.parent.name}/{capture.folder}/{capture.path.name}"
