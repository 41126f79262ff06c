"""The genes task's configuration and its presets. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from graphwright.config.levels import as_level
from graphwright.config.schema import TaskConfig
from graphwright.tasks.genes.data_config import (
    CallsSource,
    GenesData,
    PlantedSource,
    SplitConfig,
    TableSource,
)
from graphwright.tasks.genes.model_configs import GeneInteractionConfig, LossConfig

__all__ = ["SCHEMA", "GenesConfig", "preset", "preset_names"]


@dataclass(frozen=True, kw_only=True)
class GenesConfig(TaskConfig):
    """Everything a genes run depends on."""

    task: Literal["genes"] = "genes"
    data: GenesData = field(default_factory=GenesData)
    model: GeneInteractionConfig = field(default_factory=GeneInteractionConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    groups: ClassVar[dict[str, dict[str, object]]] = {
        "data.source": {
            "planted": PlantedSource(),
            "table": TableSource(path="sets.tsv"),
            "calls": CallsSource(path="calls.tsv"),
        },
    }
    carried: ClassVar[dict[str, tuple[str, ...]]] = {}

    def levels(self) -> tuple[str, ...]:
        """genes / data set / split / model."""
        source = self.data.source
        name = "planted" if isinstance(source, PlantedSource) else Path(source.path).name
        return (
            self.task,
            as_level(name.split(".")[0]),
            self.data.split.by,
            model_level(self.model),
        )

    def with_model(self, name: str) -> TaskConfig | None:
        """See `TaskConfig.with_model`: another shape of the model, with the same training."""
        from graphwright.tasks.genes.recipes import VARIANTS, with_variant

        return with_variant(self, name) if name in VARIANTS else None

    def problems(self) -> list[str]:
        """See `TaskConfig.problems`."""
        return [
            *_data_problems(self.data),
            *_split_problems(self.data.split),
            *_model_problems(self.model),
        ]


SCHEMA = GenesConfig


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every preset; the first is the default."""
    from graphwright.tasks.genes.recipes import preset_names as names

    return names()


def preset(name: str) -> GenesConfig:
    """The configuration of a preset."""
    from graphwright.tasks.genes.recipes import make_preset

    return make_preset(name)


def model_level(model: GeneInteractionConfig) -> str:
    """What a model is called in paths and tables: `gin_sum_gating`; `local` has no encoder over
    perturbed cells, but the same over the wild type."""
    parts: list[str] = [model.conv, model.aggregator, model.combination]
    parts += ["pairs"] * (model.local_head == "pairs" and model.combination != "global")
    parts += ["signed"] * model.signed
    parts += ["overlap"] * model.overlap + ["ridge"] * (model.base == "ridge")
    return "_".join(parts)


def _data_problems(data: GenesData) -> list[str]:
    problems = []
    if isinstance(data.source, TableSource) and not data.source.columns.label:
        problems.append("data.source.columns.label: name the column to predict (eps, tau)")
    if not isinstance(data.source, PlantedSource) and not data.networks.path:
        problems.append("data.networks.path: a table of gene sets needs networks of its genes")
    return problems


def _split_problems(split: SplitConfig) -> list[str]:
    held = split.val + split.test
    problems = []
    if held >= 1:
        problems.append(f"data.split: val + test = {held:g} leaves nothing to train on")
    for name, share in (("val", split.val), ("test", split.test)):
        if share == 0:
            problems.append(f"data.split.{name}=0: a training needs one to look at")
    return problems


def _model_problems(model: GeneInteractionConfig) -> list[str]:
    problems = []
    if model.embedding == "given":
        problems.append(
            "model.embedding=given: these data bring no features of genes; it is for models that "
            "are built in Python"
        )
    shared = {"set_heads": model.set_heads}
    if model.conv == "gatv2":
        shared["conv_heads"] = model.conv_heads
    if model.aggregator == "cross_attention":
        shared["aggregation_heads"] = model.aggregation_heads
    for name, heads in shared.items():
        if model.hidden_dim % heads:
            problems.append(
                f"model.{name}={heads}: the heads share model.hidden_dim={model.hidden_dim}, "
                "which must be a multiple"
            )
    return problems
