"""What a search can be told. Frozen, keyword-only, no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from graphwright.config.check import check
from graphwright.config.io import parse_yaml
from graphwright.errors import ConfigError, nearest

__all__ = [
    "CommandTrainer",
    "FunctionTrainer",
    "GuideConfig",
    "PoolConfig",
    "SearchConfig",
    "TableTrainer",
    "TrainerConfig",
    "read_config",
]

Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class CommandTrainer:
    """A program that trains one architecture and says its value."""

    kind: Literal["command"] = "command"
    command: str
    """With {arch}, and {out}, {seed} or {number} where wanted; no shell reads it."""
    time_limit_s: Amount = 0.0
    """Of one training; 0 is none."""


@dataclass(frozen=True, kw_only=True)
class FunctionTrainer:
    """A Python function `(arch: str, seed: int) -> float`."""

    kind: Literal["function"] = "function"
    function: str
    """`package.module:function`; the folder of the command is on the path."""
    time_limit_s: Amount = 0.0


@dataclass(frozen=True, kw_only=True)
class TableTrainer:
    """A table in which every training has been done already: a simulated search."""

    kind: Literal["table"] = "table"
    path: str
    metric: str
    arch: tuple[str, ...] = ()
    """Columns that are the architecture, joined by ':'; empty: the first that a space can read."""
    test_metric: str = ""
    """Column by which the chosen architectures are judged, but never chosen."""


TrainerConfig = Annotated[
    CommandTrainer | FunctionTrainer | TableTrainer, Field(discriminator="kind")
]


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Which architectures may be asked for."""

    kind: Literal["space", "table", "generator", "sampled"] = "space"
    """space: all of it; table: those of the trainer's table; generator: what a function yields;
    sampled: new random ones, and mutations of the best, in every round."""
    space: str = ""
    """One of `spaces.SPACES`; of a generator or table it is found from the texts if empty."""
    generator: str = ""
    """`package.module:function`, yields texts of architectures."""
    size: Count = 0
    """sampled: how many in a round (0: 2,000); generator: at most so many (0: all)."""


@dataclass(frozen=True, kw_only=True)
class GuideConfig:
    """How a predictor is trained and how it picks."""

    recipe: str = "dag_ensemble"
    """One of `recipes.RECIPES`."""
    epochs: Count = 100
    """0: as many as the recipe has, which is meant for a single training and not for rounds."""
    overrides: tuple[str, ...] = ()
    """Settings of the predictor, as in `graphwright train`: model.members=4."""
    acquisition: Literal["mean", "ucb", "thompson"] = "ucb"
    beta: Amount = 0.5
    """ucb: mean + beta times the standard deviation."""
    explore: Share = 0.1
    """Share of every batch that is drawn at random."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Everything a search depends on."""

    task: Literal["nas_search"] = "nas_search"
    name: str = ""
    """Folder of its runs; empty: of pool and strategy."""
    strategy: Literal["predictor", "random", "regularised_evolution"] = "predictor"
    pool: PoolConfig = field(default_factory=PoolConfig)
    trainer: TrainerConfig
    guide: GuideConfig = field(default_factory=GuideConfig)
    initial: Some = 30
    """Trained before anything is learnt, drawn at random."""
    batch: Some = 20
    """Asked for together; they are all trained before the next are chosen."""
    budget: Some = 150
    """Trainings in all, failed ones among them."""
    population: Some = 50
    """regularised_evolution: how many are alive."""
    sample: Some = 10
    """regularised_evolution: how many compete to be the parent."""
    higher_is_better: bool = True
    workers: Some = 1
    """Trainings at the same time. Does not change what is asked."""
    seed: Count = 0
    sentinel: Amount = 1000.0
    """Values further from the first ones than so many of their quartile ranges are failures."""

    def levels(self) -> tuple[str, ...]:
        """The folders between the runs root and `search_000`, from the configuration alone."""
        return (self.task, self.name or self._described())

    def problems(self) -> list[str]:
        """Combinations that make no sense, one sentence each."""
        return [*self._pool_problems(), *self._strategy_problems()]

    def _pool_problems(self) -> list[str]:
        pool, problems = self.pool, []
        if pool.kind == "table" and not isinstance(self.trainer, TableTrainer):
            problems.append("pool.kind=table: needs a trainer that looks values up in a table")
        if pool.kind in ("space", "sampled") and not pool.space:
            problems.append(f"pool.space: name the space of the {pool.kind} pool")
        if (pool.kind == "generator") != bool(pool.generator):
            problems.append("pool.generator: belongs to pool.kind=generator, which needs it")
        return problems

    def _strategy_problems(self) -> list[str]:
        from graphwright.tasks.nas.recipes import RECIPES

        problems = []
        if self.guide.recipe not in RECIPES:
            near = nearest(self.guide.recipe, RECIPES)
            problems.append(f"guide.recipe={self.guide.recipe}: one of {', '.join(RECIPES)}{near}")
        if self.initial > self.budget:
            problems.append(f"initial={self.initial}: more than the budget of {self.budget}")
        if self.sample > self.population:
            problems.append(f"sample={self.sample}: more than the population of {self.population}")
        if isinstance(self.trainer, CommandTrainer) and "{arch}" not in self.trainer.command:
            problems.append("trainer.command: has no {arch}, so it cannot know what to train")
        if self.name and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", self.name):
            problems.append(f"name={self.name}: letters, digits, _ . - only")
        return problems

    def _described(self) -> str:
        pool = self.pool.space or self.pool.generator
        if isinstance(self.trainer, TableTrainer) and not pool:
            pool = Path(self.trainer.path).name.split(".")[0]
        guide = self.guide.recipe if self.strategy == "predictor" else self.strategy
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{pool}_{guide}").lstrip(".-")


def read_config(path: Path) -> SearchConfig:
    """The checked configuration in a file.

    Raises:
        ConfigError: the file cannot be read, or is no configuration of a search.
    """
    try:
        tree = parse_yaml(path.read_text(), where=path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration: {error}", where=path) from None
    if tree.get("task") != "nas_search":
        raise ConfigError("this is not the configuration of a search", where=path)
    # `check` asks for no more of a schema than `problems`
    return check(SearchConfig, tree, where=path)  # type: ignore[type-var]
