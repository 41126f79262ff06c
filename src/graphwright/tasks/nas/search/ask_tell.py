"""Ask for architectures to train, tell what came out.

    searcher = Searcher.from_config(config, source)
    for candidate in searcher.ask(20):
        searcher.tell(candidate, train(candidate.text))

What is asked follows from the seed and from what was asked and told before, in the order of asking:
in which order trainings end does not matter, and a search that is taken up again goes on as if
nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graphwright.errors import ConfigError
from graphwright.tasks.nas.search.candidates import (
    INITIAL,
    Candidate,
    Trial,
    without_sentinels,
)
from graphwright.tasks.nas.search.config import SearchConfig
from graphwright.tasks.nas.search.pools import PoolSource
from graphwright.tasks.nas.search.predictor import Predictor
from graphwright.tasks.nas.search.random_search import RandomSearch
from graphwright.tasks.nas.search.strategy import Strategy, make_strategy

__all__ = ["Searcher"]


class Searcher:
    """Chooses what to train next and remembers what is known.

    Args:
        first: chooses the first `initial` architectures.
        strategy: chooses all others.
        initial: how many are asked for before the strategy chooses.
        seed: of all chance.
        sentinel: see `SearchConfig.sentinel`.
    """

    def __init__(
        self,
        first: Strategy,
        strategy: Strategy,
        *,
        initial: int,
        seed: int = 0,
        sentinel: float = 1000.0,
    ) -> None:
        self._first, self._strategy = first, strategy
        self._initial, self._seed, self._sentinel = initial, seed, sentinel
        self._asked: list[Candidate] = []
        self._told: dict[int, Trial] = {}

    @classmethod
    def from_config(
        cls, config: SearchConfig, source: PoolSource, predictor: Predictor | None = None
    ) -> Searcher:
        """The searcher of a configuration; `predictor` takes the place of the configured one.

        Raises:
            ConfigError: the space cannot do what the strategy needs.
        """
        return cls(
            RandomSearch(source, origin=INITIAL),
            make_strategy(config, source, predictor),
            initial=config.initial,
            seed=config.seed,
            sentinel=config.sentinel,
        )

    @property
    def asked(self) -> tuple[Candidate, ...]:
        """Everything that was ever asked for, in order."""
        return tuple(self._asked)

    @property
    def pending(self) -> list[Candidate]:
        """What was asked for and not told yet."""
        return [one for one in self._asked if one.number not in self._told]

    @property
    def trials(self) -> list[Trial]:
        """What was told, in the order of asking; sentinels are failures."""
        told = [self._told[one.number] for one in self._asked if one.number in self._told]
        return without_sentinels(told, self._sentinel)

    def ask(self, count: int) -> list[Candidate]:
        """The next architectures to train; fewer where the pool has no more.

        A batch never mixes the first architectures with chosen ones: it ends where these begin.
        """
        number = len(self._asked)
        early = number < self._initial
        strategy = self._first if early else self._strategy
        count = min(count, self._initial - number) if early else count
        # from the number alone: no state of a generator has to be saved
        rng = np.random.default_rng([self._seed, number])
        taken = {one.key for one in self._asked}
        proposals = strategy.propose(self.trials, taken, count, rng)
        round_ = self._asked[-1].round + 1 if self._asked else 0
        found = [
            Candidate(
                text=one.text,
                key=one.key,
                origin=one.origin,
                mean=one.mean,
                sd=one.sd,
                number=number + i,
                round=round_,
            )
            for i, one in enumerate(proposals)
        ]
        self._asked += found
        return found

    def tell(
        self,
        candidate: Candidate,
        value: float | None,
        *,
        reason: str = "",
        seconds: float = float("nan"),
    ) -> Trial:
        """What came of a training: None, or a value that is not finite, is a failure.

        Raises:
            ConfigError: this was never asked for, or was told before.
        """
        known = candidate.number < len(self._asked)
        if not known or self._asked[candidate.number].text != candidate.text:
            raise ConfigError(f"number {candidate.number}, {candidate.text}, was never asked for")
        if candidate.number in self._told:
            raise ConfigError(f"number {candidate.number}, {candidate.text}, was told before")
        trial = Trial(candidate=candidate, value=value, reason=reason, seconds=seconds)
        self._told[candidate.number] = trial
        return trial

    def restore(self, asked: Iterable[Candidate], told: Iterable[Trial]) -> None:
        """Take up what an earlier process asked for and was told; only before the first `ask`.

        Raises:
            ConfigError: something was asked for already, or the numbers have gaps.
        """
        asked = list(asked)
        if self._asked or [one.number for one in asked] != list(range(len(asked))):
            raise ConfigError("a search is restored whole, and before it asks")
        self._asked = asked
        self._told = {trial.candidate.number: trial for trial in told}
