"""Names of seven parts that say what a canbus run is, parsed and never registered. No torch here.

    {modality}_{dataset}_{learning_type}_{model}_{model_size}_{distillation}_{training_mode}

for example `automotive_set04_classifier_gat_teacher_no_all_samples`. The parts are the folders of
the run, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import product
from typing import Any, Literal, get_args

from graphwright.errors import ConfigError, nearest

__all__ = ["MODELS_OF", "Name", "all_names", "parse_name", "problems_of"]

Modality = Literal["automotive", "internet", "watertreatment"]
Dataset = Literal["traffic", "hcrlch", "hcrlsa", "set01", "set02", "set03", "set04", "own"]
LearningType = Literal["unsupervised", "classifier", "fusion"]
Model = Literal["vgae", "gat", "dqn", "mlp", "bandit", "average", "max"]
ModelSize = Literal["teacher", "student", "intermediate", "huge", "tiny"]
Distillation = Literal["no", "standard", "topology_preserving"]
TrainingMode = Literal["all_samples", "normals_only", "curriculum_classifier", "curriculum_random"]

DATASETS = {
    "automotive": ("traffic", "hcrlch", "hcrlsa", "set01", "set02", "set03", "set04", "own"),
    "internet": ("own",),
    "watertreatment": ("own",),
}
MODELS_OF = {
    "unsupervised": ("vgae",),
    "classifier": ("gat",),
    "fusion": ("dqn", "mlp", "bandit", "average", "max"),
}


@dataclass(frozen=True)
class Name:
    """The seven parts."""

    modality: Modality
    dataset: Dataset
    learning_type: LearningType
    model: Model
    model_size: ModelSize
    distillation: Distillation
    training_mode: TrainingMode

    def __str__(self) -> str:
        return "_".join(astuple(self))


CHOICES: dict[str, tuple[Any, ...]] = {
    "modality": get_args(Modality),
    "dataset": get_args(Dataset),
    "learning_type": get_args(LearningType),
    "model": get_args(Model),
    "model_size": get_args(ModelSize),
    "distillation": get_args(Distillation),
    "training_mode": get_args(TrainingMode),
}


def parse_name(text: str) -> Name:
    """The parts of a name.

    Raises:
        ConfigError: a part that is unknown (the nearest is named) or missing, or a combination
            without sense, with the reason.
    """
    parts: list[Any] = []
    rest = text
    for field in fields(Name):
        part = _first(rest, CHOICES[field.name], field.name, text)
        parts.append(part)
        rest = rest[len(part) + 1 :]
    if rest:
        raise ConfigError(f"{text}: {rest!r} is left over behind the seven parts", fix=_HELP)
    name = Name(*parts)
    if problems := problems_of(name):
        raise ConfigError(f"{text}: {problems[0]}", fix=_HELP)
    return name


def all_names() -> Iterator[Name]:
    """Every valid name."""
    for parts in product(*CHOICES.values()):
        name = Name(*parts)
        if not problems_of(name):
            yield name


def problems_of(name: Name) -> list[str]:
    """Why a combination makes no sense; empty where it does."""
    problems = []
    if name.dataset not in DATASETS[name.modality]:
        known = ", ".join(DATASETS[name.modality])
        problems.append(f"{name.modality} has no data set {name.dataset}, only {known}")
    if name.model not in MODELS_OF[name.learning_type]:
        rivals = ", ".join(MODELS_OF[name.learning_type])
        problems.append(f"{name.learning_type} needs one of {rivals}, not {name.model}")
    if name.distillation != "no" and name.model_size == "teacher":
        problems.append("a teacher cannot be distilled from itself: choose another model_size")
    if name.training_mode == "normals_only" and name.learning_type != "unsupervised":
        problems.append("normals_only leaves a classifier with one class: use all_samples")
    if name.training_mode.startswith("curriculum") and name.learning_type == "unsupervised":
        problems.append("a curriculum orders normal and attack windows; vgae is told of no attack")
    return problems


_HELP = "graphwright list canbus prints all valid names"


def _first(rest: str, known: tuple[str, ...], field: str, text: str) -> str:
    found = [part for part in known if rest == part or rest.startswith(f"{part}_")]
    if found:
        return max(found, key=len)
    word = rest.split("_")[0]
    what = f"{word!r} is no {field}{nearest(word, known)}" if word else f"no {field} is given"
    raise ConfigError(f"{text}: {what}", fix=f"{field} is one of {', '.join(known)}")
