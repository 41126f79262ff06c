"""Which hyperedges a strategy gives, and what a custom list may not be."""

from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphwright.errors import ConfigError
from graphwright.nn.hyperedges import hyperedge_index, incidence_matrix, make_hyperedges


def test_four_nodes_have_six_pairs():
    pairs = make_hyperedges("all_pairs", 4)
    assert pairs == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    index = hyperedge_index(pairs)
    assert index.shape == (2, 12)
    assert index.tolist()[0] == [0, 1, 0, 2, 0, 3, 1, 2, 1, 3, 2, 3]
    assert index.tolist()[1] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("strategy", ["all_pairs", "all_triplets", "all"])
@pytest.mark.parametrize("num_nodes", [0, 1])
def test_too_few_nodes_have_no_hyperedge_and_an_empty_index(strategy, num_nodes):
    none = make_hyperedges(strategy, num_nodes)
    assert none == ()
    index = hyperedge_index(none)
    assert index.shape == (2, 0)
    assert index.dtype == torch.int64
    assert incidence_matrix(none, num_nodes).shape == (num_nodes, 0)


def test_two_nodes_have_no_triplet():
    assert make_hyperedges("all_triplets", 2) == ()


@given(st.sampled_from([("all_pairs", 2), ("all_triplets", 3)]), st.integers(0, 9))
def test_counts_and_degrees(strategy, num_nodes):
    name, size = strategy
    found = make_hyperedges(name, num_nodes)
    assert len(set(found)) == len(found) == comb(num_nodes, size)
    incidence_EH = incidence_matrix(found, num_nodes)
    assert incidence_EH.shape == (num_nodes, len(found))
    assert incidence_EH.sum(0).eq(size).all()
    # every node is in as many hyperedges as every other
    assert incidence_EH.sum(1).eq(comb(max(num_nodes - 1, 0), size - 1) if found else 0).all()
    assert hyperedge_index(found).shape == (2, size * len(found))


def test_all_is_one_hyperedge_of_all():
    assert make_hyperedges("all", 5) == ((0, 1, 2, 3, 4),)


def test_a_custom_list_is_kept_in_its_order():
    found = make_hyperedges([[3, 1], [0, 1, 2]], 4)
    assert found == ((1, 3), (0, 1, 2))
    assert incidence_matrix(found, 4).t().tolist() == [[0, 1, 0, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([[0, 1], [2]], r"hyperedge 1, \[2\], has fewer than two"),
        ([[0, 0, 1]], "a member twice"),
        ([[0, 4]], "the member 4, but there are 4"),
        ([[-1, 2]], "the member -1"),
        ([[0, 1], [1, 0]], "is hyperedge 0 once more"),
    ],
)
def test_a_bad_list_says_what_is_wrong(bad, says):
    with pytest.raises(ConfigError, match=says):
        make_hyperedges(bad, 4)


def test_an_unknown_strategy_names_its_neighbour():
    with pytest.raises(ConfigError, match="did you mean all_pairs"):
        make_hyperedges("all_pair", 4)
