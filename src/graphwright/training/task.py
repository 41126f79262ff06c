"""What a task offers to the floor.

The loop, evaluation, prediction and export know a task only through this class. It serves all
regimes, because nothing in it speaks of graphs: a sample source yields batches of packed graphs
(geometry, nas, canbus), of gene sets beside one shared graph that lives in the model (genes), or of
token windows (language).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from torch import Tensor, nn

from graphwright.config.schema import TaskConfig
from graphwright.data.limits import InputLimits
from graphwright.data.source import IndexArray, SampleSource
from graphwright.errors import ConfigError
from graphwright.training.export_form import OnnxForm

__all__ = [
    "Columns",
    "Evaluation",
    "Infer",
    "InputForm",
    "RawInput",
    "Stage",
    "StepOutput",
    "Task",
    "TaskData",
    "new_model",
]

Stage = Literal["train", "val"]
Columns = dict[str, np.ndarray]  # one row a sample
Infer = Callable[[SampleSource], Columns]  # the trained model over a whole source

C = TypeVar("C", bound=TaskConfig)
L = TypeVar("L")


@dataclass(frozen=True)
class StepOutput:
    """One batch's loss.

    Attributes:
        loss: scalar to minimise, with gradient in training.
        metrics: scalar batch means, detached; averaged over an epoch with `weight`.
        weight: the number of samples that the means are over.
        samples: rows kept of a validation batch, one a sample, for `Task.validation_metrics`.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor]
    weight: int
    samples: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TaskData:
    """Data ready to train on.

    Attributes:
        sources: "train", "val" and "test".
        state: JSON; everything fitted on the training split that a model needs to be rebuilt and to
            read raw input (vocabularies, scales, thresholds). It travels in checkpoints' bundles.
        digest: SHA-256 of the data.
        split_digest: SHA-256 of the split's indices.
        summary: counts a person wants to see: sizes, rejected rows, statistics.
        buffers: tensors that a model gets from the data (the networks of a shared graph), by the
            name of its buffer. `build_model` makes room for them from `state`; they are saved and
            shipped with the weights.
    """

    sources: Mapping[str, SampleSource]
    state: dict[str, Any]
    digest: str
    split_digest: str
    summary: dict[str, Any] = field(default_factory=dict)
    buffers: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What evaluating one split gives; `report` the JSON described in docs/run_folder.md."""

    report: dict[str, Any]
    predictions: Columns


@dataclass(frozen=True)
class RawInput:
    """A user's own file, ready for the model; `rejected` says which rows were not, and why."""

    source: SampleSource
    names: list[str]
    rejected: list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class InputForm:
    """What `graphwright serve` takes for a model: files of a user, and JSON.

    Attributes:
        suffixes: endings of file names, as `read_input` tells formats by them; "" is any name.
        files: what such a file holds, in a line.
        json: what the JSON looks like, in a line.
        example: such JSON, small, that the model can answer; None where only files are taken.
        from_json: from decoded JSON to what `Task.read_input` takes; raises DataError.
    """

    suffixes: tuple[str, ...] = ("",)
    files: str = "a file that `graphwright predict` reads"
    json: str = ""
    example: Any = None
    from_json: Callable[[Any], Any] | None = None


class Task(ABC, Generic[C, L]):
    """One application: its data, model, loss, evaluation and predictions.

    A `model` that is handed in is the `nn.Module` that `build_model` made (compiled, perhaps), and
    a `batch` is what the task's own sources yield.

    Args:
        config: the task's configuration.
        data_root: folder in which prepared data are kept and found again by their digest.
        links: run folders that this run builds on, by the role they have (`TaskConfig.requires`).
            Empty where a trained model is only used: then nothing may depend on them.
    """

    monitor: ClassVar[str] = "val_loss"
    higher_is_better: ClassVar[bool] = False
    limits: InputLimits | None = None
    """Of a user's input: set where strangers send it. Nothing of theirs may then be executed."""

    def __init__(self, config: C, data_root: Path, links: Mapping[str, Path] | None = None) -> None:
        self.config = config
        self.data_root = data_root
        self.links = dict(links or {})

    @abstractmethod
    def load(self) -> L:
        """Read and validate the data, or open what an earlier run prepared from the same."""

    @abstractmethod
    def split(self, loaded: L) -> TaskData:
        """Split, and fit everything that is fitted on the training split."""

    @abstractmethod
    def build_model(self, state: Mapping[str, Any]) -> nn.Module:
        """A freshly initialised model for data with this state.

        `TaskData.buffers` are not in it yet (`new_model`), nor the weights of a bundle.
        """

    @abstractmethod
    def step(self, model: Any, batch: Any, stage: Stage) -> StepOutput:
        """Loss and metrics of one batch."""

    @abstractmethod
    def predict(self, model: Any, batch: Any) -> dict[str, Tensor]:
        """Predictions in the user's units, one row a sample."""

    def explain(self, model: Any, batch: Any) -> dict[str, Tensor]:
        """Further columns for a user's own input: what mattered. Empty if there are none.

        Apart from `predict`, since they may cost many times more than the predictions.
        """
        return {}

    def epoch_samples(self, data: TaskData) -> Callable[[int], IndexArray] | None:
        """Training samples of each epoch (a curriculum), a pure function; None: all of them."""
        return None

    def after_training(self, model: Any, data: TaskData) -> None:
        """Fit what needs trained weights (a threshold, a calibration) into buffers of the model.

        It is called on the weights that are shipped, in eval mode, and must be deterministic.
        """

    def validation_metrics(self, samples: Columns) -> dict[str, float]:
        """What only a whole validation split can tell (a rank correlation), from its samples."""
        return {}

    def finish_predictions(self, columns: Columns) -> Columns:
        """Columns that need the whole input (a rank), from the predictions of all samples."""
        return columns

    def onnx_form(self, model: Any, state: Mapping[str, Any]) -> OnnxForm:
        """The model as tensors in and tensors out, for an ONNX file (`training/export.py`).

        Args:
            model: trained, in float32 on the CPU, in eval mode; the caller's own copy.
            state: `TaskData.state`.

        Raises:
            ConfigError: this model cannot be exported, and why.
        """
        raise ConfigError(
            f"models of the task {self.config.task} cannot be exported to ONNX: the task does not "
            "say which tensors they read",
            fix="--format bundle",
        )

    @abstractmethod
    def evaluate(self, infer: Infer, data: TaskData, split: str) -> Evaluation:
        """Metrics of a split, beside the baselines."""

    @abstractmethod
    def read_input(self, raw: Any, state: Mapping[str, Any]) -> RawInput:
        """A user's file (a path), or what the task takes instead of one, as a source."""

    def input_form(self, state: Mapping[str, Any]) -> InputForm:
        """What a service takes for a model with this state, apart from any readable file."""
        return InputForm()

    @abstractmethod
    def read_labelled(self, path: Path, state: Mapping[str, Any]) -> TaskData:
        """A file with answers as the "test" source of a model with this state."""

    @abstractmethod
    def proof(self, model: Any, data: TaskData) -> dict[str, Any]:
        """Properties shown on the trained weights (equivariance, say); empty if there are none."""

    def counts(self, batch: Any) -> dict[str, int]:
        """What rates are measured in: samples, and nodes or tokens where a task has them."""
        return {"samples": batch.num_samples}


def new_model(task: Task[Any, Any], data: TaskData) -> nn.Module:
    """A freshly initialised model that has the tensors of these data.

    Raises:
        ValueError: one of `data.buffers` has no place in the model's saved buffers, or another
            shape or type than that (floating types are converted): task and model do not fit.
    """
    model = task.build_model(data.state)
    saved = model.state_dict()  # a buffer that is not saved would be missing in the bundle
    places = {name: buffer for name, buffer in model.named_buffers() if name in saved}
    for name, tensor in data.buffers.items():
        place = places.get(name)
        if place is None:
            raise ValueError(f"the model has no saved buffer {name}")
        same_type = place.dtype == tensor.dtype or (
            place.is_floating_point() and tensor.is_floating_point()
        )
        if place.shape != tensor.shape or not same_type:
            raise ValueError(
                f"{name}: the data have {tensor.dtype} {tuple(tensor.shape)}, "
                f"the model {place.dtype} {tuple(place.shape)}"
            )
        place.copy_(tensor)
    return model
