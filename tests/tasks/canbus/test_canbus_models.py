"""VGAE and GAT: published sizes, invariances, inputs, calibration."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from model_windows import KNOWN, window_batch, window_state

from graphwright.data.batch import GraphBatch
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.canbus.build import build_model, parameter_count
from graphwright.tasks.canbus.model_configs import (
    SIZES,
    GATConfig,
    VGAEConfig,
    gat_sizes,
    published_gat,
    vgae_sizes,
)
from graphwright.tasks.canbus.models.gat import attack_probability
from graphwright.tasks.canbus.models.inputs import IdTable, Standardise, WindowInputs
from graphwright.tasks.canbus.models.relative import relative_statistics
from graphwright.tasks.canbus.models.score import Calibration, CompositeScore, calibrate
from graphwright.tasks.canbus.models.vgae import node_errors
from graphwright.tasks.canbus.thresholds import benign_quantile, prefix_threshold
from graphwright.tasks.canbus.window_stats import STATISTICS

SMALL = {
    "vgae": VGAEConfig(hidden_dims=(12, 8), latent_dim=4, heads=2, embedding_dim=3),
    "gat": GATConfig(head_dim=4, heads=2, num_layers=2, embedding_dim=3, fc_dim=6),
    "gat lstm": dataclasses.replace(
        published_gat("student"), head_dim=4, embedding_dim=3, edge_features=True
    ),
    "vgae stats": VGAEConfig(hidden_dims=(8,), latent_dim=3, window_stats=True, largest_error=True),
    "gat stats": GATConfig(
        head_dim=4, heads=2, embedding_dim=3, fc_dim=6, pool="mean_max", window_stats=True
    ),
}


@pytest.fixture(params=list(SMALL))
def model(request):
    torch.manual_seed(0)
    return build_model(SMALL[request.param], window_state()).eval()


def scores(model, batch):
    return model.summary(batch)


@pytest.mark.parametrize(("size", "count"), [("teacher", 4_999_426), ("student", 316_034)])
def test_published_sizes(size, count):
    with torch.device("meta"):
        model = build_model(published_gat(size), window_state())
    assert parameter_count(model) == count


@pytest.mark.parametrize("sizes", [vgae_sizes, gat_sizes])
@pytest.mark.parametrize("known", [50, 1000])
def test_students_have_a_tenth_of_their_teachers_parameters(sizes, known):
    state = window_state() | {"ids": list(range(known))}
    assert set(sizes()) == set(SIZES)
    counts = {
        size: parameter_count(build_model(config, state))
        for size, config in sizes().items()
        if size != "huge"
    }
    assert counts["student"] <= counts["teacher"] / 10
    assert counts["tiny"] < counts["student"] < counts["intermediate"] < counts["teacher"]


def test_the_projection_of_distillation_is_not_counted():
    plain = build_model(SMALL["vgae"], window_state())
    learning = build_model(SMALL["vgae"], window_state() | {"teacher_latent": 48})
    assert learning.projection.weight.shape == (48, 4)
    assert parameter_count(plain) == parameter_count(learning)


def test_heads_must_divide_every_width():
    with pytest.raises(ConfigError, match="3 heads do not divide a width of 40"):
        build_model(VGAEConfig(hidden_dims=(81, 40), heads=3), window_state())


def test_a_window_does_not_depend_on_its_batch(model):
    whole = scores(model, window_batch())
    for b in range(6):
        torch.testing.assert_close(scores(model, one_window(window_batch(), b))[0], whole[b])


def one_window(batch, b):
    nodes = slice(batch.node_ptr[b], batch.node_ptr[b + 1])
    edges = slice(batch.edge_ptr[b], batch.edge_ptr[b + 1])
    return GraphBatch.from_arrays(
        node_counts=[nodes.stop - nodes.start],
        edge_counts=[edges.stop - edges.start],
        edge_index=batch.edge_index[:, edges] - batch.node_ptr[b],
        nodes={name: value[nodes] for name, value in batch.nodes.items()},
        edges={name: value[edges] for name, value in batch.edges.items()},
        graphs={name: value[b : b + 1] for name, value in batch.graphs.items()},
    )


def test_the_order_of_nodes_and_edges_does_not_matter(model):
    batch = window_batch(windows=1, seed=3)
    place = torch.randperm(batch.num_nodes, generator=torch.Generator().manual_seed(0))
    turned = place.argsort()[batch.edge_index]
    edges = torch.randperm(batch.num_edges, generator=torch.Generator().manual_seed(1))
    mixed = GraphBatch.from_arrays(
        node_counts=[batch.num_nodes],
        edge_counts=[batch.num_edges],
        edge_index=turned[:, edges],
        nodes={name: value[place] for name, value in batch.nodes.items()},
        edges={name: value[edges] for name, value in batch.edges.items()},
        graphs=batch.graphs,
    )
    torch.testing.assert_close(scores(model, mixed), scores(model, batch))


def test_summaries_are_as_wide_as_they_say(model):
    summary = scores(model, window_batch())
    assert summary.shape == (6, model.summary_dim)
    assert summary.isfinite().all()
    assert ((summary[:, 0] >= 0) & (summary[:, 0] <= 1)).all()


def test_double_precision_and_finite_gradients(model):
    batch = window_batch().to(dtype=torch.float64)
    model.double().train()
    output = model(batch)
    if hasattr(output, "logits"):
        out = output.logits if output.strange is None else output.logits + output.strange
    else:
        out = sum(node_errors(output).values())
    out.sum().backward()
    assert out.dtype == torch.float64
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_ids_become_indices_and_unknown_ones_zero():
    table = IdTable([9, 3, 0x80000001])
    ids = torch.tensor([3, 9, 0x80000001, 1, 0x80000000, 2**32 - 1, 0])
    assert table(ids).tolist() == [1, 2, 3, 0, 0, 0, 0]
    assert len(table) == 4
    assert IdTable([])(ids).tolist() == [0] * 7


def test_exported_lookup_equals_the_fast_one(monkeypatch):
    table, ids = IdTable(KNOWN), torch.tensor([*KNOWN, 5, 0])
    fast = table(ids)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert table(ids).tolist() == fast.tolist()


def test_a_repeated_id_is_refused():
    with pytest.raises(DataError, match="1 ids of the vocabulary occur twice"):
        IdTable([3, 3])


def test_training_hides_ids_and_use_does_not():
    torch.manual_seed(0)
    table, index = IdTable(KNOWN, unknown_rate=0.3), torch.ones(5000, dtype=torch.int64)
    assert (table.hide(index) == 0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (table.eval().hide(index) == 1).all()


def test_features_are_bounded_and_constant_ones_keep_their_unit():
    layer = Standardise([1.0, 2.0], [2.0, 0.0])
    out = layer(torch.tensor([[5.0, 2.5], [1e9, -1e9]]))
    assert out.tolist() == [[2.0, 0.5], [10.0, -10.0]]


@pytest.mark.parametrize("name", ["vgae", "gat"])
def test_id_free_models_do_not_see_ids(name):
    torch.manual_seed(0)
    model = build_model(SMALL[name], window_state(id_free=True)).eval()
    batch = window_batch()
    before = model.summary(batch)
    batch.nodes["id"] = torch.arange(batch.num_nodes)
    torch.testing.assert_close(model.summary(batch), before)
    assert not any("embedding" in key or "id_head" in key for key in model.state_dict())


def test_vgae_draws_only_in_training():
    model = build_model(SMALL["vgae"], window_state())
    batch = window_batch()
    assert not torch.equal(model(batch).reconstructed, model(batch).reconstructed)
    model.eval()
    assert torch.equal(model(batch).reconstructed, model(batch).reconstructed)


def test_vgae_neighbours_are_the_ids_that_followed():
    model = build_model(SMALL["vgae"], window_state()).eval()
    batch = window_batch()
    table = {raw: i + 1 for i, raw in enumerate(sorted(KNOWN))}
    want = torch.zeros(batch.num_nodes, len(KNOWN) + 1)
    for source, target in batch.edge_index.t().tolist():
        want[source, table.get(int(batch.nodes["id"][target]), 0)] = 1
    torch.testing.assert_close(model(batch).neighbours, want)


def test_calibrated_scores_of_benign_windows():
    torch.manual_seed(0)
    model = build_model(SMALL["vgae"], window_state())
    benign = [window_batch(windows=100, seed=s, attacks=False) for s in range(3)]
    found = calibrate(model, benign, rate=0.05)
    assert model.training
    model.eval()
    score = torch.cat([model.score(batch) for batch in benign])
    assert float((score > found.threshold).float().mean()) == pytest.approx(0.05, abs=0.01)
    anomaly = torch.cat([model.anomaly(batch) for batch in benign])
    assert torch.equal(anomaly > 0.5, score > found.threshold)
    again = build_model(SMALL["vgae"], window_state())
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval().anomaly(benign[0]), anomaly[:100])
    strange = window_batch(windows=100, seed=9)
    attack = strange.graphs["label"] > 0
    assert model.score(strange)[attack].mean() > model.score(strange)[~attack].mean() + 0.2


def test_the_score_by_hand_leaves_the_divergence_out():
    model = build_model(SMALL["vgae"], window_state()).eval()
    benign = [window_batch(windows=50, seed=1, attacks=False)]
    found = calibrate(model, benign, rate=0.05)
    output = model(benign[0])
    assert list(node_errors(output)) == ["features", "kl", "id", "neighbours"]
    z = ((model.parts(output) + 1e-6).log() - torch.tensor(found.mean)) / torch.tensor(found.sd)
    scored = torch.nn.functional.softplus(z[:, [0, 2, 3, 4, 6, 7]])
    torch.testing.assert_close(model.score(benign[0]), scored.pow(2).mean(1).sqrt())
    torch.testing.assert_close(z.mean(0), torch.zeros(8), atol=1e-4, rtol=0)


def strange_batch(seed=0):
    """The windows of a vehicle none of whose ids is known."""
    batch = window_batch(windows=40, seed=seed)
    batch.nodes["id"] = torch.arange(batch.num_nodes) + 2**20
    return batch


@pytest.mark.parametrize("name", ["vgae stats", "gat stats"])
def test_an_unknown_vehicle_is_judged_by_relative_statistics_alone(name):
    torch.manual_seed(0)
    model = build_model(SMALL[name], window_state()).eval()
    batch = strange_batch()
    before = model.summary(batch)[:, 0]
    batch.nodes["x"] = torch.randn_like(batch.nodes["x"])
    batch.graphs["stats"][:, 8:14] += 3.0  # means of bytes and the like
    torch.testing.assert_close(model.summary(batch)[:, 0], before)
    batch.graphs["stats"][:, 7] /= 50  # an id repeats sooner
    assert (model.summary(batch)[:, 0] != before).any()
    known = window_batch(windows=40)
    known.nodes["id"] = torch.tensor(KNOWN)[torch.arange(known.num_nodes) % len(KNOWN)]
    kept = model.summary(known)[:, 0]
    known.nodes["x"] = known.nodes["x"] + 20
    assert (model.summary(known)[:, 0] != kept).any()


def test_both_heads_get_the_threshold_of_benign_windows():
    torch.manual_seed(0)
    model = build_model(SMALL["gat stats"], window_state()).eval()
    benign = window_batch(windows=300, attacks=False)
    benign.nodes["id"] = torch.tensor(KNOWN)[torch.arange(benign.num_nodes) % len(KNOWN)]
    model.move_threshold([benign], rate=0.05)
    p = attack_probability(model(benign).logits)
    assert float((p > 0.5).float().mean()) == pytest.approx(0.05, abs=0.01)
    benign.nodes["id"] = torch.arange(benign.num_nodes) + 2**20
    p = attack_probability(model(benign).logits)
    assert float((p > 0.5).float().mean()) == pytest.approx(0.05, abs=0.01)


def test_both_scores_of_a_vgae_get_the_threshold_of_benign_windows():
    torch.manual_seed(0)
    model = build_model(SMALL["vgae stats"], window_state()).eval()
    benign = window_batch(windows=300, attacks=False)
    benign.nodes["id"] = torch.tensor(KNOWN)[torch.arange(benign.num_nodes) % len(KNOWN)]
    calibrate(model, [benign], rate=0.05)
    # two scores, each with its share
    assert 0.04 < float((model.anomaly(benign) > 0.5).float().mean()) < 0.11
    benign.nodes["id"] = benign.nodes["id"] + 2**20
    anomaly = model.anomaly(benign)
    assert float((anomaly > 0.5).float().mean()) == pytest.approx(0.05, abs=0.01)
    attack = strange_batch(seed=1)
    anomaly, is_attack = model.anomaly(attack), attack.graphs["label"] > 0
    assert anomaly[is_attack].min() > anomaly[~is_attack].median()


def test_the_larger_of_both_anomalies_counts_where_ids_are_known():
    torch.manual_seed(0)
    model = build_model(SMALL["vgae stats"], window_state(id_free=True)).eval()
    batch = window_batch(windows=20)
    graph = model.composite.anomaly(model.score(batch))
    distance = model.distance(model.relative(batch))
    assert (graph > distance).any()
    assert (graph < distance).any()
    torch.testing.assert_close(model.anomaly(batch), torch.maximum(graph, distance))


def test_the_largest_error_is_that_of_one_feature():
    model = build_model(SMALL["vgae stats"], window_state()).eval()
    output = model(window_batch())
    error = (output.reconstructed - output.features).square()
    torch.testing.assert_close(node_errors(output)["largest"], error.max(1).values)
    plain = build_model(SMALL["vgae"], window_state())
    assert "largest" not in node_errors(plain(window_batch()))


def test_windows_far_above_the_threshold_still_differ():
    score = CompositeScore(parts=2)
    score.take(Calibration([0.0] * 2, [1.0] * 2, 1.5))
    far = score.anomaly(torch.tensor([20.0, 20.5, 30.0]))
    assert far[0] < far[1] < far[2] < 1
    exact = score.anomaly(torch.tensor([1.4999, 1.5, 1.5001]))
    assert (exact > 0.5).tolist() == [False, False, True]
    torch.testing.assert_close(score.anomaly(torch.tensor(3.0)), torch.tensor(8 / 9))


def test_relative_statistics_by_hand():
    stats = torch.zeros(1, len(STATISTICS))
    values = {
        "ids": 8.0,
        "gap_mean": 0.001,
        "repeat_min": 0.0004,
        "top_id_share": 0.25,
        "id_entropy": 2.5,
        "self_loop_share": 0.1,
    }
    for name, value in values.items():
        stats[0, STATISTICS.index(name)] = value
    want = [math.log(0.05 + 1e-3), math.log(2.0), 0.5, 0.1]
    torch.testing.assert_close(relative_statistics(stats)[0], torch.tensor(want))
    slower = stats.clone()
    for name in ("gap_mean", "repeat_min"):
        slower[0, STATISTICS.index(name)] *= 7  # a bus with another rate
    torch.testing.assert_close(relative_statistics(slower), relative_statistics(stats))
    assert relative_statistics(torch.zeros(3, len(STATISTICS))).isfinite().all()


def test_calibration_refuses_attacks_and_nothing():
    model = build_model(SMALL["vgae"], window_state())
    with pytest.raises(DataError, match="with an attack"):
        calibrate(model, [window_batch()])
    with pytest.raises(DataError, match="no benign window"):
        calibrate(model, [])


def test_one_logit_is_that_of_the_attack():
    logit = torch.tensor([[-2.0], [0.0], [3.0]])
    torch.testing.assert_close(attack_probability(logit), logit[:, 0].sigmoid())


def test_edge_features_arrive_in_the_order_of_the_sorted_edges():
    batch = window_batch(windows=2, seed=5)
    graph = WindowInputs(window_state(), 3, 0.0).graph(batch)
    mixed = torch.randperm(batch.num_edges, generator=torch.Generator().manual_seed(0))
    other = dataclasses.replace(
        batch,
        edge_index=batch.edge_index[:, mixed],
        edges={"edge_x": batch.edges["edge_x"][mixed]},
    )

    def listed(some):
        ends = zip(some.edges.source.tolist(), some.edges.target.tolist(), strict=True)
        return dict(zip(ends, some.features.tolist(), strict=True))

    assert listed(WindowInputs(window_state(), 3, 0.0).graph(other)) == listed(graph)


def test_a_benign_quantile_is_exceeded_by_its_rate():
    scores = np.random.default_rng(0).normal(size=1000)
    for rate in (0.5, 0.05, 0.01):
        assert (scores > benign_quantile(scores, rate)).mean() <= rate
        assert (scores >= benign_quantile(scores, rate)).mean() >= rate
    with pytest.raises(DataError, match="none"):
        benign_quantile(np.array([]), 0.01)
    with pytest.raises(DataError, match="1 scores"):
        benign_quantile(np.array([1.0, np.nan]), 0.01)


def test_prefix_thresholds_keep_their_promise_on_average():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        score, end = rng.gamma(2, size=300), np.arange(300) / 10 + 5
        found = prefix_threshold(score, end, start=5.0, seconds=9.9, rate=0.05)
        assert found in score[:100]
        rates.append((score[100:] > found).mean())
    # the 96th of 100: a further window lies above it with a probability of 5 / 101
    assert np.mean(rates) == pytest.approx(5 / 101, abs=0.004)


def test_a_prefix_that_is_too_short_is_refused():
    score, end = np.arange(30.0), np.arange(30) / 10
    with pytest.raises(DataError, match=r"hold 11 windows, a false-positive rate of 0.05 needs 19"):
        prefix_threshold(score, end, start=0.0, seconds=1.0, rate=0.05)
    assert prefix_threshold(score, end, start=0.0, seconds=1.8, rate=0.05) == 18
