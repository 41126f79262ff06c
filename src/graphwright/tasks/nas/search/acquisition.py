"""Which of a pool to train next, given what a predictor says of it.

Legend: M = ensemble members, P = architectures of the pool, K = to be picked. Higher is better.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.search.config import GuideConfig
from graphwright.tasks.nas.search.pools import Pool
from graphwright.tasks.nas.search.predictor import Prediction
from graphwright.tasks.nas.search.random_search import first_distinct

__all__ = ["pick"]

Values = NDArray[np.float64]

_LIKELY = 0.5


def pick(
    pool: Pool,
    prediction: Prediction,
    taken: Collection[str],
    count: int,
    config: GuideConfig,
    rng: np.random.Generator,
) -> list[int]:
    """Rows of the best, none of which is the same function as another one or as a known one.

    - mean: the highest mean of the members;
    - ucb: mean + beta · sd (Srinivas et al., ICML 2010);
    - thompson: each pick is the best in the eyes of one member, drawn at random (ensemble sampling,
      Lu and Van Roy, NeurIPS 2017).

    Architectures whose training is expected to fail come after all others.
    """
    late_P = _expected_to_fail(prediction)
    if config.acquisition == "thompson":
        return _thompson(pool, prediction.members_MP, late_P, taken, count, rng)
    beta = config.beta if config.acquisition == "ucb" else 0.0
    rows = _order(prediction.mean + beta * prediction.sd, late_P)
    return first_distinct(pool, rows, taken, count)


def _thompson(
    pool: Pool,
    members_MP: Values,
    late_P: NDArray[np.bool_],
    taken: Collection[str],
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    orders: dict[int, NDArray[np.int64]] = {}
    seen, chosen = set(taken), list[int]()
    for member in rng.integers(len(members_MP), size=count).tolist():
        if member not in orders:
            orders[member] = _order(members_MP[member], late_P)
        found = first_distinct(pool, orders[member], seen, 1)
        if not found:
            break
        chosen += found
        seen.add(str(pool.keys[found[0]]))
    return chosen


def _order(score_P: Values, late_P: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows from the best to the worst; equal ones in the order of the pool."""
    order: NDArray[np.int64] = np.lexsort((-score_P, late_P))
    return order


def _expected_to_fail(prediction: Prediction) -> NDArray[np.bool_]:
    if prediction.feasible_P is None:
        return np.zeros(prediction.members_MP.shape[1], np.bool_)
    failing: NDArray[np.bool_] = prediction.feasible_P < _LIKELY
    return failing
