"""What every way of choosing architectures has in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np

from graphwright.tasks.nas.search.candidates import Proposal, Trial
from graphwright.tasks.nas.search.config import SearchConfig
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.predictor import Predictor

__all__ = ["Strategy", "make_strategy"]


class Strategy(Protocol):
    """Chooses from what is known, and from nothing else: the same trials give the same choice."""

    def propose(
        self,
        trials: Sequence[Trial],
        taken: Collection[str],
        count: int,
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """What to train next.

        Args:
            trials: all that is known, in the order of asking; failures have no value.
            taken: keys of everything ever asked for; none of them is proposed again.
            count: how many; fewer come where nothing else is left.
            rng: the only source of chance.
        """
        ...


def make_strategy(
    config: SearchConfig, source: PoolSource, predictor: Predictor | None = None
) -> Strategy:
    """The strategy of a configuration.

    Args:
        config: of the search.
        source: where architectures come from.
        predictor: in the place of the configured one.

    Raises:
        ConfigError: the space cannot do what the strategy needs.
    """
    if config.strategy == "random":
        from graphwright.tasks.nas.search.random_search import RandomSearch

        return RandomSearch(source)
    if config.strategy == "regularised_evolution":
        from graphwright.tasks.nas.search.evolution import RegularisedEvolution

        return RegularisedEvolution(
            source,
            population=config.population,
            sample=config.sample,
            higher_is_better=config.higher_is_better,
        )
    from graphwright.tasks.nas.search.guided import Guided

    if predictor is None:
        from graphwright.tasks.nas.search.gnn_predictor import GnnPredictor

        predictor = GnnPredictor(config.guide, source.space, source.archs)
    return Guided(source, predictor, config.guide, higher_is_better=config.higher_is_better)
