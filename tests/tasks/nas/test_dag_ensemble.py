"""The default predictor: what it may depend on, and that it learns an order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphwright.data.batch import GraphBatch
from graphwright.data.packed import PackedGraphs
from graphwright.tasks.nas.config import NasConfig
from graphwright.tasks.nas.data_config import GraphConfig
from graphwright.tasks.nas.encoding import encode, fit_encoding
from graphwright.tasks.nas.loaded import from_texts
from graphwright.tasks.nas.metrics import kendall_tau
from graphwright.tasks.nas.model_configs import DagEnsembleConfig
from graphwright.tasks.nas.models.dag_ensemble import DagEnsembleModel
from graphwright.tasks.nas.models.inputs import Sizes
from graphwright.tasks.nas.recipes import RECIPES, make_preset, with_recipe
from graphwright.tasks.nas.spaces import get_search_space
from graphwright.tasks.nas.task import NasTask
from graphwright.training.fit import fit_in_memory

SMALL = DagEnsembleConfig(members=3, hidden_dim=8, head_dim=8, num_layers=2)


def graphs_of(count: int = 40) -> tuple[PackedGraphs, Sizes]:
    """Random cells as the default recipe shows them to a model."""
    texts = get_search_space("nasbench201").sample(count, np.random.default_rng(0))
    base = NasConfig()
    config = replace(base, data=replace(base.data, graph=RECIPES["dag_ensemble"].graph))
    loaded, rows = from_texts(texts, "nasbench201"), np.arange(count)
    state = fit_encoding(loaded, rows, config)
    return encode(loaded, rows, state, config), Sizes.of(state, feasibility=False)


def model_of(sizes: Sizes, config: DagEnsembleConfig = SMALL, seed: int = 0) -> DagEnsembleModel:
    torch.manual_seed(seed)
    return DagEnsembleModel(config, sizes)


def batch_of(graphs: PackedGraphs, *rows: int) -> GraphBatch:
    batch: GraphBatch = graphs.batch(np.array(rows or range(len(graphs))))
    return batch


def test_values_and_embeddings_of_every_member() -> None:
    graphs, sizes = graphs_of()
    predicted = model_of(replace(sizes, outputs=2))(batch_of(graphs, 0, 1, 2, 3))
    assert predicted.values_MBT.shape == (3, 4, 2)
    assert predicted.forward_MBD is not None
    assert predicted.reverse_MBD is not None
    assert predicted.forward_MBD.shape == predicted.reverse_MBD.shape == (3, 4, 8)


def test_a_prediction_depends_on_its_own_architecture_alone() -> None:
    graphs, sizes = graphs_of()
    model = model_of(sizes)
    model(batch_of(graphs))  # running averages that are not those of the beginning
    model.eval()
    together = model(batch_of(graphs, 5, 6, 7)).values_MBT
    for place, row in enumerate((5, 6, 7)):
        alone = model(batch_of(graphs, row)).values_MBT
        torch.testing.assert_close(alone[:, 0], together[:, place])


def behind_layers(name: str) -> bool:
    """Whether the copies are the second dimension of a parameter."""
    return name.startswith("encoders.") and name != "encoders.first"


def test_members_do_not_share_weights() -> None:
    graphs, sizes = graphs_of()
    model = model_of(sizes)
    model(batch_of(graphs)).values_MBT[1].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # copies of an encoder come behind its layers: three forward ones, then three reverse ones
        grad = parameter.grad.transpose(0, 1) if behind_layers(name) else parameter.grad
        touched = grad.flatten(1).abs().amax(1) > 0
        assert touched[1], name
        assert not touched[[c for c in range(len(touched)) if c % 3 != 1]].any(), name
    assert len(model(batch_of(graphs)).values_MBT.unique(dim=0)) == 3


def test_direction_of_edges_matters_to_the_right_encoder() -> None:
    """Turned edges and swapped encoders give the other encoder's embedding."""
    graphs, sizes = graphs_of()
    model = model_of(sizes).eval()
    batch = batch_of(graphs)
    turned = replace(batch, edge_index=batch.edge_index.flip(0))
    with torch.no_grad():
        plain = model(batch)
        for name, parameter in model.named_parameters():
            if name.startswith("encoders."):
                parameter.copy_(parameter.roll(3, int(behind_layers(name))))
        other = model(turned)
    torch.testing.assert_close(plain.forward_MBD, other.reverse_MBD)
    torch.testing.assert_close(plain.reverse_MBD, other.forward_MBD)


def test_a_feature_far_from_all_others_has_a_bounded_effect() -> None:
    graphs, sizes = graphs_of()
    model = model_of(sizes).eval()
    batch = batch_of(graphs, 0)
    far, further = (
        replace(batch, graphs={**batch.graphs, "features": torch.full((1, sizes.graph), size)})
        for size in (50.0, 5e6)
    )
    torch.testing.assert_close(model(far).values_MBT, model(further).values_MBT)


@pytest.mark.parametrize("given", [GraphConfig(), GraphConfig(prune=True, positions=True)])
def test_works_without_features(given: GraphConfig) -> None:
    texts = get_search_space("nasbench201").sample(6, np.random.default_rng(0))
    base = NasConfig()
    config = replace(base, data=replace(base.data, graph=given))
    loaded, rows = from_texts(texts, "nasbench201"), np.arange(6)
    state = fit_encoding(loaded, rows, config)
    batch = batch_of(encode(loaded, rows, state, config))
    assert model_of(Sizes.of(state, feasibility=False))(batch).values_MBT.isfinite().all()


def test_the_recipe_learns_an_order_in_seconds(tmp_path: Path) -> None:
    config = with_recipe(make_preset("tiny"), "dag_ensemble")
    config = replace(config, training=replace(config.training, epochs=15))
    predicted, target = trained(config, tmp_path)
    # a random order has 0; noise of this data's labels leaves 0.7 and more to be learnt
    assert kendall_tau(predicted, target) > 0.5


def trained(config: NasConfig, root: Path) -> tuple[Any, Any]:
    """Predictions of the test split, and the labels."""
    task = NasTask(config, root)
    data = task.split(task.load())
    torch.manual_seed(0)
    model = fit_in_memory(task, task.build_model(data.state), data.sources["train"], seed=0)
    source = data.sources["test"]
    batch = source.batch(np.arange(len(source)))
    assert isinstance(batch, GraphBatch)
    with torch.inference_mode():
        mean_B = model(batch).values_MBT[:, :, 0].mean(0)
    return mean_B.numpy(), batch.graphs["target"][:, 0].numpy()
