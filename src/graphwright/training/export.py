"""A trained model as one ONNX file with free sizes, checked before it is left behind.

`NAME.onnx` reads what `OnnxForm` says, for any number of graphs, nodes, edges, sets or positions,
and answers in the user's units. `NAME.json` beside it says what every input and output is and holds
what was fitted on the training split; the file's own metadata (`graphwright`) say the same.

Legend: B, N, E, … are names of free sizes (`Port.shape`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from graphwright.config import io
from graphwright.errors import BundleError, MissingExtraError, RunError
from graphwright.runs.files import atomic_path, read_json, write_json_atomic
from graphwright.training.bundle import Bundle
from graphwright.training.export_check import Checked, check_file, runtime_version
from graphwright.training.export_form import OnnxForm
from graphwright.training.export_trace import onnx_bytes

__all__ = ["FORMAT", "Exported", "export_onnx", "form_of"]

FORMAT = "graphwright.onnx"
_VERSION = 1
_LARGEST_MB = 1900  # one protobuf message holds 2 GB


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        model: the ONNX file.
        description: the JSON beside it.
        form: inputs and outputs.
        checked: None where onnxruntime is not installed.
    """

    model: Path
    description: Path
    form: OnnxForm
    checked: Checked | None


def form_of(bundle: Bundle, dtype: torch.dtype = torch.float32) -> OnnxForm:
    """A bundle's model as the file will have it: in float32, on the CPU, in evaluation mode.

    Args:
        bundle: of `load_bundle`; its own model is not changed.
        dtype: float64 for what the model says beside rounding.

    Raises:
        ConfigError: this model cannot be exported, and why.
    """
    model = copy.deepcopy(bundle.model).to("cpu", dtype).eval()
    return bundle.task.onnx_form(model, bundle.state)


def export_onnx(bundle: Bundle, out: Path) -> Exported:
    """Write a bundle's model as ONNX (opset 18), and check it in onnxruntime where that is there.

    Args:
        bundle: of `load_bundle`.
        out: `NAME.onnx`, or a folder that gets `model.onnx`.

    Raises:
        MissingExtraError: the packages of the extra `onnx` are not installed.
        ConfigError: this model cannot be exported, and why.
        BundleError: it cannot be translated, or the file answers otherwise than the model; then no
            file is left.
        RunError: the file exists, or the disk is full.
    """
    _need_packages()
    path = out if out.suffix == ".onnx" else out / "model.onnx"
    beside = path.with_suffix(".json")
    _refuse_existing(path, beside)
    form = form_of(bundle)
    _refuse_large(form)
    description = _description(bundle, form)
    content = onnx_bytes(form, description)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
        checked = _checked(temporary, form, bundle) if runtime_version() else None
        told = None if checked is None else checked.to_json()
        write_json_atomic(beside, {**description, "checked": told})
    return Exported(path, beside, form, checked)


def _need_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "onnx", "ONNX export") from error


def _refuse_existing(path: Path, beside: Path) -> None:
    if path.exists():
        raise RunError("the output exists", where=path, fix="choose another -o")
    # left by an export that was killed in between: ours, and replaced
    if beside.exists() and _format_of(beside) != FORMAT:
        raise RunError(
            "a file stands where the description of the model is written",
            where=beside,
            fix="choose another -o",
        )


def _format_of(path: Path) -> Any:
    try:
        found = read_json(path)
    except RunError:
        return None  # damaged, so none of ours: they are written whole
    return found.get("format") if isinstance(found, dict) else None


def _refuse_large(form: OnnxForm) -> None:
    tensors = [*form.module.parameters(), *form.module.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
    if size > _LARGEST_MB:
        raise BundleError(
            f"the weights take {size:.0f} MB, and one ONNX file holds {_LARGEST_MB} MB",
            fix="graphwright export --format bundle",
        )


def _checked(path: Path, form: OnnxForm, bundle: Bundle) -> Checked:
    """What the comparison found; an error where that is too much."""
    found = check_file(path, form, form_of(bundle, torch.float64))
    if found.passed:
        return found
    name, worst = found.worst
    raise BundleError(
        f"the ONNX file answers otherwise than the model: {name} differs by {worst:.1e} of its "
        f"scale, {found.allowed(name):.0e} is allowed; the file was not kept",
        where=f"{bundle.task.config.task}, {found.runtime}",
        fix="graphwright export --format bundle, and please report this model's configuration",
    )


def _description(bundle: Bundle, form: OnnxForm) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": _VERSION,
        "task": bundle.task.config.task,
        "inputs": [port.to_json() for port in form.inputs],
        "outputs": [port.to_json() for port in form.outputs],
        "preprocessing": list(form.preprocessing),
        "state": _jsonable(form.state),
        "config": io.to_dict(bundle.task.config),
        "about": bundle.about,
    }


def _jsonable(state: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(state))
