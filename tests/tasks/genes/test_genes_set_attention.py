"""The local head against one set at a time, in float64; sets of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphwright.errors import ConfigError, DataError
from graphwright.tasks.genes.models.gene_sets import PaddedSets
from graphwright.tasks.genes.models.set_attention import SetAttentionHead, SetAttentionLayer

D, N = 8, 30


@dataclass
class Sets:
    """The two tensors of a batch."""

    gene_index: Tensor
    gene_ptr: Tensor

    @classmethod
    def of(cls, *sets: list[int]) -> Sets:
        sizes = torch.tensor([0, *map(len, sets)])
        return cls(torch.tensor([g for one in sets for g in one]), sizes.cumsum(0))


def head(heads: int = 2, layers: int = 2) -> SetAttentionHead:
    torch.manual_seed(3)
    module = SetAttentionHead(D, heads, layers).double()
    with torch.no_grad():
        for layer in module.layers:
            layer.beta.fill_(0.7)
    return module


def embeddings() -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(N, D, dtype=torch.float64, generator=generator)


def plain(module: SetAttentionHead, x_SD: Tensor) -> Tensor:
    """One set, gene after gene and head after head."""
    dynamic = x_SD
    for layer in module.layers:
        dynamic = plain_layer(layer, dynamic)
    moved = (dynamic - module.static(x_SD).tanh()).square()
    return module.score(moved).mean(0)


def plain_layer(layer: SetAttentionLayer, x_SD: Tensor) -> Tensor:
    if len(x_SD) == 1:
        return x_SD
    query, key, value = layer.projections(x_SD).chunk(3, dim=1)
    width, rows = D // layer.heads, []
    for i in range(len(x_SD)):
        others = [j for j in range(len(x_SD)) if j != i]
        heard = []
        for h in range(layer.heads):
            part = slice(h * width, (h + 1) * width)
            score = key[others][:, part] @ query[i, part] / math.sqrt(width)
            heard.append(score.softmax(0) @ value[others][:, part])
        rows.append(x_SD[i] + layer.beta * layer.out(torch.cat(heard)))
    return torch.stack(rows)


def predict(module: SetAttentionHead, *sets: list[int]) -> Tensor:
    batch = Sets.of(*sets)
    return module(embeddings()[batch.gene_index], PaddedSets.of(batch))


SETS = st.lists(
    st.lists(st.integers(0, N - 1), min_size=1, max_size=6, unique=True), min_size=1, max_size=6
)


@given(SETS)
@settings(max_examples=15, deadline=None)
def test_any_sets_are_those_of_the_formula(sets: list[list[int]]) -> None:
    module = head()
    got = predict(module, *sets)
    expected = torch.stack([plain(module, embeddings()[one]) for one in sets])
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


def test_gradients_are_those_of_the_formula() -> None:
    module, sets = head(), [[1], [2, 3, 4], [5, 6], [7, 8, 9, 10, 11]]
    predict(module, *sets).square().sum().backward()
    got = {name: weight.grad.clone() for name, weight in module.named_parameters()}
    module.zero_grad()
    torch.stack([plain(module, embeddings()[one]) for one in sets]).square().sum().backward()
    for name, weight in module.named_parameters():
        torch.testing.assert_close(got[name], weight.grad, rtol=1e-9, atol=1e-9, msg=name)


@given(st.permutations([3, 1, 4, 15, 9]))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_genes_has_no_effect(order: list[int]) -> None:
    module = head()
    torch.testing.assert_close(
        predict(module, order), predict(module, [3, 1, 4, 15, 9]), rtol=1e-12, atol=1e-12
    )


def test_company_and_place_in_the_batch_have_no_effect() -> None:
    module = head()
    alone = predict(module, [3, 5])
    beside = predict(module, [1], [2, 4, 6, 8, 10, 12], [3, 5])
    torch.testing.assert_close(beside[2:], alone, rtol=1e-12, atol=1e-12)


def test_one_gene_alone_stays_as_it_is() -> None:
    """Nothing to attend to: not even the bias of the attention is added, and no NaN comes up."""
    module = head()
    x = embeddings()[[7]]
    expected = module.score((x - module.static(x).tanh()).square())
    got = predict(module, [7])
    torch.testing.assert_close(got, expected)
    got.sum().backward()
    for layer in module.layers:
        assert float(layer.projections.weight.grad.abs().sum()) == 0


def test_a_set_of_all_alone_has_finite_gradients() -> None:
    module, x = head(), embeddings().requires_grad_()
    batch = Sets.of([1], [2])
    module(x[batch.gene_index], PaddedSets.of(batch)).sum().backward()
    assert bool(x.grad.isfinite().all())
    assert bool((x.grad[[1, 2]] != 0).any())


def test_beta_starts_small_and_learns() -> None:
    module = SetAttentionHead(D, 2, 1)
    assert module.layers[0].beta.item() == pytest.approx(0.01)
    batch = Sets.of([1, 2])
    module(embeddings()[[1, 2]].float(), PaddedSets.of(batch)).sum().backward()
    assert float(module.layers[0].beta.grad.abs()) > 0


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="set 1 of the batch holds no gene"):
        PaddedSets.of(Sets.of([1, 2], [], [3]))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="3 attention heads"):
        SetAttentionLayer(8, 3)
