"""The genes task on generated data: what is fitted, what travels, what is predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphwright.config.presets import resolve_preset
from graphwright.errors import DataError
from graphwright.tasks.genes.config import GenesConfig
from graphwright.tasks.genes.labelled_source import sets_of
from graphwright.tasks.genes.task import EFFECT, GenesTask
from graphwright.training.bundle import load_bundle, save_bundle
from graphwright.training.infer import over_source
from graphwright.training.task import TaskData, new_model

SMALL = ("data.source.sets=200", "model.hidden_dim=8", "tracking.mlflow=off")


def configured(*overrides: str) -> GenesConfig:
    config = resolve_preset("genes/tiny", [*SMALL, *overrides])
    assert isinstance(config, GenesConfig)
    return config


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def task(root: Path) -> GenesTask:
    return GenesTask(configured(), root)


@pytest.fixture(scope="module")
def data(task: GenesTask) -> TaskData:
    return task.split(task.load())


def model_of(task: GenesTask, data: TaskData, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return new_model(task, data).eval()


def test_state_is_json_and_holds_the_gene_order(task: GenesTask, data: TaskData) -> None:
    assert json.loads(json.dumps(data.state)) == data.state
    loaded = task.load()
    assert data.state["genes"] == list(loaded.multigraph.genes)
    named = [one["name"] for one in data.state["networks"]]
    assert named == [network.name for network in loaded.multigraph.networks]
    assert data.state["sizes"] == [2, 3]


def test_the_networks_reach_the_model(task: GenesTask, data: TaskData) -> None:
    model, loaded = model_of(task, data), task.load()
    for network, graph in zip(loaded.multigraph.networks, model.network.graphs, strict=True):
        np.testing.assert_array_equal(graph.indptr.numpy(), network.indptr)
        np.testing.assert_array_equal(graph.indices.numpy(), network.indices)
        assert graph.num_edges > 0


def test_the_scale_is_that_of_the_training_labels_alone(data: TaskData) -> None:
    label = sets_of(data.sources["train"]).sets.label
    assert data.state["label"]["mean"] == [pytest.approx(label.mean())]
    assert data.state["label"]["scale"] == [pytest.approx(label.std())]


def test_the_splits_are_disjoint_and_complete(data: TaskData) -> None:
    sizes = {name: len(source) for name, source in data.sources.items()}
    assert sizes == data.summary["splits"]
    assert sum(sizes.values()) == 200
    names = [set(sets_of(source).set_names()) for source in data.sources.values()]
    assert sum(map(len, names)) == len(set.union(*names))


def test_another_seed_splits_otherwise(root: Path, data: TaskData) -> None:
    other = GenesTask(configured("seed=1"), root)
    again = GenesTask(configured(), root)
    assert other.split(other.load()).split_digest != data.split_digest
    assert again.split(again.load()).split_digest == data.split_digest


def test_predictions_are_in_the_labels_unit(task: GenesTask, data: TaskData) -> None:
    model, batch = model_of(task, data), data.sources["test"].batch(np.arange(5))
    with torch.no_grad():
        found = task.predict(model, batch)["interaction"]
        score = model(batch).gene_interaction[:, 0]
    mean, sd = data.state["label"]["mean"][0], data.state["label"]["scale"][0]
    torch.testing.assert_close(found, score.double() * sd + mean)


def test_the_loss_is_of_standardised_labels(task: GenesTask, data: TaskData) -> None:
    model, batch = model_of(task, data), data.sources["val"].batch(np.arange(6))
    mean, sd = data.state["label"]["mean"][0], data.state["label"]["scale"][0]
    with torch.no_grad():
        out = task.step(model, batch, "val")
        error = model(batch).gene_interaction[:, 0] - (batch.graphs["label"] - mean) / sd
    torch.testing.assert_close(out.loss, error.cosh().log().mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        out.metrics["mae"].float(), (error * sd).abs().mean(), rtol=1e-4, atol=1e-6
    )
    assert set(out.samples) == {"predicted", "label"}


def test_validation_metrics(task: GenesTask) -> None:
    label = np.array([0.0, 1.0, 2.0, 5.0])
    found = task.validation_metrics({"predicted": 2 * label - 3, "label": label})
    assert found == pytest.approx({"pearson": 1.0, "spearman": 1.0})
    assert task.validation_metrics({"predicted": label, "label": np.ones(4)}) == {}


def test_the_ridge_of_the_training_split_is_in_the_model(root: Path) -> None:
    task = GenesTask(configured("model.base=ridge"), root)
    data = task.split(task.load())
    model, source = model_of(task, data), sets_of(data.sources["test"])
    batch = source.batch(np.arange(len(source)))
    with torch.no_grad():
        out = model(batch)
    assert model.network.base.effect.abs().max() > 0
    base = model.in_units(out.base_interaction[:, 0]).numpy()
    from graphwright.tasks.genes.nulls import fit_gene_ridge

    expected = fit_gene_ridge(
        sets_of(data.sources["train"]).sets, task._nulls_config(data.state)
    ).predict(source.sets)
    np.testing.assert_allclose(base, expected, rtol=1e-4, atol=1e-5)


def test_a_network_without_an_effect_on_the_model_has_none(task: GenesTask, data: TaskData) -> None:
    """Its edges are taken away, or it never had any: the same."""
    model, batch = model_of(task, data).double(), data.sources["test"].batch(np.arange(7))
    graph = model.network.graphs[1]
    with torch.no_grad():
        before = model.interaction(batch)
        effect_BG = model.effects(batch)
        torch.testing.assert_close(model.interaction(batch), before, rtol=0, atol=0)
        assert model.network.graphs[1] is graph
        graph.indptr.zero_()
        graph.indices.resize_(0)
        without_B = model.interaction(batch)
        assert model.effects(batch)[:, 1].abs().max() == 0
    torch.testing.assert_close(effect_BG[:, 1], before - without_B)
    assert effect_BG.abs().min(0).values.max() > 0


def test_explain_names_every_network(task: GenesTask, data: TaskData) -> None:
    infer = over_source(task, model_of(task, data), batch_size=8, explain=True)
    columns = infer(data.sources["test"])
    networks = [one["name"] for one in data.state["networks"]]
    assert list(columns) == ["interaction", *(EFFECT + name for name in networks)]
    assert all(len(column) == len(data.sources["test"]) for column in columns.values())


def test_evaluate_reports_model_and_nulls(task: GenesTask, data: TaskData) -> None:
    infer = over_source(task, model_of(task, data), batch_size=64)
    found = task.evaluate(infer, data, "test")
    rows = [row[0] for row in found.report["tables"][0]["rows"]]
    assert rows[0] == "gin_sum_gating"
    assert {"train mean", "query mean", "per-gene ridge"} <= set(rows)
    assert found.report["primary"] in found.report["metrics"]
    np.testing.assert_allclose(
        found.predictions["target"], sets_of(data.sources["test"]).sets.label
    )


def test_a_bundle_knows_its_genes(task: GenesTask, data: TaskData, tmp_path: Path) -> None:
    model = model_of(task, data)
    save_bundle(tmp_path / "b", task, model, data.state, {})
    bundle = load_bundle(tmp_path / "b", tmp_path / "nothing")
    raw = [["G0005", "G0011"], ["g0060", "G0001", "G0033"]]
    ours = bundle.task.read_input(raw, bundle.state)
    assert ours.names == ["G0005+G0011", "g0060+G0001+G0033"]
    batch = ours.source.batch(np.arange(2))
    assert batch.gene_index.tolist() == [5, 11, 1, 33, 60]
    with torch.no_grad():
        torch.testing.assert_close(
            bundle.model.interaction(batch), model.interaction(batch), rtol=0, atol=0
        )


def test_the_order_of_genes_is_the_bundles_own(
    task: GenesTask, data: TaskData, tmp_path: Path
) -> None:
    """Other genes in front of ours shift no index: names are looked up in the bundle."""
    state = {**data.state, "genes": [*data.state["genes"][1:], data.state["genes"][0]]}
    found = task.read_input([["G0000", "G0001"]], state)
    last = len(state["genes"]) - 1
    assert found.source.batch(np.arange(1)).gene_index.tolist() == [0, last]


def test_input_without_one_usable_set(task: GenesTask, data: TaskData, tmp_path: Path) -> None:
    path = tmp_path / "sets.tsv"
    path.write_text("G0001\tG9\n")
    with pytest.raises(DataError, match="not one gene set") as caught:
        task.read_input(path, data.state)
    assert "unknown gene 'G9'" in str(caught.value)
    assert caught.value.where == str(path)


def table(path: Path, rows: int, seed: int = 0) -> Path:
    """Random pairs of some genes; the label is the sum of two effects."""
    rng = np.random.default_rng(seed)
    effect = rng.normal(size=40)
    lines = ["one\ttwo\tscore"]
    for _ in range(rows):
        a, b = rng.choice(40, 2, replace=False)
        lines.append(f"N{a:02d}\tN{b:02d}\t{effect[a] + effect[b]:.5f}")
    path.write_text("\n".join([*lines, "N01\tN99\t0.5", "N01\tN02\tnone"]) + "\n")
    return path


@pytest.fixture
def own(tmp_path: Path) -> GenesTask:
    """A user's own table and edges."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "networks"
    folder.mkdir()
    for name in ("ppi", "coexpression"):
        ends = [f"N{a:02d}\tN{b:02d}" for a, b in rng.integers(0, 40, (90, 2))]
        (folder / f"{name}.tsv").write_text("\n".join(ends) + "\n")
    genes = tmp_path / "genes.txt"
    genes.write_text("\n".join(f"N{i:02d}" for i in range(40)) + "\n")
    config = resolve_preset(
        "genes/digenic",
        [
            f"data.source.path={table(tmp_path / 'scores.tsv', 150)}",
            "data.source.columns.genes=[one,two]",
            "data.source.columns.query=[one]",
            "data.source.columns.label=score",
            "data.source.columns.p_value=''",
            f"data.networks.path={folder}",
            f"data.networks.genes={genes}",
            "data.networks.format=edges",
            "data.networks.names=[]",
            "model.hidden_dim=8",
        ],
    )
    assert isinstance(config, GenesConfig)
    return GenesTask(config, tmp_path / "data")


def test_a_users_own_table(own: GenesTask, tmp_path: Path) -> None:
    data = own.split(own.load())
    assert data.summary["rejected"]["count"] == 2
    assert {one["name"] for one in data.state["networks"]} == {"ppi", "coexpression"}
    other = own.read_labelled(table(tmp_path / "new.tsv", 30, seed=5), data.state)
    assert other.summary["rejected"]["count"] == 2
    infer = over_source(own, model_of(own, data), batch_size=16)
    report = own.evaluate(infer, other, "test").report
    assert "No nulls" in report["tables"][0]["note"]
    assert own.config.levels()[1] == "scores"


def test_generated_data_have_no_columns_to_read(task: GenesTask, data: TaskData) -> None:
    with pytest.raises(DataError, match="no columns"):
        task.read_labelled(Path("scores.tsv"), data.state)


def test_equal_training_labels_are_an_error(own: GenesTask, tmp_path: Path) -> None:
    path = Path(own.config.data.source.path)
    lines = [line.rsplit("\t", 1)[0] for line in path.read_text().splitlines()[1:-2]]
    path.write_text("one\ttwo\tscore\n" + "".join(f"{line}\t0.25\n" for line in lines))
    with pytest.raises(DataError, match=r"every training label is 0\.25"):
        own.split(own.load())
