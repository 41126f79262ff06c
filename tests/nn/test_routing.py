"""Sparse routing against every expert on every token with a mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphwright.errors import ConfigError
from graphwright.nn.expert_graph import ExpertGraphCoupler
from graphwright.nn.routing import GroupedLinear, Router, grouped_linear

DOUBLE = torch.float64


def dense_reference(router, layers, x_TD):
    """Every expert on every token; all but the k likeliest are masked."""
    probability_TE = (x_TD @ router.logits.weight.t()).softmax(1)
    least_T1 = probability_TE.topk(router.top_k, dim=1).values[:, -1:]
    weights_TE = probability_TE * (probability_TE >= least_T1)
    if router.renormalize:
        weights_TE = weights_TE / weights_TE.sum(1, keepdim=True)
    out_ETF = x_TD
    for layer in layers:
        out_ETF = (out_ETF @ layer.weight + layer.bias).tanh()
    return torch.einsum("te,etf->tf", weights_TE, out_ETF)


def sparse(router, layers, x_TD):
    routing = router(x_TD)
    rows = routing.dispatch(x_TD)
    for layer in layers:
        rows = layer(rows, routing).tanh()
    return routing.combine(rows)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_value_and_gradient_equal_the_dense_reference(num_experts, top_k, tokens, seed):
    torch.manual_seed(seed)
    top_k = min(top_k, num_experts)
    router = Router(5, num_experts, top_k, renormalize=top_k > 1).double()
    layers = [GroupedLinear(num_experts, 5, 7).double(), GroupedLinear(num_experts, 7, 3).double()]
    x = torch.randn(tokens, 5, dtype=DOUBLE, requires_grad=True)
    inputs = [x, router.logits.weight, *(p for layer in layers for p in layer.parameters())]
    weights, both = torch.randn(tokens, 3, dtype=DOUBLE), []
    for run in (sparse, dense_reference):
        out = run(router, layers, x)
        both.append([out, *torch.autograd.grad((out * weights).sum(), inputs)])
    for mine, theirs in zip(*both, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_slots_feed_a_coupler_with_the_gradient_of_the_router():
    torch.manual_seed(1)
    router, layer, coupler = Router(5, 4, 2), GroupedLinear(4, 5, 6), ExpertGraphCoupler(4, 6)
    x = torch.randn(6, 5)
    routing = router(x)
    slots = routing.slots(layer(routing.dispatch(x), routing))
    experts = routing.experts_TK.view(2, 3, 2)
    out = coupler(slots.view(2, 3, 2, 6), experts)
    assert out.shape == (2, 3, 6)
    out.square().sum().backward()
    assert router.logits.weight.grad.abs().max() > 0
    every_ETF = x @ layer.weight + layer.bias
    for t in range(6):
        for k, expert in enumerate(routing.experts_TK[t].tolist()):
            want = every_ETF[expert, t] * routing.weights_TK[t, k]
            torch.testing.assert_close(slots[t, k], want)


def test_load_balance_is_the_formula_of_the_paper():
    torch.manual_seed(2)
    router = Router(5, 4, 1)
    x = torch.randn(50, 5)
    routing = router(x)
    probability = router.logits(x).softmax(1)
    total = sum(
        (probability.argmax(1) == expert).float().mean() * probability[:, expert].mean()
        for expert in range(4)
    )
    torch.testing.assert_close(routing.balance, 4 * total)


def test_load_balance_is_one_for_even_probabilities_and_e_for_a_collapse():
    router = Router(3, 4, 1)
    x = torch.ones(8, 3)
    torch.nn.init.zeros_(router.logits.weight)
    torch.testing.assert_close(router(x).balance, torch.tensor(1.0))
    with torch.no_grad():
        router.logits.weight[2] = 100
    torch.testing.assert_close(router(x).balance, torch.tensor(4.0))


def test_training_on_the_balance_spreads_the_tokens():
    torch.manual_seed(3)
    router = Router(6, 4, 1)
    with torch.no_grad():
        router.logits.weight[0] += 1
    x = torch.randn(256, 6) + 1
    before = router(x)
    optimizer = torch.optim.Adam(router.parameters(), lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        router(x).balance.backward()
        optimizer.step()
    largest = [max(torch.tensor(routing.ptr).diff()) for routing in (before, router(x))]
    assert largest[0] > 150
    assert largest[1] < 110


def test_an_expert_without_tokens_has_a_zero_gradient():
    weight = torch.randn(3, 4, 2, requires_grad=True)
    bias = torch.randn(3, 1, 2, requires_grad=True)
    rows = torch.randn(5, 4, requires_grad=True)
    out = grouped_linear(rows, weight, bias, (0, 2, 2, 5))
    torch.testing.assert_close(out[2:], rows[2:] @ weight[2] + bias[2])
    out.sum().backward()
    assert weight.grad[1].eq(0).all()
    assert bias.grad[1].eq(0).all()
    assert weight.grad[0].ne(0).any()


def test_the_grouped_map_has_exact_gradients():
    shapes = [(5, 4), (3, 4, 2), (3, 1, 2)]
    inputs = [torch.randn(shape, dtype=DOUBLE, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(lambda *x: grouped_linear(*x, (0, 2, 2, 5)), inputs)


def test_routing_is_in_float32_under_autocast_and_the_map_is_not():
    torch.manual_seed(4)
    router, layer, x = Router(8, 4, 2), GroupedLinear(4, 8, 8), torch.randn(6, 8)
    plain = router(x)
    with torch.autocast("cpu", torch.bfloat16):
        routing = router(x)
        out = layer(routing.dispatch(x), routing)
    assert torch.equal(routing.experts_TK, plain.experts_TK)
    assert torch.equal(routing.balance, plain.balance)
    assert out.dtype == torch.bfloat16
    assert routing.combine(out).dtype == torch.bfloat16
    combined = plain.combine(layer(plain.dispatch(x), plain))
    torch.testing.assert_close(routing.combine(out).float(), combined, rtol=0.1, atol=0.1)


def test_no_tokens_are_no_rows():
    router, layer = Router(8, 4, 2), GroupedLinear(4, 8, 3)
    x = torch.randn(0, 8)
    routing = router(x)
    assert routing.combine(layer(routing.dispatch(x), routing)).shape == (0, 3)
    assert routing.balance == 0


@pytest.mark.parametrize("top_k", [0, 5])
def test_an_impossible_k_is_refused(top_k):
    with pytest.raises(ConfigError, match=f"top_k {top_k} of 4"):
        Router(8, 4, top_k)


def test_one_renormalised_expert_is_refused():
    with pytest.raises(ConfigError, match="constant 1"):
        Router(8, 4, 1, renormalize=True)
