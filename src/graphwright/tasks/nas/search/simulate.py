"""Many simulated searches on a table, in one process: what a strategy is worth before it is used.

Legend: S = seeds, T = trainings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import ConfigError, nearest
from graphwright.tasks.nas.search.ask_tell import Searcher
from graphwright.tasks.nas.search.config import SearchConfig
from graphwright.tasks.nas.search.lookup import Lookup
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.predictor import Predictor
from graphwright.tasks.nas.search.results import best_so_far, regrets

__all__ = ["Trace", "simulate", "strategy_config", "summarise"]

_UNGUIDED = ("random", "regularised_evolution")


@dataclass(frozen=True, eq=False)
class Trace:
    """One simulated search.

    Attributes:
        texts: what was trained, in order.
        best_T: best value so far.
        regret_T: in the metric (`results.regrets`).
        test_regret_T: in the test metric; None without one.
    """

    texts: tuple[str, ...]
    best_T: NDArray[np.float64]
    regret_T: NDArray[np.float64]
    test_regret_T: NDArray[np.float64] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; what is not a number yet is the string NaN."""
        curves = {"best": self.best_T, "regret": self.regret_T, "test_regret": self.test_regret_T}
        plain = {
            name: None if curve is None else [x if math.isfinite(x) else "NaN" for x in curve]
            for name, curve in curves.items()
        }
        return {"texts": list(self.texts), **plain}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trace:
        """From `to_json`."""
        test = data["test_regret"]
        return cls(
            texts=tuple(data["texts"]),
            best_T=np.array(data["best"], np.float64),
            regret_T=np.array(data["regret"], np.float64),
            test_regret_T=None if test is None else np.array(test, np.float64),
        )


def strategy_config(config: SearchConfig, name: str) -> SearchConfig:
    """The same search with another strategy, by its name or that of a predictor's recipe.

    Regularised evolution chooses one at a time, as it was published, and a predictor that is not
    the search's own is trained for all epochs of its recipe.

    Raises:
        ConfigError: neither has this name.
    """
    from graphwright.tasks.nas.recipes import RECIPES

    if name == "random":
        return dataclasses.replace(config, strategy="random")
    if name == "regularised_evolution":
        first = min(config.population, config.budget)
        return dataclasses.replace(config, strategy="regularised_evolution", batch=1, initial=first)
    if name not in RECIPES:
        known = [*_UNGUIDED, *RECIPES]
        raise ConfigError(
            f"{name}: no such strategy or predictor{nearest(name, known)}",
            fix=f"one of {', '.join(known)}",
        )
    guide = config.guide
    if name != guide.recipe:
        # trained as its recipe says: what was set for our own predictor is not meant for it
        guide = dataclasses.replace(guide, recipe=name, epochs=0, overrides=())
    return dataclasses.replace(config, strategy="predictor", guide=guide)


def simulate(
    config: SearchConfig,
    source: PoolSource,
    table: Lookup,
    predictor: Predictor | None = None,
) -> Trace:
    """A whole search of which the table knows all answers.

    Raises:
        ConfigError: the space cannot do what the strategy needs.
    """
    searcher = Searcher.from_config(config, source, predictor)
    while (left := config.budget - len(searcher.asked)) > 0:
        early = len(searcher.asked) < config.initial
        batch = searcher.ask(min(left, config.initial if early else config.batch))
        if not batch:
            break
        for one in batch:
            searcher.tell(one, table.value(one.text))
    trials, higher = searcher.trials, config.higher_is_better
    curves = regrets(trials, table, higher_is_better=higher)
    return Trace(
        texts=tuple(one.text for one in searcher.asked),
        best_T=best_so_far(trials, higher_is_better=higher),
        regret_T=curves[0],
        test_regret_T=curves[1] if len(curves) > 1 else None,
    )


def summarise(name: str, traces: Sequence[Trace]) -> dict[str, Any]:
    """Median and quartiles over seeds after 1, 2, … trainings, as plain JSON.

    Each curve is {"median": [T], "low": [T], "high": [T]} with low and high the quartiles; `final`
    are the values of every seed at the end.
    """
    test = [trace.test_regret_T for trace in traces if trace.test_regret_T is not None]
    regret = [trace.regret_T for trace in traces]
    summary = {
        "name": name,
        "seeds": len(traces),
        "best_so_far": _quartiles([trace.best_T for trace in traces]),
        "regret": [_quartiles(regret)],
    }
    if test:
        summary["regret"] = [_quartiles(regret), _quartiles(test)]
    return summary


def _quartiles(curves: Sequence[NDArray[np.float64]]) -> dict[str, list[float]]:
    length = min(len(curve) for curve in curves)
    values_ST = np.stack([curve[:length] for curve in curves])
    # before the first value of any seed there is none
    started = np.isfinite(values_ST).all(axis=0)
    low, median, high = np.full((3, length), np.nan)
    if started.any():
        quartiles = np.quantile(values_ST[:, started], [0.25, 0.5, 0.75], axis=0)
        low[started], median[started], high[started] = quartiles
    return {
        "median": median.tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "final": values_ST[:, -1].tolist(),
    }
