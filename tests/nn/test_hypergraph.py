"""The hypergraph coupler against PyG on the correct block-diagonal batch, and its own facts."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coupler_peers import PygCoupler, block_diagonal_index
from graphwright.errors import ConfigError
from graphwright.nn.expert_combine import MeanCoupler, StaticWeightsCoupler
from graphwright.nn.expert_exchange import exchange, exchange_reference, mix_experts
from graphwright.nn.hyperedges import hyperedge_index, incidence_matrix, make_hyperedges
from graphwright.nn.hypergraph import HypergraphConv, HypergraphCoupler, propagation

DOUBLE = torch.float64
CUSTOM = [[0, 1, 2], [2, 3], [0, 3]]


def scattered(module, scale=0.7):
    """The module with every parameter away from its start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return module


def gradients(module, x, weights):
    """Value, and the gradient of its weighted sum for the input and every parameter."""
    x = x.clone().requires_grad_()
    module.zero_grad()
    value = module(x)
    (value * weights).sum().backward()
    return [value.detach(), x.grad, *(p.grad.clone() for p in module.parameters())]


def assert_same_parameters_and_gradients(ours, peer, x, **tolerance):
    weights = torch.randn(*x.shape[:2], x.shape[-1], dtype=x.dtype)
    mine = gradients(ours, x, weights)
    x = x.clone().requires_grad_()
    ours.zero_grad()
    value = peer(x)
    (value * weights).sum().backward()
    theirs = [value.detach(), x.grad, *(p.grad for p in ours.parameters())]
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("strategy", ["all_pairs", "all_triplets", "all", CUSTOM])
@pytest.mark.parametrize("learnable", [True, False])
@pytest.mark.parametrize("form", ["between", "every", "linear"])
def test_coupler_equals_torch_geometric(strategy, learnable, form):
    pytest.importorskip("torch_geometric")
    torch.manual_seed(0)
    ours = HypergraphCoupler(4, 6, strategy, convention="pyg", learnable=learnable, form=form)
    ours = scattered(ours, 0.3)
    x = torch.randn(2, 3, 4, 6)
    assert_same_parameters_and_gradients(ours, PygCoupler(ours), x, rtol=1e-5, atol=1e-5)
    ours = ours.double()
    peer = PygCoupler(ours)
    assert_same_parameters_and_gradients(ours, peer, x.double(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("num_experts", [4, 8])
def test_conv_equals_torch_geometric(num_experts):
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(1)
    pairs = make_hyperedges("all_pairs", num_experts)
    ours = scattered(HypergraphConv(num_experts, 5, pairs, convention="pyg")).double()
    theirs = geometric.HypergraphConv(5, 5).double()
    theirs.lin.weight, theirs.bias = ours.linear.weight, ours.linear.bias
    x = torch.randn(7, num_experts, 5, dtype=DOUBLE)
    index = block_diagonal_index(hyperedge_index(pairs), num_experts, len(pairs), 7)
    want = theirs(x.view(-1, 5), index, ours.weights().repeat(7), num_edges=7 * len(pairs))
    torch.testing.assert_close(ours(x), want.view_as(x), rtol=1e-12, atol=1e-12)


@given(st.integers(2, 6), st.integers(1, 6), st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_paper_operator_is_the_product_of_the_paper(num_nodes, num_edges, seed):
    generator = torch.Generator().manual_seed(seed)
    members = torch.rand(num_nodes, num_edges, generator=generator, dtype=DOUBLE).round()
    weight = torch.rand(num_edges, generator=generator, dtype=DOUBLE) + 0.1
    sizes, degrees = members.sum(0), members @ weight
    inverse_b, inverse_d = (torch.diag(x.pow(-1).nan_to_num(posinf=0)) for x in (sizes, degrees))
    want = inverse_d @ members @ torch.diag(weight) @ inverse_b @ members.t()
    torch.testing.assert_close(propagation(members, weight, "paper"), want)
    # rows of nodes in some hyperedge are weights that sum to 1
    rows = propagation(members, weight, "paper").sum(1)
    torch.testing.assert_close(rows, (members.sum(1) > 0).to(DOUBLE))


def test_conventions_agree_for_weights_of_one_only():
    members = incidence_matrix(CUSTOM, 4)
    ones, others = torch.ones(3), torch.tensor([1.0, 2.0, 3.0])
    same = propagation(members, ones, "paper") - propagation(members, ones, "pyg")
    assert same.abs().max() < 1e-6
    differ = propagation(members, others, "paper") - propagation(members, others, "pyg")
    assert differ.abs().max() > 0.1


def test_an_expert_in_no_hyperedge_hears_nothing_and_its_gradient_is_finite():
    conv = HypergraphConv(4, 3, [[0, 1]])
    operator = conv.operator()
    assert operator[2:].eq(0).all()
    assert operator[:, 2:].eq(0).all()
    operator.sum().backward()
    assert conv.hyperedge_weights.grad.isfinite().all()


@pytest.mark.parametrize("num_experts", [4, 8])
@pytest.mark.parametrize("strategy", ["all_pairs", "all_triplets"])
@pytest.mark.parametrize("form", ["between", "every", "linear"])
def test_no_position_sees_another(num_experts, strategy, form):
    torch.manual_seed(2)
    coupler = HypergraphCoupler(num_experts, 5, strategy, form=form).double()
    x = torch.randn(3, 9, num_experts, 5, dtype=DOUBLE, requires_grad=True)
    out = coupler(x)
    (grad,) = torch.autograd.grad(out[1, 4].square().sum(), x)
    assert grad[1, 4].abs().amin() > 0
    grad[1, 4] = 0
    assert grad.eq(0).all()
    changed = x.detach().clone()
    changed[1, 5:] = 7
    changed[0] = -3
    after = coupler(changed)
    assert torch.equal(after[1, :5], out[1, :5])
    assert torch.equal(after[2], out[2])
    assert not torch.equal(after[1, 5:], out[1, 5:])


@pytest.mark.parametrize("convention", ["paper", "pyg"])
@pytest.mark.parametrize("num_convs", [1, 3])
def test_linear_form_collapses_to_scalars(convention, num_convs):
    torch.manual_seed(3)
    coupler = scattered(
        HypergraphCoupler(
            4, 5, CUSTOM, num_convs=num_convs, convention=convention, form="linear"
        ).double()
    )
    scalars = coupler.collapsed()
    assert scalars.shape == (4,)
    assert scalars.std() > 0.01
    x_TED = torch.randn(6, 4, 5, dtype=DOUBLE)
    plainly = x_TED
    for conv in coupler.convs:
        plainly = conv(plainly)
    torch.testing.assert_close(coupler.pool(x_TED, None), plainly.mean(1))
    # what the scalars cannot tell apart, the coupler cannot either
    other = x_TED + torch.randn(6, 1, 5, dtype=DOUBLE) * null_vector(scalars)[:, None]
    assert (other - x_TED).abs().max() > 0.1
    torch.testing.assert_close(coupler(other[None]), coupler(x_TED[None]))


def null_vector(scalars):
    """v with scalars · v = 0."""
    away = torch.randn_like(scalars)
    return away - scalars * (away @ scalars) / (scalars @ scalars)


@pytest.mark.parametrize(("form", "num_convs"), [("between", 2), ("every", 1)])
def test_with_a_nonlinearity_nothing_collapses(form, num_convs):
    """No vector of E scalars is blind to its null space: the reason for the nonlinearity."""
    torch.manual_seed(4)
    coupler = HypergraphCoupler(4, 5, form=form, num_convs=num_convs).double()
    x = torch.randn(1, 6, 4, 5, dtype=DOUBLE)
    other = x + torch.randn(1, 6, 1, 5, dtype=DOUBLE) * null_vector(x.new_ones(4))[:, None]
    assert (coupler(other) - coupler(x)).abs().max() > 0.01
    linear = HypergraphCoupler(4, 5, form="linear").double()
    torch.testing.assert_close(linear(other), linear(x))
    with pytest.raises(ValueError, match="linear form"):
        coupler.collapsed()


def test_learnable_weights_have_a_gradient_and_fixed_ones_do_not_exist():
    torch.manual_seed(5)
    x = torch.randn(2, 3, 4, 6)
    learnt, fixed = HypergraphCoupler(4, 6), HypergraphCoupler(4, 6, learnable=False)
    learnt(x).square().sum().backward()
    for conv in learnt.convs:
        assert conv.hyperedge_weights.grad.shape == (6,)
        assert conv.hyperedge_weights.grad.abs().max() > 0
    names = [name for name, _ in fixed.named_parameters()]
    assert not [name for name in names if "hyperedge" in name]
    assert fixed.convs[0].hyperedge_weights is None
    assert len(list(learnt.parameters())) == len(names) + 2
    torch.testing.assert_close(fixed.edge_weights(), torch.ones(2, 6))
    torch.testing.assert_close(learnt.edge_weights(), torch.ones(2, 6))


@given(st.lists(st.floats(-1000, 1000), min_size=6, max_size=6))
@settings(deadline=None)
def test_weights_are_positive(raw):
    conv = HypergraphConv(4, 2, make_hyperedges("all_pairs", 4))
    conv.hyperedge_weights.data = torch.tensor(raw)
    assert (conv.weights() > 0).all()
    assert conv.operator().isfinite().all()


def test_training_keeps_weights_positive_and_moves_them():
    torch.manual_seed(6)
    coupler = HypergraphCoupler(4, 6)
    optimizer = torch.optim.Adam(coupler.parameters(), lr=0.1)
    x, target = torch.randn(2, 8, 4, 6), torch.randn(2, 8, 6)
    for _ in range(20):
        optimizer.zero_grad()
        (coupler(x) - target).square().mean().backward()
        optimizer.step()
    assert (coupler.edge_weights() > 0).all()
    assert (coupler.edge_weights() - 1).abs().max() > 0.05


@pytest.mark.parametrize("num_experts", [1, 2, 4])
@pytest.mark.parametrize("strategy", ["all_pairs", "all_triplets", "all"])
def test_shapes_and_the_combiner_of_the_mean(num_experts, strategy):
    torch.manual_seed(7)
    coupler = HypergraphCoupler(num_experts, 6, strategy)
    x = torch.randn(2, 5, num_experts, 6)
    assert coupler(x).shape == (2, 5, 6)
    count = len(make_hyperedges(strategy, num_experts))
    convs = 2 if count else 0
    assert coupler.operators().shape == (convs, num_experts, num_experts)
    assert coupler.edge_weights().shape == (convs, count)
    if not count:
        mean = MeanCoupler(num_experts, 6)
        mean.load_state_dict(coupler.state_dict())
        assert torch.equal(coupler(x), mean(x))


def test_static_weights_start_as_the_mean_and_learn():
    torch.manual_seed(8)
    static, mean = StaticWeightsCoupler(4, 6), MeanCoupler(4, 6)
    mean.readout.load_state_dict(static.readout.state_dict())
    x = torch.randn(2, 5, 4, 6)
    torch.testing.assert_close(static(x), mean(x))
    torch.testing.assert_close(static.operators(), mean.operators())
    static(x).square().sum().backward()
    assert static.logits.grad.abs().max() > 0
    scattered(static)
    torch.testing.assert_close(static.weights().sum(), torch.tensor(1.0))
    want = static.readout(torch.einsum("e,bled->bld", static.weights(), x))
    torch.testing.assert_close(static(x), want)


def test_memory_of_the_experts_first_gives_the_same():
    coupler = HypergraphCoupler(4, 6)
    first = torch.randn(4, 2, 5, 6).permute(1, 2, 0, 3)
    torch.testing.assert_close(coupler(first), coupler(first.contiguous()))


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("each", [True, False])
def test_exchange_equals_its_formula(own, each):
    torch.manual_seed(9)
    shapes = [(3, 4, 5), (3, 4, 4) if each else (4, 4), (5, 5), (5,), *([(5, 5)] if own else [])]
    inputs = [torch.randn(shape, dtype=DOUBLE, requires_grad=True) for shape in shapes]
    torch.testing.assert_close(exchange(*inputs), exchange_reference(*inputs))
    assert torch.autograd.gradcheck(exchange, inputs)
    assert torch.autograd.gradcheck(lambda w: exchange(*inputs[:2], w, *inputs[3:]), inputs[2])


def test_exchange_under_autocast_is_its_formula_in_that_type():
    torch.manual_seed(10)
    inputs = [torch.randn(s, requires_grad=True) for s in [(3, 4, 8), (4, 4), (8, 8), (8,)]]
    with torch.autocast("cpu", torch.bfloat16):
        out = exchange(*inputs)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), exchange_reference(*inputs), rtol=0.1, atol=0.2)
    out.float().sum().backward()
    assert all(x.grad.dtype == torch.float32 for x in inputs)


def test_mix_is_one_row_per_row_of_the_matrix():
    mix, x = torch.randn(2, 4), torch.randn(3, 4, 5)
    torch.testing.assert_close(mix_experts(mix, x), torch.einsum("me,ted->tmd", mix, x))


def test_copies_and_states_travel():
    coupler = scattered(HypergraphCoupler(4, 6))
    again = HypergraphCoupler(4, 6)
    again.load_state_dict(coupler.state_dict())
    x = torch.randn(1, 2, 4, 6)
    assert torch.equal(again(x), coupler(x))
    assert torch.equal(copy.deepcopy(coupler)(x), coupler(x))
    assert not [name for name in coupler.state_dict() if "incidence" in name]


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"convention": "papr"}, "did you mean paper"),
        ({"form": "betwen"}, "did you mean between"),
        ({"num_convs": 0}, "0 convolutions"),
        ({"hyperedges": [[0, 9]]}, "the member 9"),
    ],
)
def test_a_users_mistake_is_named(settings_, says):
    with pytest.raises(ConfigError, match=says):
        HypergraphCoupler(4, 6, **settings_)


def test_a_wrong_number_of_experts_is_refused():
    with pytest.raises(ValueError, match=r"\[…, 4, 6\] expected"):
        HypergraphCoupler(4, 6)(torch.randn(1, 2, 3, 6))
    assert isinstance(HypergraphCoupler(4, 6).readout, nn.Sequential)
