"""Files that are whole or absent: written under a temporary name, synced, then renamed.

A process that is killed leaves at most a hidden `.NAME.tmp-PID-xxxx`, which nothing reads and
`remove_stale_temporaries` sweeps up. A full or read-only disk is a `RunError` that says so.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from graphwright.errors import RunError

__all__ = [
    "atomic_path",
    "non_finite_name",
    "read_json",
    "remove_stale_temporaries",
    "storage_errors",
    "write_bytes_atomic",
    "write_json_atomic",
    "write_text_atomic",
]

_TEMPORARY = re.compile(r"\..+\.tmp-(?P<pid>\d+)-[0-9a-f]{8}")
_LONGEST_NAME = 200  # of the final name inside a temporary one: file systems allow 255 bytes

_FULL = ("the disk is full", "free some space, or choose another place with --runs-root")
_READ_ONLY = (
    "no permission to write",
    "choose a folder you may write to, with --runs-root or GRAPHWRIGHT_RUNS",
)
_NOT_A_FOLDER = ("a file stands where a folder is needed", "move that file, or choose another root")
_EXPLANATIONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("your disk quota is used up", _FULL[1]),
    errno.EROFS: ("the file system is read-only", _READ_ONLY[1]),
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
    errno.ENOTDIR: _NOT_A_FOLDER,
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENAMETOOLONG: ("the name is too long for this file system", "use shorter names"),
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` in the block into a `RunError` about `path`: what, where and the fix."""
    try:
        yield
    except OSError as error:
        known = _EXPLANATIONS.get(error.errno or 0)
        reason, fix = known if known else (str(error), None)
        raise RunError(f"cannot write {path.name}: {reason}", where=path, fix=fix) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well, else removed.

    The temporary name has no usable suffix, so tell a library that guesses from it (matplotlib,
    numpy) the format. The parent is made if only the last folder of it is missing.

    Raises:
        RunError: the disk is full or read-only, or the parent cannot be a folder.
    """
    path = Path(path)
    unique = f"tmp-{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name[:_LONGEST_NAME]}.{unique}")
    try:
        with storage_errors(path):
            path.parent.mkdir(exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):  # gone after the rename; a failed write must show its own error
            temporary.unlink()


def write_bytes_atomic(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a whole file or nothing; `mode` are its permissions (by default those of umask).

    Raises:
        RunError: the disk is full or read-only.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        if mode is not None:
            temporary.chmod(mode)


def write_text_atomic(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write a whole UTF-8 file or nothing; see `write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode(), mode=mode)


def write_json_atomic(path: Path, obj: Any) -> None:
    """Write strict JSON, indented. Numpy scalars become numbers and paths strings; NaN and the
    infinities become the strings "NaN", "Infinity", "-Infinity", which `float()` reads back.

    Raises:
        RunError: the disk is full or read-only.
        TypeError: `obj` holds something that is not plain data.
    """
    text = json.dumps(_strict(obj), indent=1, ensure_ascii=False, allow_nan=False)
    write_text_atomic(path, text + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: the file is missing, unreadable or damaged.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise RunError(f"there is no {path.name}", where=path.parent) from error
    except OSError as error:
        raise RunError(f"cannot read {path.name}: {error.strerror}", where=path) from error
    except ValueError as error:
        raise RunError(f"{path.name} is damaged: {error}", where=path) from error


def remove_stale_temporaries(folder: Path) -> list[Path]:
    """Remove what killed processes left in `folder` and below; returns what was removed.

    Temporary files of living processes stay. Call it with the run's lock held: a process on
    another machine that writes here at the same moment would not be seen.
    """
    removed = []
    for path in Path(folder).rglob(".*.tmp-*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _is_being_written(path, int(match["pid"])):
            with suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed


def non_finite_name(value: float) -> str:
    """How NaN and the infinities are spelt in our JSON files."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _is_being_written(path: Path, pid: int) -> bool:
    try:
        # a process younger than the file only inherited the number of the one that wrote it
        return psutil.Process(pid).create_time() <= path.stat().st_mtime + 1.0
    except psutil.AccessDenied:
        return True
    except (psutil.Error, OSError):
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _strict(obj: Any) -> Any:
    if isinstance(obj, Mapping):
        return {str(key): _strict(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return [_strict(value) for value in obj]
    if isinstance(obj, float):
        return float(obj) if math.isfinite(obj) else non_finite_name(obj)
    if obj is None or isinstance(obj, bool | int | str):
        return obj
    if isinstance(obj, os.PathLike):
        return os.fspath(obj)
    plain = getattr(obj, "tolist", None)  # numpy scalars and arrays, without importing numpy
    if plain is None:
        raise TypeError(f"{type(obj).__name__} is not plain data and has no JSON form")
    return _strict(plain())
