"""The gated coupler against the loop over all pairs, and routed tokens in every coupler."""

import pytest
import torch
from torch import nn

from coupler_peers import PairwiseCoupler
from graphwright.errors import ConfigError
from graphwright.nn.expert_combine import MeanCoupler, StaticWeightsCoupler
from graphwright.nn.expert_graph import ExpertGraphConv, ExpertGraphCoupler
from graphwright.nn.hypergraph import HypergraphCoupler

DOUBLE = torch.float64


def scattered(module, scale=0.5):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return module


def value_and_gradients(module, parameters, x, weights):
    x = x.clone().requires_grad_()
    value = module(x)
    (value * weights).sum().backward()
    found = [value.detach(), x.grad, *(p.grad for p in parameters)]
    for parameter in parameters:
        parameter.grad = None
    return found


@pytest.mark.parametrize("num_experts", [1, 2, 4, 8])
@pytest.mark.parametrize("num_convs", [1, 2])
def test_coupler_equals_the_loop_over_pairs(num_experts, num_convs):
    torch.manual_seed(0)
    ours = scattered(ExpertGraphCoupler(num_experts, 6, num_convs=num_convs).double())
    x = torch.randn(2, 3, num_experts, 6, dtype=DOUBLE)
    weights = torch.randn(2, 3, 6, dtype=DOUBLE)
    parameters = list(ours.parameters())
    mine = value_and_gradients(ours, parameters, x, weights)
    peer = PairwiseCoupler(ours, map_messages=num_convs == 2)
    theirs = value_and_gradients(peer, parameters, x, weights)
    for a, b in zip(mine, theirs, strict=True):
        b = torch.zeros_like(a) if b is None else b  # the loop of one expert asks no gate
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_conv_is_the_formula():
    torch.manual_seed(1)
    conv = scattered(ExpertGraphConv(3, 4).double())
    x = torch.randn(5, 3, 4, dtype=DOUBLE)
    w1, w2 = conv.gate.weight[0].split(4)
    for i in range(3):
        heard = torch.zeros(5, 4, dtype=DOUBLE)
        for j in range(3):
            if i != j:
                gate = (x[:, i] @ w1 + x[:, j] @ w2 + conv.gate.bias).sigmoid()
                heard = heard + conv.adjacency_logits[i, j].sigmoid() * gate[:, None] * x[:, j]
        inner = heard @ conv.neighbors.weight.t() + conv.neighbors.bias
        inner = inner + x[:, i] @ conv.own.weight.t() + conv.own.bias
        torch.testing.assert_close(conv(x)[:, i], x[:, i] + nn.functional.gelu(inner))


@pytest.mark.parametrize("num_experts", [4, 8])
def test_no_position_sees_another(num_experts):
    torch.manual_seed(2)
    coupler = scattered(ExpertGraphCoupler(num_experts, 5).double())
    x = torch.randn(3, 9, num_experts, 5, dtype=DOUBLE, requires_grad=True)
    out = coupler(x)
    (grad,) = torch.autograd.grad(out[1, 4].square().sum(), x)
    assert grad[1, 4].abs().amin() > 0
    grad[1, 4] = 0
    assert grad.eq(0).all()
    changed = x.detach().clone()
    changed[1, 5:], changed[0] = 7, -3
    after = coupler(changed)
    assert torch.equal(after[1, :5], out[1, :5])
    assert torch.equal(after[2], out[2])


def test_shapes_adjacency_and_operators():
    torch.manual_seed(3)
    coupler = ExpertGraphCoupler(4, 6, num_convs=3)
    x = torch.randn(2, 5, 4, 6)
    assert coupler(x).shape == (2, 5, 6)
    away = 1 - torch.eye(4)
    torch.testing.assert_close(coupler.adjacency(), 0.5 * away.expand(3, 4, 4))
    scattered(coupler)
    bound, heard = coupler.operators(), coupler.operators(x)
    assert bound.shape == heard.shape == (3, 4, 4)
    assert (heard * away > 0).eq(away.bool()).all()
    assert (heard <= bound).all()
    torch.testing.assert_close(heard[0], coupler.convs[0].mix(x.flatten(0, 1)).mean(0))
    assert not heard.requires_grad


def test_every_parameter_but_the_diagonal_learns():
    torch.manual_seed(4)
    coupler = ExpertGraphCoupler(4, 6)
    coupler(torch.randn(2, 5, 4, 6)).square().sum().backward()
    for name, parameter in coupler.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    assert coupler.convs[0].adjacency_logits.grad.diagonal().eq(0).all()


def test_no_convolution_is_refused():
    with pytest.raises(ConfigError, match="0 convolutions"):
        ExpertGraphCoupler(4, 6, num_convs=0)


MAKERS = {
    "mean": lambda e: MeanCoupler(e, 6),
    "static": lambda e: StaticWeightsCoupler(e, 6),
    "gnn": lambda e: ExpertGraphCoupler(e, 6),
    "pairs": lambda e: HypergraphCoupler(e, 6, "all_pairs"),
    "pairs_every_pyg": lambda e: HypergraphCoupler(e, 6, convention="pyg", form="every"),
    "pairs_linear": lambda e: HypergraphCoupler(e, 6, form="linear"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_routed_to_all_experts_in_any_order_is_not_routed(kind):
    torch.manual_seed(5)
    coupler = scattered(MAKERS[kind](4).double())
    x = torch.randn(2, 3, 4, 6, dtype=DOUBLE)
    experts = torch.rand(2, 3, 4).argsort(-1)
    turned = x.gather(2, experts[..., None].expand(-1, -1, -1, 6))
    torch.testing.assert_close(coupler(turned, experts), coupler(x))


@pytest.mark.parametrize("kind", MAKERS)
def test_routed_to_some_is_the_coupler_of_these_alone(kind):
    """Token by token a lone coupler over the k experts it has, with their own parameters."""
    torch.manual_seed(6)
    coupler = scattered(MAKERS[kind](5).double())
    experts = torch.rand(2, 3, 5).argsort(-1)[..., :3]
    x = torch.randn(2, 3, 3, 6, dtype=DOUBLE)
    out = coupler(x, experts)
    for b in range(2):
        for t in range(3):
            lone = alone(coupler, MAKERS[kind](3).double(), experts[b, t])
            torch.testing.assert_close(out[b, t], lone(x[None, None, b, t])[0, 0])


def alone(coupler, small, experts):
    """`small` with the parameters of the full coupler that belong to these experts."""
    state = coupler.state_dict()
    for name, value in state.items():
        if name == "logits":
            state[name] = value[experts]
        elif name.endswith("adjacency_logits"):
            state[name] = value[experts][:, experts]
        elif name.endswith("hyperedge_weights"):
            pairs = [sorted(experts[list(pair)].tolist()) for pair in small.hyperedges]
            state[name] = value[[coupler.hyperedges.index(tuple(pair)) for pair in pairs]]
    small.load_state_dict(state)
    return small


@pytest.mark.parametrize("kind", MAKERS)
def test_the_gradient_of_routed_tokens_is_exact(kind):
    torch.manual_seed(7)
    coupler = scattered(MAKERS[kind](4).double())
    experts = torch.rand(1, 2, 4).argsort(-1)[..., :2]
    names = [name for name, _ in coupler.named_parameters()]

    def run(x, *values):
        weights = dict(zip(names, values, strict=True))
        return torch.func.functional_call(coupler, weights, (x, experts))

    x = torch.randn(1, 2, 2, 6, dtype=DOUBLE, requires_grad=True)
    values = [p.detach().clone().requires_grad_() for p in coupler.parameters()]
    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)


def test_triplets_of_two_experts_are_pairs_and_of_one_nothing():
    coupler = scattered(HypergraphCoupler(4, 6, "all_triplets"))
    conv = coupler.convs[0]
    operator = conv.operator(torch.tensor([[0, 3]]))
    # both members have the same hyperedges, so each hears half of each whatever the weights
    torch.testing.assert_close(operator, torch.full((1, 2, 2), 0.5))
    assert conv.operator(torch.tensor([[2]])).eq(0).all()
