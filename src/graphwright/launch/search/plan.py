"""What a search is going to do. Nothing is run here, and Optuna is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphwright.errors import ConfigError, nearest
from graphwright.launch.search.objective import Objective, find_objective
from graphwright.launch.search.space import Space, read_space

__all__ = ["PRUNERS", "SAMPLERS", "PlannedSearch", "SearchPlan", "goes_on", "plan_search"]

SAMPLERS = ("tpe", "random", "gp")
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search of the best values of some settings.

    Attributes:
        name: of the sweep's folder.
        preset: `task/name`, or the path of a saved `config.yaml`.
        overrides: settings with one value, and those that are searched (`launch.search.space`).
        trials: how many proposals.
        sampler: tpe, random or gp, as Optuna has them.
        pruner: median, hyperband or none.
        objective: a value that validations log; empty: the one that the task monitors.
        direction: minimize or maximize; empty: the task's own.
        seed: of the sampler; the runs' own is the override seed=….
    """

    name: str
    preset: str
    overrides: tuple[str, ...]
    trials: int = 30
    sampler: str = "tpe"
    pruner: str = "median"
    objective: str = ""
    direction: str = ""
    seed: int = 0


@dataclass(frozen=True)
class PlannedSearch:
    """A plan whose space and objective were found to make sense; `content` is its JSON."""

    plan: SearchPlan
    space: Space
    objective: Objective
    epochs: tuple[int, int]  # of the first and the last validation of a run
    content: dict[str, Any]


def plan_search(plan: SearchPlan) -> PlannedSearch:
    """Check a plan.

    Raises:
        ConfigError: a space, value or name that makes no sense.
    """
    for key, value, known in (
        ("sampler", plan.sampler, SAMPLERS),
        ("pruner", plan.pruner, PRUNERS),
        ("direction", plan.direction, ("", "minimize", "maximize")),
    ):
        if value not in known:
            choices = ", ".join(known).strip(", ")
            raise ConfigError(f"{key}={value}: choose one of {choices}{nearest(value, known)}")
    if plan.trials < 1 or plan.seed < 0:
        raise ConfigError(f"trials={plan.trials}, seed={plan.seed}: no fewer than 1 and 0")
    space = read_space(plan.preset, plan.overrides)
    first = space.config(space.overrides({dim.key: dim.ends[0] for dim in space.dimensions}))
    objective = find_objective(first.task, plan.objective, plan.direction)
    content = {
        "preset": plan.preset,
        "overrides": list(space.fixed),
        "search": {
            "space": [dim.text() for dim in space.dimensions],
            "trials": plan.trials,
            "sampler": plan.sampler,
            "pruner": plan.pruner,
            "objective": objective.name,
            "direction": objective.direction,
            "seed": plan.seed,
        },
    }
    training = first.training
    return PlannedSearch(
        plan, space, objective, (training.validate_every, training.epochs), content
    )


def goes_on(old: Any, new: Any) -> bool:
    """A search may go on with more trials than it was begun with."""
    try:
        longer = new["search"]["trials"] >= old["search"]["trials"]
        same = [{**plan, "search": {**plan["search"], "trials": 0}} for plan in (old, new)]
    except (KeyError, TypeError):
        return False  # that was no search
    return bool(longer and same[0] == same[1])
