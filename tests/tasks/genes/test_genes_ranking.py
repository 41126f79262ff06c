"""Ranking partners gives what predicting each set gives, and says it in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphwright.config.presets import resolve_preset
from graphwright.errors import BundleError, ConfigError, DataError
from graphwright.nn.shared_graph import SharedGraph
from graphwright.tasks.genes.gene_source import GeneSets
from graphwright.tasks.genes.multigraph import GeneMultigraph
from graphwright.tasks.genes.partners import PartnerScores, cells_at_once, without_genes
from graphwright.tasks.genes.ranking import rank_partners
from graphwright.tasks.genes.task import GenesTask
from graphwright.training.bundle import save_bundle
from graphwright.training.task import new_model

SMALL = ("data.source.sets=200", "model.hidden_dim=8")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def made(root: Path, *overrides: str, seed: int = 0) -> tuple[GenesTask, Any, dict[str, Any]]:
    """A task, a model of its data with random weights, and its state."""
    task = GenesTask(resolve_preset("genes/tiny", [*SMALL, *overrides]), root)
    data = task.split(task.load())
    torch.manual_seed(seed)
    model = new_model(task, data).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # what starts at zero would hide a mistake
            parameter.add_(0.1 * torch.randn_like(parameter))
    return task, model, data.state


def one_by_one(model: Any, sets: list[list[int]]) -> torch.Tensor:
    genes = np.concatenate([np.array(one) for one in sets])
    source = GeneSets(genes, np.concatenate([[0], np.cumsum([len(one) for one in sets])]))
    return model.interaction(source.batch(np.arange(len(sets))))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.combination=concat", "model.conv=gatv2"),
        ("model.combination=global", "model.aggregator=mean", "model.residual=false"),
        ("model.combination=local", "model.base=ridge"),
        ("model.signed=true", "model.local_head=pairs"),
        ("model.aggregator=cross_attention", "model.num_layers=3"),
        ("model.aggregator=pairwise_interaction", "model.base=ridge"),
        ("model.overlap=true",),
    ],
    ids=" ".join,
)
def test_the_same_as_predicting_each_set(root: Path, overrides: tuple[str, ...]) -> None:
    _, model, _ = made(root, *overrides)
    model = model.double()
    with torch.inference_mode():
        for shared in ([7], [3, 41], [60, 5, 2]):
            partner_B = torch.tensor([place for place in range(80) if place not in shared])
            found_B = PartnerScores(model, shared)(partner_B)
            expected_B = one_by_one(model, [sorted([*shared, p]) for p in partner_B.tolist()])
            assert expected_B.std() > 1e-4
            torch.testing.assert_close(found_B, expected_B, rtol=1e-9, atol=1e-9)


def test_a_batch_is_as_good_as_another(root: Path) -> None:
    _, model, _ = made(root)
    model = model.double()
    with torch.inference_mode():
        score = PartnerScores(model, [3, 41])
        whole = score(torch.arange(10, 20))
        parts = torch.cat([score(torch.arange(10, 13)), score(torch.arange(13, 20))])
    torch.testing.assert_close(whole, parts, rtol=1e-9, atol=1e-9)


def test_a_norm_over_the_batch_has_no_ranking(root: Path) -> None:
    _, model, _ = made(root, "model.norm=compat")
    with pytest.raises(ConfigError, match="depends on its batch"):
        PartnerScores(model, [1])


@pytest.mark.parametrize("storage", ["symmetric", "compat"])
def test_without_genes_is_the_mask_of_their_edges(storage: Any) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 30, (2, 120))
    graph = GeneMultigraph.from_edge_lists(
        [f"g{i}" for i in range(30)], {"a": (ends[0], ends[1])}, storage=storage
    )
    network = graph.networks[0]
    shared = SharedGraph.from_csr(
        torch.from_numpy(network.indptr), torch.from_numpy(network.indices)
    )
    found = without_genes(shared, torch.tensor([4, 17]))
    kept_E = graph.edge_mask([4, 17])["a"]
    assert found.num_edges == kept_E.sum() < network.num_edges
    np.testing.assert_array_equal(found.indices.numpy(), network.indices[kept_E])
    x_NF = torch.rand(30, 2)
    keep_N1 = torch.ones(30, 1)
    keep_N1[[4, 17]] = 0
    torch.testing.assert_close(found(x_NF), shared(x_NF * keep_N1) * keep_N1)


def test_few_cells_at_once_in_large_networks(root: Path) -> None:
    _, model, _ = made(root)
    assert cells_at_once(model, 1_000_000) == 2
    assert cells_at_once(model, 10**9) == 1
    _, local, _ = made(root, "model.combination=local")
    assert cells_at_once(local, 6400) == 6400


@pytest.fixture(scope="module")
def bundles(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models with other weights."""
    home = tmp_path_factory.mktemp("bundles")
    found = []
    for seed in range(3):
        task, model, state = made(root, seed=seed)
        state = {**state, "aliases": {"systematic": {"TFC3": "G0004"}, "ambiguous": {}}}
        found.append(save_bundle(home / str(seed), task, model, state, {}))
    return found


def test_all_partners_in_order(bundles: list[Path]) -> None:
    found = rank_partners(bundles[:1], ["TFC3", "g0007"])
    assert found.shared == ("G0004", "G0007")
    assert len(found.partner) == 78
    assert not {"G0004", "G0007"} & set(found.partner)
    assert (np.diff(found.interaction) >= 0).all()
    assert found.sd is None
    highest = rank_partners(bundles[:1], ["TFC3", "g0007"], order="highest")
    assert highest.partner == found.partner[::-1]
    strongest = rank_partners(bundles[:1], ["TFC3", "g0007"], order="strongest")
    assert (np.diff(np.abs(strongest.interaction)) <= 0).all()


def test_several_runs_give_mean_and_spread(bundles: list[Path]) -> None:
    alone = [rank_partners([bundle], ["TFC3"]) for bundle in bundles]
    values = [dict(zip(one.partner, one.interaction, strict=True)) for one in alone]
    together = rank_partners(bundles, ["TFC3"])
    assert together.sd is not None
    for name, mean, sd in zip(together.partner, together.interaction, together.sd, strict=True):
        own = np.array([one[name] for one in values])
        np.testing.assert_allclose([mean, sd], [own.mean(), own.std(ddof=1)], atol=1e-7)


def test_some_partners(bundles: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "partners.txt"
    path.write_text("# mine\nG0010\nG0011\tsome words\nG0010\nYXX\nTFC3\n")
    found = rank_partners(bundles[:1], ["G0004"], str(path))
    assert sorted(found.partner) == ["G0010", "G0011"]
    assert [name for name, _ in found.rejected] == ["YXX", "G0004"]
    assert rank_partners(bundles[:1], ["G0004"], "G0010, g0011").partner == found.partner
    everyone = rank_partners(bundles[:1], ["G0004"])
    value = dict(zip(everyone.partner, everyone.interaction, strict=True))
    for name, interaction in zip(found.partner, found.interaction, strict=True):
        assert value[name] == pytest.approx(interaction, abs=1e-6)


def test_mistakes_are_named(bundles: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown gene 'G00O4', nearest: G0004"):
        rank_partners(bundles[:1], ["G00O4"])
    with pytest.raises(DataError, match="given twice"):
        rank_partners(bundles[:1], ["TFC3", "G0004"])
    with pytest.raises(DataError, match="no gene is given"):
        rank_partners(bundles[:1], [])
    with pytest.raises(DataError, match="none of the 2 partners"):
        rank_partners(bundles[:1], ["TFC3"], "TFC3,XX")
    description = json.loads((bundles[1] / "model.json").read_text())
    description["state"]["genes"][3] = "other"
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.safetensors").write_bytes((bundles[1] / "weights.safetensors").read_bytes())
    (other / "model.json").write_text(json.dumps(description))
    with pytest.raises(BundleError, match="other genes"):
        rank_partners([bundles[0], other], ["TFC3"])


def test_as_text_table_and_json(bundles: list[Path]) -> None:
    found = rank_partners(bundles[:2], ["TFC3"])
    lines = found.to_text("text", top=4).splitlines()
    assert len(lines) == 5
    assert lines[0].split() == ["rank", "gene", "interaction", "sd"]
    table = [line.split("\t") for line in found.to_text("tsv").splitlines()]
    assert len(table) == 80
    assert float(table[1][2]) == found.interaction[0]
    parsed = json.loads(found.to_text("json", top=2))
    assert [row["gene"] for row in parsed["ranking"]] == found.partner[:2]
    assert parsed["sets"] == 79
    assert parsed["seconds"] > 0
    assert "79 sets with G0004" in found.about()
