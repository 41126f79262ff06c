"""The local head that compares genes two by two, and features that keep their sign."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from graphwright.config.presets import resolve_preset
from graphwright.data.loader import Loader
from graphwright.tasks.genes.build import build_model
from graphwright.tasks.genes.labelled_source import sets_of
from graphwright.tasks.genes.metrics import pearson
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.gene_sets import PaddedSets
from graphwright.tasks.genes.models.pair_head import PairHead
from graphwright.tasks.genes.replicates import planted_ceiling
from graphwright.tasks.genes.report_rows import ceiling_table
from graphwright.tasks.genes.task import GenesTask
from graphwright.training.engine import new_model
from graphwright.training.infer import over_source

D, N = 6, 12


@dataclass
class Sets:
    """The two tensors of a batch."""

    gene_index: Tensor
    gene_ptr: Tensor

    @classmethod
    def of(cls, sets: list[list[int]]) -> Sets:
        sizes = torch.tensor([0, *map(len, sets)])
        return cls(torch.tensor([g for one in sets for g in one]), sizes.cumsum(0))


def test_is_the_sum_over_pairs_in_any_order() -> None:
    torch.manual_seed(0)
    head, x_ND = PairHead(D).double(), torch.randn(N, D, dtype=torch.float64)
    sets = [[3], [1, 7], [7, 1], [2, 5, 9], [9, 2, 5], [0, 4, 6, 8, 11]]
    batch = Sets.of(sets)
    found_B = head(x_ND[batch.gene_index], PaddedSets.of(batch))[:, 0]
    for found, one in zip(found_B, sets, strict=True):
        expected = torch.zeros((), dtype=torch.float64)
        for i, j in combinations(one, 2):
            met = torch.cat([(x_ND[i] - x_ND[j]) ** 2, x_ND[i] * x_ND[j]])
            expected = expected + head.out(head.hidden(met).relu())[0]
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert found_B[0] == 0
    torch.testing.assert_close(found_B[1], found_B[2], rtol=1e-12, atol=1e-12)


def test_padding_has_no_gradient() -> None:
    head, x_PD = PairHead(D), torch.randn(3, D, requires_grad=True)
    batch = Sets.of([[1], [2, 4]])
    (gene,) = torch.autograd.grad(head(x_PD, PaddedSets.of(batch)).sum(), x_PD)
    assert not gene[0].any()
    assert gene[1:].abs().sum() > 0


@pytest.mark.parametrize("signed", [False, True])
def test_signed_features(signed: bool) -> None:
    networks = [{"name": "a", "edges": 0, "symmetric": True}]
    state = {"genes": [f"G{i}" for i in range(40)], "networks": networks}
    config = GeneInteractionConfig(hidden_dim=8, signed=signed)
    torch.manual_seed(1)
    x_ND = build_model(config, state).inputs().detach()
    if signed:
        torch.testing.assert_close(x_ND.mean(0), torch.zeros(8), rtol=0, atol=1e-5)
        assert float(x_ND.std(0, correction=0).max()) < 1.001
    else:
        assert float(x_ND.min()) == 0


def test_a_few_epochs_find_the_planted_rule(tmp_path: Path) -> None:
    """Without the overlap head: what the convolutions hear is enough."""
    overrides = ["data.source.genes=160", "data.source.networks=2", "data.source.sets=3000"]
    config = resolve_preset("genes/planted", overrides)
    assert not config.model.overlap
    task = GenesTask(config, tmp_path)
    data = task.split(task.load())
    torch.manual_seed(0)
    model = new_model(task, data)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    loader = Loader(data.sources["train"], batch_size=64, seed=0, shuffle=True)
    for epoch in range(4):
        for rows in loader.plan(epoch):
            optimizer.zero_grad()
            task.step(model, loader.source.batch(rows), "train").loss.backward()
            optimizer.step()
    test = sets_of(data.sources["test"])
    found = over_source(task, model, batch_size=256)(test)["interaction"]
    assert pearson(found, test.sets.label) > 0.75


def test_the_planted_noise_is_a_ceiling() -> None:
    found = planted_ceiling(0.3)
    rng = np.random.default_rng(0)
    signal = rng.normal(size=200_000)
    one, two = (signal + 0.3 * rng.normal(size=len(signal)) for _ in range(2))
    assert found.agreement == pytest.approx(np.corrcoef(one, two)[0, 1], abs=0.005)
    assert found.perfect == pytest.approx(np.corrcoef(signal, one)[0, 1], abs=0.005)
    (table,) = ceiling_table(found)
    assert table["title"] == "Noise ceiling"
    assert table["rows"][1][1:] == [found.perfect, None, None]
