"""The aggregators against plain formulas, one row and one pair at a time, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graphwright.errors import ConfigError
from graphwright.tasks.genes.model_configs import GeneInteractionConfig
from graphwright.tasks.genes.models.aggregators import Aggregation, CrossAttention, make_mixer
from graphwright.tasks.genes.models.norms import WholeBatchNorm
from graphwright.tasks.genes.models.pair_mixer import PairMixer

G, R, D = 4, 6, 8


def inputs(seed: int = 0, rows: int = R) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(G, rows, D, dtype=torch.float64, generator=generator, requires_grad=True)
    return list(x.unbind())


def randomised(module: nn.Module, seed: int = 1) -> nn.Module:
    """Biases and all, so that nothing is zero by accident."""
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module


def plain_pairs(mixer: PairMixer, x_GD: Tensor) -> tuple[Tensor, Tensor]:
    """One row, one pair after the other, as the formula reads."""
    options = []
    for p, (i, j) in enumerate(mixer.pairs.t().tolist()):
        hidden = torch.cat([x_GD[i], x_GD[j]])
        for layer in (mixer.first, *mixer.inner):
            hidden = (hidden @ layer.weight[p] + layer.bias[p, 0]).relu()
        options.append(hidden @ mixer.last.weight[p] + mixer.last.bias[p, 0])
    options.append(x_GD.mean(0))
    option_KD = torch.stack(options)
    weight_K = mixer.score(option_KD).squeeze(1).softmax(0)
    return weight_K @ option_KD, weight_K


def plain_attention(mixer: CrossAttention, x_GD: Tensor) -> tuple[Tensor, Tensor]:
    """torch's own attention with the same weights."""
    torch_mha = nn.MultiheadAttention(D, mixer.heads, batch_first=True, dtype=torch.float64)
    maps = (mixer.query_key, mixer.value)
    with torch.no_grad():
        torch_mha.in_proj_weight.copy_(torch.cat([part.weight for part in maps]))
        torch_mha.in_proj_bias.copy_(torch.cat([part.bias for part in maps]))
        torch_mha.out_proj.weight.copy_(mixer.out.weight)
        torch_mha.out_proj.bias.copy_(mixer.out.bias)
    out_GD, weight_GG = torch_mha(x_GD[None], x_GD[None], x_GD[None])
    return out_GD[0].mean(0), weight_GG[0].mean(0)


@pytest.mark.parametrize("depth", [2, 3])
def test_pairs_are_those_of_the_formula(depth: int) -> None:
    mixer = randomised(PairMixer(G, D, 3, depth))
    assert isinstance(mixer, PairMixer)
    xs = inputs()
    out, weight = mixer(xs)
    for row in range(R):
        expected, expected_weight = plain_pairs(mixer, torch.stack(xs)[:, row])
        torch.testing.assert_close(out[row], expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(weight[row], expected_weight, rtol=1e-10, atol=1e-10)


def test_gradients_of_the_pairs_are_those_of_the_formula() -> None:
    mixer = randomised(PairMixer(G, D, 3))
    assert isinstance(mixer, PairMixer)
    xs = inputs()
    mixer(xs)[0].square().sum().backward()
    got = {name: weight.grad.clone() for name, weight in mixer.named_parameters()}
    mixer.zero_grad()
    rows = [plain_pairs(mixer, torch.stack(xs)[:, row])[0] for row in range(R)]
    torch.stack(rows).square().sum().backward()
    for name, weight in mixer.named_parameters():
        torch.testing.assert_close(got[name], weight.grad, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("make", [PairMixer, CrossAttention])
def test_blocks_of_rows_change_nothing(
    make: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = PairMixer(G, D, 3) if make is PairMixer else CrossAttention(D, 2, recompute=True)
    mixer, shaped = randomised(module), [x.view(2, 3, D) for x in inputs()]
    found = []
    for rows in (1000, 4):
        monkeypatch.setattr("graphwright.nn.recompute._CPU_BLOCK", rows)
        mixer.zero_grad()
        out, weight = mixer(shaped)
        out.square().sum().backward()
        found.append((out, weight, *(part.grad.clone() for part in mixer.parameters())))
    assert found[0][0].shape == (2, 3, D)
    assert found[0][1].shape == (2, 3, 10 + 1 if make is PairMixer else G)
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(mixer(shaped), found[0][:2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("heads", [1, 2])
def test_cross_attention_is_multi_head_attention_and_a_mean(heads: int, recompute: bool) -> None:
    mixer = randomised(CrossAttention(D, heads, recompute=recompute))
    assert isinstance(mixer, CrossAttention)
    xs = inputs()
    out, weight = mixer(xs)
    for row in range(R):
        expected, expected_weight = plain_attention(mixer, torch.stack(xs)[:, row])
        torch.testing.assert_close(out[row], expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(weight[row], expected_weight, rtol=1e-10, atol=1e-10)


def test_sum_and_mean() -> None:
    xs = inputs()
    total, none = make_mixer(GeneInteractionConfig(aggregator="sum"), G)(iter(xs))
    mean, also_none = make_mixer(GeneInteractionConfig(aggregator="mean"), G)(iter(xs))
    assert none is None
    assert also_none is None
    torch.testing.assert_close(total, torch.stack(xs).sum(0))
    torch.testing.assert_close(mean, torch.stack(xs).mean(0))


@pytest.mark.parametrize("aggregator", ["sum", "mean", "cross_attention", "pairwise_interaction"])
def test_a_row_knows_nothing_of_the_others(aggregator: str) -> None:
    config = GeneInteractionConfig(hidden_dim=D, aggregator=aggregator, bottleneck=3)
    module = randomised(Aggregation.of(config, G))
    xs = inputs()
    out, weight = module(xs)
    alone, alone_weight = module([x[2:3] for x in xs])
    torch.testing.assert_close(out[2:3], alone, rtol=1e-12, atol=1e-12)
    if weight is not None:
        torch.testing.assert_close(weight[2:3], alone_weight, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(weight.sum(1), torch.ones(R, dtype=torch.float64))
        names = module.option_names(["a", "b", "c", "d"])
        assert len(names) == weight.shape[1]


def test_options_have_names() -> None:
    mixer = PairMixer(2, D, 3)
    assert mixer.option_names(["physical", "genetic"]) == (
        "physical",
        "physical x genetic",
        "genetic",
        "identity",
    )
    assert len(PairMixer(9, D, 3).option_names("abcdefghi")) == 45 + 1


def test_the_whole_batch_norm_is_over_everything() -> None:
    norm = randomised(WholeBatchNorm(D))
    x = inputs()[0].detach()
    flat = (x - x.mean()) / (x.std(unbiased=False) + 1e-5)
    torch.testing.assert_close(norm(x), flat * norm.weight + norm.bias)
    assert not torch.allclose(norm(x)[:1], norm(x[:1]))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="3 attention heads do not divide 8"):
        CrossAttention(8, 3)


def test_many_equal_networks_are_weighed_alike() -> None:
    same = [inputs()[0]] * G
    _, weight = randomised(CrossAttention(D, 2))(same)
    torch.testing.assert_close(weight, torch.full_like(weight, 1 / G))
