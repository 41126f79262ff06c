"""The model as a whole: causal, equal to its plain formulation, and with the controls it claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm

from graphwright.tasks.language.model_configs import (
    DenseConfig,
    ExpertsConfig,
    GnnConfig,
    HgnnConfig,
    MeanConfig,
    StaticConfig,
)
from graphwright.tasks.language.models.generate import Sampling, generate
from graphwright.tasks.language.models.matching import (
    count_flops,
    count_parameters,
    dense_ffn_dim,
    matched_config,
)
from graphwright.tasks.language.models.model import CoupledLayer, DenseLayer, LanguageModel
from graphwright.tasks.language.models.positions import Rotation

SMALL = {"embed_dim": 16, "num_layers": 2, "num_heads": 2, "ffn_dim": 24, "dropout": 0.0}
MODELS = {
    "gnn": GnnConfig(**SMALL),
    "pairs": HgnnConfig(**SMALL),
    "triplets of 8": HgnnConfig(**SMALL, num_experts=8, hyperedges="all_triplets"),
    "pyg": HgnnConfig(**SMALL, convolution="pyg"),
    "mean": MeanConfig(**SMALL),
    "static": StaticConfig(**SMALL, position="learned"),
    "dense": DenseConfig(**SMALL),
    "routed gnn": GnnConfig(**SMALL, top_k=2),
    "routed one": MeanConfig(**SMALL, top_k=1, tie_head=False),
}
V, LENGTH = 50, 12


def make(config: ExpertsConfig, seed: int = 0) -> LanguageModel:
    torch.manual_seed(seed)
    model = LanguageModel(config, V, LENGTH).double().eval()
    for parameter in model.parameters():  # nothing that starts as zero hides a fault
        nn.init.normal_(parameter, std=0.3)
    return model


def tokens(rows: int, length: int, seed: int = 1) -> Tensor:
    return torch.randint(0, V - 1, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", MODELS)
def test_no_position_sees_the_future_and_no_row_another(name: str) -> None:
    model = make(MODELS[name])
    text = tokens(3, LENGTH)
    hidden, _ = model(text)
    for place in (0, 4, LENGTH - 1):
        changed = text.clone()
        changed[1, place] = (changed[1, place] + 7) % V
        other, _ = model(changed)
        same = torch.isclose(other, hidden, rtol=0, atol=1e-11).all(-1)
        assert same[[0, 2]].all()
        assert same[1, :place].all()
        assert not same[1, place:].any()  # and each later position does see it


@pytest.mark.parametrize("name", MODELS)
def test_a_token_costs_what_its_logits_say(name: str) -> None:
    model = make(MODELS[name])
    text = tokens(2, LENGTH + 1)
    losses, balance = model.losses(text)
    log_p = model.logits(model(text[:, :-1])[0]).log_softmax(-1)
    torch.testing.assert_close(losses, -log_p.gather(2, text[:, 1:, None])[..., 0])
    assert (balance > 0) == bool(MODELS[name].top_k)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_learnt(name: str) -> None:
    model = make(MODELS[name])
    losses, balance = model.losses(tokens(2, LENGTH + 1))
    (losses.mean() + balance).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


def plain_expert(layer: CoupledLayer, e: int, x: Tensor, rotation: Rotation, heads: int) -> Tensor:
    """One expert alone, by the textbook."""
    experts, dim = layer.experts, x.shape[-1]
    E = experts.num_experts
    weight = experts.qkv.weight.view(3, E, dim, dim)[:, e].reshape(3 * dim, dim)
    bias = experts.qkv.bias.view(3, E, dim)[:, e].reshape(3 * dim)
    qkv = nn.functional.linear(layer_norm(x, (dim,)), weight, bias)
    q, k, v = (p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in qkv.chunk(3, -1))
    q, k = rotation(q), rotation(k)
    scores = q @ k.mT / (dim // heads) ** 0.5
    later = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    mixed = scores.masked_fill(later, -torch.inf).softmax(-1) @ v
    mixed = mixed.transpose(1, 2).flatten(2)
    h = x + mixed @ experts.project.weight[e] + experts.project.bias[e]
    wide = gelu(layer_norm(h, (dim,)) @ experts.widen.weight[e] + experts.widen.bias[e])
    return h + wide @ experts.narrow.weight[e] + experts.narrow.bias[e]


@pytest.mark.parametrize("name", ["gnn", "triplets of 8"])
def test_stacked_experts_are_experts_in_a_loop(name: str) -> None:
    model = make(MODELS[name])
    layer, heads = model.layers[0], MODELS[name].num_heads
    x = torch.randn(2, LENGTH, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rotation = Rotation(0, LENGTH, 16 // heads, x)
    loop = [plain_expert(layer, e, x, rotation, heads) for e in range(MODELS[name].num_experts)]
    torch.testing.assert_close(layer.experts(x, rotation), torch.stack(loop, 2))
    torch.testing.assert_close(layer(x, rotation)[0], x + layer.coupler(torch.stack(loop, 2)))


def test_a_router_that_takes_everyone_is_no_routing_but_for_the_weights() -> None:
    routed = make(GnnConfig(**SMALL, top_k=4))
    layer = routed.layers[0]
    x = torch.randn(2, LENGTH, 16, dtype=torch.float64)
    rotation = Rotation(0, LENGTH, 8, x)
    routing = layer.router(x.view(-1, 16))
    all_of_them = layer.experts(x, rotation)
    chosen = routing.experts_TK.view(2, LENGTH, 4, 1).expand(-1, -1, -1, 16)
    expected = all_of_them.gather(2, chosen) * routing.weights_TK.view(2, LENGTH, 4, 1)
    torch.testing.assert_close(layer.experts(x, rotation, None, routing), expected)


def test_routed_work_does_not_grow_with_the_number_of_experts() -> None:
    four, eight = (
        CoupledLayer(MeanConfig(**SMALL | {"ffn_dim": 512}, num_experts=n, top_k=2)) for n in (4, 8)
    )
    more_attention = 2 * 4 * LENGTH * 4 * 16 * (16 + LENGTH)
    grown = count_flops(eight, LENGTH, 16) - count_flops(four, LENGTH, 16)
    assert 0 < grown < more_attention
    assert count_parameters(eight) > 1.9 * count_parameters(four)


def test_rotated_products_know_only_distances() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    q, k = torch.randn(2, 8, dtype=torch.float64)
    near = Rotation(0, 40, 8, like)
    rows = near(q.expand(40, 8)) @ near(k.expand(40, 8)).mT
    torch.testing.assert_close(rows[5, 2], rows[35, 32])
    assert not torch.isclose(rows[5, 2], rows[5, 3])
    torch.testing.assert_close(Rotation(7, 8, 8, like)(q[None]), near(q.expand(40, 8))[7:8])


@pytest.mark.parametrize("match", ["parameters", "compute"])
@pytest.mark.parametrize("like", ["gnn", "hgnn", "mean"])
def test_the_dense_control_has_what_it_is_said_to_have(match: str, like: str) -> None:
    config = DenseConfig(embed_dim=64, num_heads=2, ffn_dim=128, match=match, like=like)
    width = dense_ffn_dim(config, 32, lambda like: CoupledLayer(like), DenseLayer)
    dense, coupled = DenseLayer(config, width), CoupledLayer(matched_config(config))
    if match == "parameters":
        found, wanted = count_parameters(dense), count_parameters(coupled)
    else:
        found, wanted = count_flops(dense, 32, 64), count_flops(coupled, 32, 64)
    assert found == pytest.approx(wanted, rel=0.002)
    assert dense_ffn_dim(replace(config, match="none"), 32, None, DenseLayer) == 128


def test_operations_are_counted_as_the_textbook_counts_them() -> None:
    layer = DenseLayer(DenseConfig(embed_dim=64, num_heads=2), 128)
    products = 4 * 64 * 64 + 2 * 64 * 128  # multiplications a token
    attention = 2 * 32 * 64  # with 32 positions
    assert count_flops(layer, 32, 64) == 2 * 32 * (products + attention)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(top_k=5, seed=4)])
def test_generated_text_is_the_same_with_and_without_cache(name: str, sampling: Sampling) -> None:
    model = make(MODELS[name])
    prompt = [V - 1, 3, 5]
    steps = 3 * LENGTH  # past the window, twice
    cached = list(generate(model, prompt, steps, sampling, forbidden=[V - 1]))
    assert cached == list(generate(model, prompt, steps, sampling, forbidden=[V - 1], cache=False))
    assert len(cached) == steps
    assert V - 1 not in cached


def test_generated_text_follows_its_seed() -> None:
    model = make(MODELS["gnn"])
    texts = [tuple(generate(model, [1], 20, Sampling(seed=s))) for s in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert len(list(generate(model, list(range(40)), 3, Sampling()))) == 3  # a long prompt
    with pytest.raises(ValueError, match="at least one token"):
        next(generate(model, [], 3, Sampling()))


def test_few_likeliest_are_drawn_from() -> None:
    model = make(MODELS["mean"])
    first = {next(generate(model, [1], 1, Sampling(top_k=3, seed=seed))) for seed in range(60)}
    likeliest = model.logits(model(torch.tensor([[1]]))[0])[0, -1].topk(3).indices
    assert first == set(likeliest.tolist())
