"""Guided search: learn from all that was trained, predict the pool, train what looks best."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from graphwright.errors import TrainingError
from graphwright.tasks.nas.search.acquisition import pick
from graphwright.tasks.nas.search.candidates import Proposal, Trial, best_first
from graphwright.tasks.nas.search.config import GuideConfig
from graphwright.tasks.nas.search.pools import Pool, PoolSource
from graphwright.tasks.nas.search.predictor import Prediction, Predictor
from graphwright.tasks.nas.search.random_search import draw

__all__ = ["Guided"]

_FEWEST = 2  # values: an order needs two


class Guided:
    """A predictor chooses; a share of every batch is left to chance.

    Args:
        source: where architectures come from.
        predictor: learns anew in every round.
        config: how it picks.
        higher_is_better: of the value.
    """

    def __init__(
        self,
        source: PoolSource,
        predictor: Predictor,
        config: GuideConfig,
        *,
        higher_is_better: bool,
    ) -> None:
        self._source, self._predictor, self._config = source, predictor, config
        self._higher = higher_is_better

    def propose(
        self,
        trials: Sequence[Trial],
        taken: Collection[str],
        count: int,
        rng: np.random.Generator,
    ) -> list[Proposal]:
        """See `Strategy`; at random as long as fewer than two values are known."""
        valued = best_first(trials, higher_is_better=self._higher)
        pool = self._source.pool([trial.candidate.text for trial in valued], rng)
        if len(valued) < _FEWEST:
            return draw(pool, taken, count, rng, "random")
        prediction = self._predicted(trials, pool, int(rng.integers(2**31)))
        explored = round(self._config.explore * count)
        rows = pick(pool, self._oriented(prediction), taken, count - explored, self._config, rng)
        chosen = [_proposal(pool, prediction, row, "predicted") for row in rows]
        seen = {*taken, *(proposal.key for proposal in chosen)}
        lucky = draw(pool, seen, count - len(chosen), rng, "explored")
        row_of = {text: row for row, text in enumerate(pool.texts)}
        return chosen + [_proposal(pool, prediction, row_of[one.text], "explored") for one in lucky]

    def _predicted(self, trials: Sequence[Trial], pool: Pool, seed: int) -> Prediction:
        values = [np.nan if trial.value is None else trial.value for trial in trials]
        texts = [trial.candidate.text for trial in trials]
        self._predictor.fit(texts, np.array(values, np.float64), seed)
        prediction = self._predictor.predict(pool)
        if not np.isfinite(prediction.members_MP).all():
            raise TrainingError(
                "the predictor gives values that are not finite",
                fix="lower its learning rate, or take another one with --predictor",
            )
        return prediction

    def _oriented(self, prediction: Prediction) -> Prediction:
        """With higher values for better architectures."""
        if self._higher:
            return prediction
        return dataclasses.replace(prediction, members_MP=-prediction.members_MP)


def _proposal(pool: Pool, prediction: Prediction, row: int, origin: str) -> Proposal:
    members_M = prediction.members_MP[:, row]
    return Proposal(
        text=pool.texts[row],
        key=str(pool.keys[row]),
        origin=origin,
        mean=float(members_M.mean()),
        sd=float(members_M.std()),
    )
