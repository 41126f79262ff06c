"""The nas task's configuration and its presets. No torch here.

To add a predictor: a dataclass in `model_configs.py`, a module in `models/`, and, where it is
trained in a way of its own, a line in `recipes.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphwright.config.schema import TaskConfig
from graphwright.tasks.nas.data_config import NasData, TableSource, TinySource
from graphwright.tasks.nas.model_configs import MODELS, DagEnsembleConfig, FRNASConfig, ModelConfig

__all__ = ["SCHEMA", "LossConfig", "NasConfig", "preset", "preset_names"]


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What is minimised (`losses.py`)."""

    name: Literal["mse", "pairwise_hinge", "list_mle", "warp"] = "mse"
    margin: Annotated[float, Field(ge=0)] = 0.1
    """Of pairwise_hinge and warp, in units of the transformed labels."""
    anchor: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the squared error beside a ranking loss, which alone fixes no unit: with it,
    predictions are labels and not only an order."""
    relation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of the relation between the embeddings of both directions; 0 is off."""
    relation_kind: Literal["distances", "instance_graph"] = "distances"
    """distances: MSE(D_f, D_r); instance_graph: the form of the FR-NAS paper (IRG)."""


@dataclass(frozen=True, kw_only=True)
class NasConfig(TaskConfig):
    """Everything a nas run depends on."""

    task: Literal["nas"] = "nas"
    data: NasData = field(default_factory=NasData)
    model: ModelConfig = field(default_factory=DagEnsembleConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    groups: ClassVar[dict[str, dict[str, object]]] = {
        "model": MODELS,
        "data.source": {"tiny": TinySource(), "table": TableSource(path="table.csv")},
    }
    carried: ClassVar[dict[str, tuple[str, ...]]] = {}

    def levels(self) -> tuple[str, ...]:
        """nas / data set / metric / number of training architectures / model."""
        source, train = self.data.source, self.data.split.train
        amount = f"train_{train:g}" if self.data.split.by == "random" else f"train_{train:g}_group"
        if isinstance(source, TinySource):
            return (self.task, "tiny", "val_acc", _level(amount), self.model.name)
        metric = source.metrics[0] if source.metrics else "no_metric"
        stem = Path(source.path).name.split(".")[0]
        return (self.task, _level(stem), _level(metric), _level(amount), self.model.name)

    def with_model(self, name: str) -> TaskConfig | None:
        """See `TaskConfig.with_model`: a recipe, where there is one of this name."""
        from graphwright.tasks.nas.recipes import RECIPES, with_recipe

        return with_recipe(self, name) if name in RECIPES else None

    def problems(self) -> list[str]:
        """See `TaskConfig.problems`."""
        problems = []
        split, source = self.data.split, self.data.source
        shares = [part for part in (split.train, split.val, split.test) if 0 < part <= 1]
        if sum(shares) > 1 + 1e-9:
            problems.append(f"data.split: the shares add up to {sum(shares):g}, more than all")
        if not split.train:
            problems.append("data.split.train: nothing to train on")
        if isinstance(source, TableSource) and not source.metrics:
            problems.append("data.source.metrics: name the column to predict")
        two_encoders = (FRNASConfig, DagEnsembleConfig)
        if self.loss.relation and not isinstance(self.model, two_encoders):
            problems.append(
                f"loss.relation: {self.model.name} has no two encoders; use fr_nas or dag_ensemble"
            )
        return problems


SCHEMA = NasConfig


def preset_names() -> list[tuple[str, str]]:
    """(name, one line) of every preset; the first is the default."""
    from graphwright.tasks.nas.recipes import preset_names as names

    return names()


def preset(name: str) -> NasConfig:
    """The configuration of a preset."""
    from graphwright.tasks.nas.recipes import make_preset

    return make_preset(name)


def _level(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_") or "data"
