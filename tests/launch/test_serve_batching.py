"""Samples of several requests in one call: whose rows are whose, fairness, failures, the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest

from graphwright.launch.serve.batching import MAX_COST, Batcher, BatchSettings


@dataclass(frozen=True)
class Numbers:
    """A batch that is its samples."""

    values: np.ndarray

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        return cls(np.concatenate([part.values for part in parts]))


class Source:
    """Samples that cost what they are told to."""

    def __init__(self, *values: float, cost: int = 1) -> None:
        self.values, self.cost = np.array(values), cost

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: np.ndarray) -> Numbers:
        return Numbers(self.values[index])

    def sizes(self) -> np.ndarray:
        return np.full(len(self.values), self.cost)


class Model:
    """Doubles; holds its first call until it is let go; fails on negative numbers."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.entered, self.go = threading.Event(), threading.Event()

    def __call__(self, batch: Numbers) -> dict[str, Any]:
        self.calls.append(batch.values.tolist())
        self.entered.set()
        assert self.go.wait(10)
        if (batch.values < 0).any():
            raise ValueError("negative")
        return {"doubled": 2 * batch.values}


Start = Callable[..., Batcher]


def _total(columns: dict[str, Any]) -> dict[str, Any]:
    """A column that needs all samples of a request, and no others."""
    return {**columns, "total": np.full(len(columns["doubled"]), columns["doubled"].sum())}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def start(model: Model) -> Any:
    """Batchers that are stopped at the end."""
    made: list[Batcher] = []

    def make(max_batch: int = 4, shared: bool = True, wait_s: float = 0.0) -> Batcher:
        settings = BatchSettings(max_batch=max_batch, max_wait_s=wait_s, is_shared=shared)
        made.append(Batcher(model, _total, settings))
        return made[-1]

    yield make
    model.go.set()
    for batcher in made:
        batcher.close()


def test_requests_share_calls_and_get_their_own_rows(start: Start, model: Model) -> None:
    batcher = start()
    first = batcher.submit(Source(9))
    assert model.entered.wait(10)
    others = [batcher.submit(Source(*values)) for values in ((1, 2), (3,), (4, 5))]
    model.go.set()
    assert first.result(10)["doubled"].tolist() == [18]
    assert [f.result(10)["doubled"].tolist() for f in others] == [[2, 4], [6], [8, 10]]
    assert [f.result(10)["total"].tolist() for f in others] == [[6, 6], [6], [18, 18]]
    assert model.calls == [[9], [1, 2, 3, 4], [5]]


def test_a_small_request_does_not_wait_for_all_of_a_large_one(start: Start, model: Model) -> None:
    batcher = start()
    large = batcher.submit(Source(*range(12)))
    assert model.entered.wait(10)
    small = batcher.submit(Source(100))
    model.go.set()
    wait([large, small], 10)
    assert model.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [100, 8, 9, 10], [11]]
    assert large.result(10)["doubled"].tolist() == [2 * i for i in range(12)]


def test_a_failure_is_its_own_request_s(start: Start, model: Model) -> None:
    batcher = start()
    first = batcher.submit(Source(9))
    assert model.entered.wait(10)
    good, bad, also_good = (batcher.submit(Source(v)) for v in (1.0, -1.0, 2.0))
    model.go.set()
    assert first.result(10)["doubled"].tolist() == [18]
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)
    assert good.result(10)["doubled"].tolist() == [2]
    assert also_good.result(10)["doubled"].tolist() == [4]


def test_what_nobody_waits_for_is_not_computed(start: Start, model: Model) -> None:
    batcher = start()
    first = batcher.submit(Source(9))
    assert model.entered.wait(10)
    given_up, kept = batcher.submit(Source(1)), batcher.submit(Source(2))
    assert given_up.cancel()
    model.go.set()
    assert kept.result(10)["doubled"].tolist() == [4]
    assert first.done()
    assert model.calls == [[9], [2]]


def test_without_sharing_each_request_is_a_call(start: Start, model: Model) -> None:
    batcher = start(shared=False)
    futures = [batcher.submit(Source(v)) for v in range(5)]
    model.go.set()
    wait(futures, 10)
    assert sorted(model.calls) == [[v] for v in range(5)]


def test_large_samples_do_not_pile_up_in_a_call(start: Start, model: Model) -> None:
    batcher = start(max_batch=8)
    futures = [batcher.submit(Source(1, 2, 3, cost=MAX_COST // 2))]
    futures.append(batcher.submit(Source(4, cost=3 * MAX_COST)))
    model.go.set()
    assert [f.result(10)["doubled"].tolist() for f in futures] == [[2, 4, 6], [8]]
    assert max(map(len, model.calls)) == 2
    assert [4] in model.calls


def test_it_waits_for_those_that_are_announced_only(start: Start, model: Model) -> None:
    model.go.set()
    batcher = start(wait_s=60.0)
    assert batcher.submit(Source(1)).result(10)["doubled"].tolist() == [2]
    with batcher.announced():
        early = batcher.submit(Source(2))
        assert not wait([early], 0.05).done
        late = batcher.submit(Source(3))
    assert wait([early, late], 10).not_done == set()
    assert model.calls == [[1], [2, 3]]


def test_the_end_loses_nothing(start: Start, model: Model) -> None:
    batcher = start(max_batch=1)
    futures = [batcher.submit(Source(v)) for v in range(5)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.go.set()
    closing.join(10)
    assert [f.result(0)["doubled"].tolist() for f in futures] == [[2 * v] for v in range(5)]
    with pytest.raises(RuntimeError, match="stopping"):
        batcher.submit(Source(1))
