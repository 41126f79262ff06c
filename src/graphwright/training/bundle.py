"""A trained model as a folder that predicts on raw input: weights.safetensors + model.json.

Nothing in it is pickled, and nothing but it is needed: configuration and everything that was fitted
on the training split (scales, vocabularies, thresholds) lie in `model.json`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from graphwright.config import io
from graphwright.config.check import check
from graphwright.config.presets import task_module
from graphwright.errors import BundleError
from graphwright.runs.files import atomic_path, read_json, write_json_atomic
from graphwright.runs.folder import MODEL_NAME
from graphwright.training.task import Task

__all__ = ["Bundle", "load_bundle", "save_bundle"]

FORMAT = 1
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A model that is ready to predict."""

    task: Task[Any, Any]
    model: nn.Module
    state: dict[str, Any]
    about: dict[str, Any]


def save_bundle(
    folder: Path,
    task: Task[Any, Any],
    model: nn.Module,
    state: dict[str, Any],
    about: dict[str, Any],
) -> Path:
    """Write a bundle; `model.json`, which makes it one, is written last.

    Args:
        folder: made if absent.
        task: gives the configuration.
        model: whose weights are shipped.
        state: `TaskData.state`.
        about: run, metrics, versions: for people.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
    description = {
        "format": FORMAT,
        "config": io.to_dict(task.config),
        "state": state,
        "weights_sha256": _sha256(folder / WEIGHTS),
        "about": about,
    }
    write_json_atomic(folder / MODEL_NAME, description)
    return folder


def load_bundle(folder: Path, data_root: Path) -> Bundle:
    """Rebuild the model of a bundle.

    Args:
        folder: the bundle, or a run folder that has one.
        data_root: where prepared data are kept.

    Raises:
        BundleError: no bundle, a damaged or foreign file, or weights that are a pickle.
    """
    if (folder / "bundle").is_dir():
        folder = folder / "bundle"
    description = _read_description(folder)
    name = str(description["config"].get("task"))
    schema = task_module(name, "config").SCHEMA
    config = check(schema, description["config"], where=folder / MODEL_NAME)
    task: Task[Any, Any] = task_module(name, "task").TASK(config, data_root)
    model = task.build_model(description["state"])
    weights = _read_weights(folder / WEIGHTS, description["weights_sha256"])
    dtype = next((t.dtype for t in weights.values() if t.is_floating_point()), None)
    try:
        model.to(dtype).load_state_dict(weights)
    except RuntimeError as error:
        raise BundleError(
            f"the weights do not fit the model: {str(error).splitlines()[-1].strip()}", where=folder
        ) from None
    return Bundle(task, model.eval(), description["state"], description["about"])


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / MODEL_NAME
    if not path.is_file():
        raise BundleError(
            "there is no bundle here",
            where=folder,
            fix="give a run folder or bundle; a run has one once it is finished",
        )
    description: dict[str, Any] = read_json(path)
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise BundleError(f"this is not a bundle of format {FORMAT}", where=path)
    expected = {"config": dict, "state": dict, "weights_sha256": str, "about": dict}
    for key, kind in expected.items():
        if not isinstance(description.get(key), kind):
            raise BundleError(f"the bundle is damaged: it has no {key}", where=path)
    return description


def _read_weights(path: Path, expected: str) -> dict[str, Any]:
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise BundleError("the bundle's weights are missing", where=path) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleError(
            f"not a safetensors file ({error}); pickled weights are never read", where=path
        ) from None
    if _sha256(path) != expected:
        raise BundleError("the weights are not those that the bundle was made with", where=path)
    return dict(weights)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
