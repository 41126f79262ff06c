"""Hyperedges over a handful of nodes: which experts talk together, chosen once.

Legend: E = experts (nodes), H = hyperedges, M = memberships (node in hyperedge).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from graphwright.errors import ConfigError, nearest

__all__ = ["STRATEGIES", "Hyperedges", "hyperedge_index", "incidence_matrix", "make_hyperedges"]

Hyperedges = tuple[tuple[int, ...], ...]

# Members of a hyperedge; None: every node, in one hyperedge.
STRATEGIES: dict[str, int | None] = {"all_pairs": 2, "all_triplets": 3, "all": None}


def make_hyperedges(strategy: str | Sequence[Sequence[int]], num_nodes: int) -> Hyperedges:
    """The hyperedges of a strategy over E nodes.

    Args:
        strategy: `all_pairs`: C(E, 2) hyperedges of two nodes; `all_triplets`: C(E, 3) of three;
            `all`: one hyperedge of all E nodes; or the hyperedges themselves, each with its nodes.
        num_nodes: E.

    Returns:
        Each hyperedge as its nodes in ascending order. None at all where E is smaller than a
        hyperedge of the strategy (a hyperedge has two members at least).

    Raises:
        ConfigError: an unknown strategy; a custom hyperedge with fewer than two members, with one
            twice, with one outside of 0 … E - 1; or the same hyperedge twice.
    """
    if not isinstance(strategy, str):
        return _checked(strategy, num_nodes)
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"{strategy}: no such hyperedge strategy{nearest(strategy, STRATEGIES)}",
            fix=f"one of {', '.join(STRATEGIES)}, or a list of hyperedges such as [[0, 1], [1, 2]]",
        )
    size = STRATEGIES[strategy] or num_nodes
    return tuple(combinations(range(num_nodes), size)) if size >= 2 else ()


def hyperedge_index(hyperedges: Sequence[Sequence[int]]) -> Tensor:
    """`[2, M]` int64, a (node, hyperedge) column for each membership; `[2, 0]` for none."""
    columns = [(node, edge) for edge, nodes in enumerate(hyperedges) for node in nodes]
    return torch.tensor(columns, dtype=torch.int64).view(-1, 2).t().contiguous()


def incidence_matrix(hyperedges: Sequence[Sequence[int]], num_nodes: int) -> Tensor:
    """`[E, H]` of ones and zeros, the default float type: whether node e is in hyperedge h."""
    incidence_EH = torch.zeros(num_nodes, len(hyperedges))
    node_M, edge_M = hyperedge_index(hyperedges)
    incidence_EH[node_M, edge_M] = 1
    return incidence_EH


def _checked(hyperedges: Sequence[Sequence[int]], num_nodes: int) -> Hyperedges:
    found = tuple(tuple(sorted(nodes)) for nodes in hyperedges)
    for number, nodes in enumerate(found):
        problem = _problem(nodes, num_nodes)
        if not problem and nodes in found[:number]:
            problem = f"is hyperedge {found.index(nodes)} once more"
        if problem:
            raise ConfigError(
                f"hyperedge {number}, {list(nodes)}, {problem}",
                fix=f"distinct hyperedges of two or more different experts, 0 to {num_nodes - 1}",
            )
    return found


def _problem(nodes: tuple[int, ...], num_nodes: int) -> str:
    if len(nodes) < 2:
        return "has fewer than two members"
    if len(set(nodes)) < len(nodes):
        return "has a member twice"
    outside = [node for node in nodes if not 0 <= node < num_nodes]
    return f"has the member {outside[0]}, but there are {num_nodes} experts" if outside else ""
