"""Two processes that share every batch see what one process sees: the same losses and metrics.

In double precision, and with the random draws of training off: each process draws numbers of its
own, as it must. The last batch of every epoch has one sample, so that one of the two has none.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import rank_jobs
from contract_battery import CONTRACTS, Contract
from contract_case import Case
from rank_pair import RankPair

from graphwright.config import io
from graphwright.config.schema import TaskConfig
from graphwright.launch.local import create_run
from graphwright.runs.events import Events, read_events

STEPS = 20
BATCHES = 6  # of an epoch, about
DRAWS = ("model.dropout", "model.unknown_rate")  # of random numbers, in training
# each contract once, smaller; and what couples the samples of a batch
VARIANTS = {
    "geometry/tiny": ("model=painn model.hidden_dim=8 model.num_layers=1 data.graph.k=4",),
    "nas/tiny": (
        "model=dag_ensemble loss.name=pairwise_hinge loss.anchor=0.1 loss.relation=0.3",
        "model=fr_nas loss.name=list_mle loss.relation=0.3 loss.relation_kind=instance_graph",
    ),
    "genes/tiny": (
        "model.combination=gating model.num_layers=1",
        "model.combination=concat model.num_layers=1 model.norm=compat loss.distribution=0.5",
    ),
    "language/tiny": ("model=gnn model.top_k=2 data.train_tokens=1600",),
}
CASES = [
    (contract, variant)
    for contract in CONTRACTS
    for variant in VARIANTS.get(contract.preset, ("",))
]


@pytest.mark.parametrize(
    ("contract", "variant"), CASES, ids=[f"{c.preset}-{variant}" for c, variant in CASES]
)
def test_as_one_process(contract: Contract, variant: str, pair: RankPair, tmp_path: Path) -> None:
    # the variant has the last word
    overrides = (*contract.overrides, *variant.split())
    case = Case(dataclasses.replace(contract, overrides=overrides), "", tmp_path)
    runs = [create_run(_config(case, n), tmp_path / "runs").path for n in (1, 2)]
    rank_jobs.train(None, runs[0], case.data_root)
    pair("rank_jobs:train", runs[1], case.data_root)
    one, two = (read_events(run / "events.jsonl") for run in runs)
    assert set(one.names()) == set(two.names())
    assert len(one.series("train_loss_step")[0]) >= STEPS
    for name in one.names():
        if not name.endswith(("_s", "_mb")):
            _assert_close(one, two, name)


def _config(case: Case, devices: int) -> TaskConfig:
    sizes = {name: len(source) for name, source in case.prepared.data.sources.items()}
    settings = io.flatten(io.to_dict(case.config))
    off = [f"{name}=0" for name in DRAWS if name in settings]
    batch = _leaving_one(sizes["train"])
    epochs = -(-STEPS // -(-sizes["train"] // batch))
    return case.configure(
        *off,
        'training.precision="64"',
        f"training.epochs={epochs}",
        f"loading.batch_size={batch}",
        f"loading.eval_batch_size={_leaving_one(sizes['val'])}",
        f"training.devices={devices}",
    )


def _leaving_one(samples: int) -> int:
    """A batch size such that the last batch has one sample."""
    wanted = range(max(2, samples // BATCHES), samples)
    return next(size for size in wanted if samples % size == 1)


def _assert_close(one: Events, two: Events, name: str) -> None:
    assert one.series(name)[:2] == two.series(name)[:2], name
    a, b = (np.array(events.series(name)[2]) for events in (one, two))
    np.testing.assert_allclose(a[:STEPS], b[:STEPS], rtol=1e-9, atol=1e-9, err_msg=name)
