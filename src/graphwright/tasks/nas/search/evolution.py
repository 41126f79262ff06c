"""Regularised evolution (Real et al., AAAI 2019, arXiv 1802.01548): the oldest die.

The population is a queue of the P architectures trained last. A child is the mutation of the best
of S that are drawn from it. Failed trainings never enter the queue, and no architecture is trained
twice: a mutation that is known already is mutated on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from graphwright.tasks.nas.search.candidates import Proposal, Trial, best_first
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.random_search import draw

__all__ = ["RegularisedEvolution"]

_STEPS = 20  # mutations in a row before a random architecture takes the child's place


class RegularisedEvolution:
    """Mutates the best of a sample of the youngest.

    Args:
        source: where architectures come from.
        population: P, how many are alive.
        sample: S, how many compete to be the parent.
        higher_is_better: of the value.
    """

    def __init__(
        self, source: PoolSource, *, population: int, sample: int, higher_is_better: bool
    ) -> None:
        self._source = source
        self._population, self._sample = population, sample
        self._higher = higher_is_better

    def propose(
        self,
        trials: Sequence[Trial],
        taken: Collection[str],
        count: int,
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """See `Strategy`."""
        alive = [trial for trial in trials if trial.value is not None][-self._population :]
        seen, children = set(taken), list[Proposal]()
        for _ in range(count):
            child = self._child(alive, seen, rng) if alive else None
            if child is None:
                lone = draw(self._source.pool([], rng), seen, 1, rng, "random")
                if not lone:
                    break
                child = lone[0]
            seen.add(child.key)
            children.append(child)
        return children

    def _child(
        self, alive: Sequence[Trial], seen: Collection[str], rng: np.random.Generator
    ) -> Proposal | None:
        drawn = rng.choice(len(alive), min(self._sample, len(alive)), replace=False)
        rivals = [alive[i] for i in drawn.tolist()]
        parent = best_first(rivals, higher_is_better=self._higher)[0]
        text = parent.candidate.text
        for _ in range(_STEPS):
            found = self._source.mutate(text, rng)
            if found is None:
                return None
            text, key = found
            if key not in seen:
                return Proposal(text=text, key=key, origin="mutated")
        return None
