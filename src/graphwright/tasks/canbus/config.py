"""The canbus task's configuration, without torch; presets: `recipes.py`, names: `names.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from graphwright.config.schema import Requirement, TaskConfig
from graphwright.tasks.canbus.data_config import CanbusData
from graphwright.tasks.canbus.model_configs import (
    AverageConfig,
    BanditConfig,
    DistillationConfig,
    DQNConfig,
    GATConfig,
    MaxConfig,
    MLPConfig,
    VGAEConfig,
)
from graphwright.tasks.canbus.names import (
    MODELS_OF,
    Dataset,
    LearningType,
    Modality,
    ModelSize,
    Name,
    TrainingMode,
    problems_of,
)

__all__ = [
    "SCHEMA",
    "CanbusConfig",
    "CurriculumConfig",
    "PartsConfig",
    "ThresholdConfig",
    "preset",
    "preset_names",
]

Rate = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class ThresholdConfig:
    """When a score is an alarm."""

    validation_rate: Rate = 0.001
    """Share of the benign validation windows that may alarm: where the score of a trained VGAE or
    GAT becomes 0.5."""
    false_positive_rate: Rate = 0.01
    """The same where a threshold is fitted to the first seconds of a capture, which hold far fewer
    windows: 0.01 needs 99 of them, 0.02 needs 49."""
    calibrate_s: Annotated[float, Field(ge=0)] = 10.0
    """Seconds at the start of a capture that are known to be benign, for the rows of the report
    that are calibrated on them."""


@dataclass(frozen=True, kw_only=True)
class PartsConfig:
    """Runs that a run builds on; empty: the newest finished one of the matching name."""

    vgae: str = ""
    gat: str = ""
    fit_on: Literal["val", "train"] = "val"
    """Windows that the head of a fusion learns from. Of those that trained the parts it would learn
    to believe a classifier that knows them by heart."""


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """curriculum_classifier and curriculum_random: benign windows join bit by bit."""

    ratio_start: Annotated[float, Field(gt=0)] = 1.0
    """Benign windows for each attack window in the first epoch…"""
    ratio_end: Annotated[float, Field(gt=0)] = 10.0
    """…and in the last."""
    percentile_start: Annotated[float, Field(ge=0, le=100)] = 75.0
    """Percentile of the VGAE's score around which the benign windows are chosen at first…"""
    percentile_end: Annotated[float, Field(ge=0, le=100)] = 95.0
    """…and at the end."""


@dataclass(frozen=True, kw_only=True)
class CanbusConfig(TaskConfig):
    """Everything a canbus run depends on."""

    task: Literal["canbus"] = "canbus"
    modality: Modality = "automotive"
    dataset: Dataset = "traffic"
    learning_type: LearningType = "classifier"
    model: Annotated[
        VGAEConfig | GATConfig | DQNConfig | MLPConfig | BanditConfig | AverageConfig | MaxConfig,
        Field(discriminator="name"),
    ] = field(default_factory=GATConfig)
    model_size: ModelSize = "student"
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    training_mode: TrainingMode = "all_samples"
    data: CanbusData = field(default_factory=CanbusData)
    threshold: ThresholdConfig = field(default_factory=ThresholdConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    parts: PartsConfig = field(default_factory=PartsConfig)
    weakened: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Also learn from the attacks of the training captures with only about so many injected frames
    left in a window, one more set of attack windows each (`weakened.py`). Not in a curriculum,
    which counts windows itself, and not of use to a VGAE."""

    @property
    def name(self) -> Name:
        """The seven parts."""
        return Name(
            modality=self.modality,
            dataset=self.dataset,
            learning_type=self.learning_type,
            model=self.model.name,
            model_size=self.model_size,
            distillation=self.distillation.method,
            training_mode=self.training_mode,
        )

    def levels(self) -> tuple[str, ...]:
        """The seven parts of the name."""
        name = self.name
        return (
            name.modality,
            name.dataset,
            name.learning_type,
            name.model,
            name.model_size,
            name.distillation,
            name.training_mode,
        )

    def requires(self) -> Mapping[str, Requirement]:
        """A student's teacher, a fusion's parts, a curriculum's judge of what is hard."""
        from graphwright.tasks.canbus.recipes import required

        return required(self)

    def problems(self) -> list[str]:
        """See `TaskConfig.problems`."""
        problems = problems_of(self.name)
        if self.model.name not in MODELS_OF[self.learning_type]:
            return problems
        if self.data.window.stride > self.data.window.size:
            problems.append("data.window.stride: frames between windows would be in none of them")
        return problems


SCHEMA = CanbusConfig


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every valid name; the first is the default, on generated traffic."""
    from graphwright.tasks.canbus.recipes import preset_names as names

    return names()


def preset(name: str) -> CanbusConfig:
    """The configuration of a name."""
    from graphwright.tasks.canbus.recipes import make_preset

    return make_preset(name)
