"""The loader: pure plans, exact positions, shards without overlap or loss."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.data.batch import GraphBatch
from graphwright.data.loader import Loader
from graphwright.data.packed import PackedGraphs
from graphwright.data.plan import BatchPlan
from graphwright.data.source import Subset
from graphwright.errors import BundleError, ConfigError, DataError

COUNT = 23


def make_source(count: int = COUNT) -> PackedGraphs:
    nodes = np.random.default_rng(3).integers(1, 15, count)
    return PackedGraphs.from_arrays(
        node_counts=nodes,
        edge_counts=np.zeros(count, int),
        edge_index=np.zeros((2, 0)),
        nodes={"x": np.arange(nodes.sum(), dtype=np.float32)},
    )


SOURCE = make_source()
WEIGHTS = np.linspace(0, 1, COUNT)


def loader(**changes: Any) -> Loader:
    given_settings: dict[str, Any] = {"batch_size": 4, "seed": 5, "shuffle": True, **changes}
    return Loader(given_settings.pop("source", SOURCE), **given_settings)


def seen(batches: Any) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


KINDS = {
    "plain": {},
    "in order": {"shuffle": False},
    "bucketed": {"max_size": 20},
    "in order, bounded": {"max_size": 20, "shuffle": False},
    "weighted": {"weights": WEIGHTS},
    "weighted and bucketed": {"weights": WEIGHTS, "max_size": 20},
    "whole batches": {"drop_last": True},
    "second rank": {"rank": 1, "world_size": 2},
    "last of many ranks": {"rank": 3, "world_size": 4, "max_size": 20},
}


@pytest.mark.parametrize("kind", KINDS)
def test_resumes_after_every_possible_batch(kind: str) -> None:
    whole = loader(**KINDS[kind])
    whole.set_epoch(3)
    batches = seen(whole)
    for stop in range(len(batches) + 1):
        first = loader(**KINDS[kind])
        first.set_epoch(3)
        begun = seen(itertools.islice(first, stop))
        state = first.state_dict()
        assert (state["epoch"], state["batch"]) == (3, stop)
        second = loader(**KINDS[kind])
        second.load_state_dict(state)
        assert second.epoch == 3
        assert begun + seen(second) == batches
        assert second.state_dict()["batch"] == len(batches)
        # The position is used up: the same epoch again, or the next one, is whole.
        assert seen(second) == batches
        second.set_epoch(4)
        planned = [b.tolist() for b in whole.plan(4)]
        assert [p or b for p, b in zip(planned, seen(second), strict=True)] == seen(second)


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("kind", ["bucketed", "weighted"])
def test_resumes_with_worker_processes(kind: str, persistent: bool) -> None:
    wanted = seen(loader(**KINDS[kind]))
    more = {"num_workers": 2, "persistent_workers": persistent, **KINDS[kind]}
    second = loader(**more)
    for stop in range(len(wanted) + 1):
        first = loader(num_workers=2, **KINDS[kind]) if stop % 4 == 0 else loader(**KINDS[kind])
        begun = seen(itertools.islice(first, stop))
        second.load_state_dict(first.state_dict())
        assert begun + seen(second) == wanted


def test_workers_do_not_touch_the_global_random_state() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    seen(loader(num_workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_prefetched_batches_are_not_counted() -> None:
    ahead = loader(num_workers=1, prefetch_factor=4)
    walk = iter(ahead)
    next(walk)
    assert ahead.state_dict()["batch"] == 1
    del walk


def test_what_workers_return_is_whole() -> None:
    for mine, theirs in zip(loader(), loader(num_workers=1), strict=True):
        assert isinstance(mine, GraphBatch)
        assert isinstance(theirs, GraphBatch)
        assert torch.equal(mine.nodes["x"], theirs.nodes["x"])
        assert torch.equal(mine.node_ptr, theirs.node_ptr)


def test_the_plan_is_a_pure_function() -> None:
    one, other = loader(), loader()
    seen(one)
    assert [b.tolist() for b in one.plan(2)] == [b.tolist() for b in other.plan(2)]
    assert [b.tolist() for b in one.plan(2)] != [b.tolist() for b in one.plan(3)]
    assert [b.tolist() for b in one.plan(2)] != [b.tolist() for b in loader(seed=6).plan(2)]
    one.plan(2).clear()
    assert len(one.plan(2)) == 6


def test_an_iteration_does_not_advance_the_epoch() -> None:
    one = loader()
    assert seen(one) == seen(one)
    assert one.epoch == 0


def test_set_epoch_keeps_a_loaded_position_of_the_same_epoch() -> None:
    one = loader()
    one.set_epoch(2)
    batches = seen(one)
    list(itertools.islice(one, 2))
    state = one.state_dict()
    same, other = loader(), loader()
    same.load_state_dict(state)
    same.set_epoch(2)
    assert seen(same) == batches[2:]
    other.load_state_dict(state)
    other.set_epoch(3)
    assert other.state_dict()["batch"] == 0
    assert len(seen(other)) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 6},
        {"batch_size": 5},
        {"shuffle": False},
        {"max_size": 30},
        {"weights": WEIGHTS},
        {"drop_last": True},
        {"source": make_source(22)},
    ],
)
def test_the_state_of_another_loader_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="other settings"):
        loader(**changes).load_state_dict(loader().state_dict())


@pytest.mark.parametrize("change", [{"batch": 7}, {"batch": -1}, {"epoch": -1}, {"epoch": None}])
def test_a_broken_state_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BundleError):
        loader().load_state_dict({**loader().state_dict(), **change})
    with pytest.raises(BundleError, match="not the state"):
        loader().load_state_dict({})  # type: ignore[typeddict-item]


def test_the_ranks_share_one_position() -> None:
    first = loader(world_size=2, rank=0)
    list(itertools.islice(first, 1))
    second = loader(world_size=2, rank=1)
    second.load_state_dict(first.state_dict())
    assert seen(second) == [b.tolist() for b in second.plan(0)[1:]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", [2, 3, 5])
def test_the_ranks_share_every_batch(kind: str, world: int) -> None:
    """Their pieces, one after the other, are the batches of one process."""
    settings_of_kind = {k: v for k, v in KINDS[kind].items() if k not in ("rank", "world_size")}
    ranks = [loader(**settings_of_kind, rank=rank, world_size=world) for rank in range(world)]
    for epoch in (0, 3):
        whole = [batch.tolist() for batch in loader(**settings_of_kind).plan(epoch)]
        pieces = [rank.plan(epoch) for rank in ranks]
        assert [np.concatenate(found).tolist() for found in zip(*pieces, strict=True)] == whole
        for rank in ranks:
            rank.set_epoch(epoch)
            assert len(rank) == len(whole)
            for place, (got, planned) in enumerate(zip(rank, rank.plan(epoch), strict=True)):
                assert rank.is_stand_in(place) == (len(planned) == 0)
                wanted = planned.tolist() or whole[place][-1:]
                assert got.index.tolist() == wanted
                assert abs(len(planned) - len(whole[place]) / world) < 1


sizes_strategy = st.lists(st.integers(1, 30), min_size=1, max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    sizes=sizes_strategy,
    batch_size=st.integers(1, 9),
    bounded=st.booleans(),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 3),
)
def test_every_sample_once(
    sizes: list[int],
    batch_size: int,
    bounded: bool,
    shuffle: bool,
    drop_last: bool,
    seed: int,
) -> None:
    plan = BatchPlan(
        length=len(sizes),
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        sizes=np.array(sizes) if bounded else None,
        max_size=40 if bounded else None,
        drop_last=drop_last,
    )
    epochs = [plan.batches(epoch) for epoch in range(3)]
    for batches in epochs:
        drawn = np.concatenate([*batches, np.zeros(0, np.int64)]).tolist()
        assert len(set(drawn)) == len(drawn)
        if not drop_last:
            assert sorted(drawn) == list(range(len(sizes)))
        assert all(len(b) > 0 for b in batches)
        assert max(map(len, batches), default=0) <= batch_size
        if bounded:
            assert all(sum(sizes[i] for i in b) <= 40 for b in batches)
        if not shuffle:
            assert drawn == sorted(drawn)
    assert len({len(batches) for batches in epochs}) == 1


def test_buckets_fill_batches_and_mix_samples() -> None:
    sizes = np.random.default_rng(0).integers(10, 200, 2000)
    plan = BatchPlan(length=2000, batch_size=64, seed=1, shuffle=True, sizes=sizes, max_size=2000)
    batches = plan.batches(0)
    assert len(batches) < 1.2 * sizes.sum() / 2000
    spread = [sizes[b].max() / sizes[b].min() for b in batches]
    assert np.median(spread) < 1.6
    firsts = [sizes[b].mean() for b in batches]
    assert abs(np.corrcoef(firsts, np.arange(len(firsts)))[0, 1]) < 0.3
    pairs = [{tuple(sorted(b.tolist())) for b in plan.batches(e)} for e in (0, 1)]
    assert len(pairs[0] & pairs[1]) < 3


def test_weights_set_how_often_a_sample_is_drawn() -> None:
    weights = np.array([0.0, 1, 3])
    plan = BatchPlan(length=3, batch_size=3, seed=0, shuffle=True, weights=weights)
    drawn = np.concatenate([b for e in range(3000) for b in plan.batches(e)])
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    assert shares[0] == 0
    assert shares[1:] == pytest.approx([0.25, 0.75], abs=0.02)


def test_a_subset_is_loaded_with_its_own_places() -> None:
    batches = seen(loader(source=Subset(SOURCE, [20, 3, 11]), batch_size=2, shuffle=False))
    assert batches == [[20, 3], [11]]


def test_pinning_is_skipped_without_cuda() -> None:
    batch = next(iter(loader(pin_memory=True)))
    assert isinstance(batch, GraphBatch)
    assert batch.edge_index.is_pinned() == torch.cuda.is_available()


def test_lengths() -> None:
    assert len(loader()) == 6
    assert len(loader(drop_last=True)) == 5
    assert len(loader(batch_size=100, drop_last=True)) == 0
    assert loader().batch_size == 4


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch_size": 0}, ConfigError, "batch_size"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"rank": 2, "world_size": 2}, ConfigError, "rank 2"),
        ({"num_workers": -1}, ConfigError, "num_workers"),
        ({"weights": WEIGHTS, "shuffle": False}, ConfigError, "shuffle=True"),
        ({"weights": WEIGHTS[1:]}, ConfigError, "23 weights"),
        ({"weights": -WEIGHTS}, ConfigError, "0 or more"),
        ({"max_size": 3}, DataError, "more than max_size 3"),
        ({"source": Subset(SOURCE, [])}, DataError, "no samples"),
    ],
)
def test_settings_without_sense(changes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        loader(**changes)


def test_other_misuse() -> None:
    with pytest.raises(ConfigError, match="epoch"):
        loader().set_epoch(-1)
    with pytest.raises(ConfigError, match="size of every sample"):
        BatchPlan(length=2, batch_size=1, seed=0, shuffle=True, max_size=3)


def test_an_epoch_can_have_samples_of_its_own() -> None:
    """A curriculum: more samples in each epoch, shuffled, every one once."""

    def select(epoch: int) -> np.ndarray:
        return np.arange(10 + 5 * epoch)

    growing = loader(select=select)
    for epoch in range(3):
        rows = np.concatenate(growing.plan(epoch))
        assert sorted(rows) == list(range(10 + 5 * epoch))
        assert rows.tolist() != sorted(rows)
        growing.set_epoch(epoch)
        assert len(growing) == -(-(10 + 5 * epoch) // 4)
    with pytest.raises(BundleError):
        loader().load_state_dict(growing.state_dict())
    with pytest.raises(ConfigError, match="not both"):
        loader(select=select, weights=WEIGHTS)
