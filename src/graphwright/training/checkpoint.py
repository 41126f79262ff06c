"""Complete training state on disk: what an exact resume needs, and nothing that must be unpickled.

A checkpoint holds tensors, numbers and strings only, so that it loads with `weights_only=True`.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from graphwright.errors import BundleError
from graphwright.runs.files import atomic_path

__all__ = ["Checkpoints", "load_checkpoint"]

FORMAT = 1


class Checkpoints:
    """`last.ckpt` and the one best checkpoint of a run.

    Args:
        folder: the run's `checkpoints/`.
        config_digest: of the run's configuration; written into every checkpoint.
        writes: whether this process saves, or another one for it.
    """

    def __init__(self, folder: Path, config_digest: str, *, writes: bool = True) -> None:
        self.folder = folder
        self._config_digest = config_digest
        self._writes = writes

    @property
    def last(self) -> Path:
        """Where training goes on from."""
        return self.folder / "last.ckpt"

    def best(self) -> Path | None:
        """The best checkpoint by the monitored value, if validation has run."""
        found = sorted(self.folder.glob("best-*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
        return found[-1] if found else None

    def save_last(self, state: dict[str, Any]) -> None:
        """Replace `last.ckpt`; a kill at any instant leaves the old or the new one, whole."""
        if self._writes:
            self._save(state, self.last)

    def save_best(self, state: dict[str, Any], *, epoch: int, value: float) -> None:
        """Write the new best under its own name, then drop the one that it replaces."""
        if not self._writes:
            return
        path = self.folder / f"best-{epoch:02d}-{value:.3f}.ckpt"
        self._save(state, path)
        for other in self.folder.glob("best-*.ckpt"):
            if other != path:
                other.unlink()

    def _save(self, state: dict[str, Any], path: Path) -> None:
        self.folder.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            torch.save({"format": FORMAT, "config_digest": self._config_digest, **state}, temporary)


def load_checkpoint(path: Path, config_digest: str) -> dict[str, Any]:
    """Read a checkpoint of the run with this configuration.

    Raises:
        BundleError: missing, damaged, holding pickled objects, of another format or of another
            configuration.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        raise BundleError(
            "this is not a whole checkpoint file (and a bare pickle is never read)",
            where=path,
            fix="use a checkpoint that graphwright wrote",
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BundleError("there is no such checkpoint", where=path) from None
    except pickle.UnpicklingError:
        raise BundleError(
            "this file holds pickled Python objects, which could run any code; it is not read",
            where=path,
            fix="use a checkpoint or bundle that graphwright wrote",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"this checkpoint cannot be read: {reason}", where=path) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise BundleError("this is not a graphwright checkpoint", where=path)
    if state["config_digest"] != config_digest:
        raise BundleError(
            f"this checkpoint belongs to configuration {state['config_digest'][:12]}, "
            f"the run has {config_digest[:12]}",
            where=path,
            fix="start a new run for another configuration",
        )
    return state
