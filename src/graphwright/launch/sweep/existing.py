"""Which configurations have a run already, found in one pass over the folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from graphwright.config import io
from graphwright.config.check import check
from graphwright.config.presets import task_module
from graphwright.config.schema import TaskConfig
from graphwright.errors import GraphwrightError
from graphwright.runs.folder import CONFIG_NAME, load_yaml
from graphwright.runs.status import read_status

__all__ = ["existing_run", "existing_runs", "remove_remains"]


def existing_run(config: TaskConfig, runs_root: Path) -> Path | None:
    """The finished run of exactly this configuration, or else one that can be resumed."""
    return existing_runs([config], runs_root)[0]


def existing_runs(configs: Sequence[TaskConfig], runs_root: Path) -> list[Path | None]:
    """`existing_run` of each of many configurations; every folder is read once.

    A folder that cannot be read is no run of these configurations.
    """
    runs_root = runs_root.expanduser().absolute()
    texts = [io.to_yaml(config) for config in configs]
    folders: dict[str, list[Path]] = {}
    for parent in dict.fromkeys(runs_root.joinpath(*config.levels()) for config in configs):
        for path in sorted(parent.glob("run_*")):
            with suppress(OSError, UnicodeDecodeError):  # no configuration yet: it is being made
                folders.setdefault((path / CONFIG_NAME).read_text(), []).append(path)
    missing = {t: c for t, c in zip(texts, configs, strict=True) if t not in folders}
    others = [path for text in folders.keys() - set(texts) for path in folders[text]]
    if missing and others:
        folders |= _same_but_written_otherwise(missing, others)
    return [_best(folders.get(text, [])) for text in texts]


def remove_remains(configs: Iterable[TaskConfig], runs_root: Path, pid: int) -> None:
    """Remove what a killed process of this machine left of runs that it was just making."""
    for parent in dict.fromkeys(runs_root.joinpath(*config.levels()) for config in configs):
        for path in parent.glob(f"run_*/.*.tmp-{pid}-*"):
            if not (path.parent / CONFIG_NAME).exists():
                with suppress(OSError):
                    path.unlink()
                    path.parent.rmdir()


def _same_but_written_otherwise(
    configs: dict[str, TaskConfig], paths: Sequence[Path]
) -> dict[str, list[Path]]:
    """A 50 for a 50.0, or the default of a key that is new since."""
    by_digest: dict[str, list[Path]] = {}
    for path in paths:
        if (digest := _digest(path / CONFIG_NAME)) is not None:
            by_digest.setdefault(digest, []).append(path)
    return {
        text: by_digest.get(io.digest(check(type(config), io.to_dict(config))), [])
        for text, config in configs.items()
    }


@lru_cache(maxsize=100_000)  # the configuration of a run never changes
def _digest(path: Path) -> str | None:
    try:
        tree = load_yaml(path)
        return io.digest(check(task_module(tree["task"], "config").SCHEMA, tree))
    except (GraphwrightError, KeyError):
        return None


def _best(paths: Iterable[Path]) -> Path | None:
    """The first finished run, else the newest."""
    found = sorted(paths)
    finished = (path for path in found if read_status(path).state == "finished")
    return next(finished, found[-1] if found else None)
