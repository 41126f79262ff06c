"""One more node in every graph, that the input leads to and that leads to the output.

After two convolutions every node has then heard of input and output, however deep the graph is.

Legend: A = architectures, N = nodes, E = edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.tasks.nas.arch import INPUT, OUTPUT, Cells

__all__ = ["VIRTUAL", "with_virtual_node"]

VIRTUAL = "virtual"


def with_virtual_node(
    cells: Cells, types: Sequence[str], nodes: Mapping[str, NDArray[Any]]
) -> tuple[Cells, dict[str, NDArray[Any]]]:
    """The same architectures with the node, before their first output.

    Every input before that place leads to it, and it leads to every output, so that nodes stay in
    topological order and edges in the order of (target, source).

    Args:
        cells: architectures over `types`, which has `VIRTUAL`.
        types: type name of every code.
        nodes: fields of the nodes, each [N, …]; those of the new node are 0.
    """
    code = {name: number for number, name in enumerate(types)}
    inputs = cells.ops == code.get(INPUT, -1)
    outputs = cells.ops == code.get(OUTPUT, -1)
    owner_N = np.repeat(np.arange(len(cells)), cells.node_counts)
    local_N = np.arange(len(cells.ops)) - cells.node_ptr[owner_N]
    place_A = cells.node_counts.copy()
    np.minimum.at(place_A, owner_N[outputs], local_N[outputs])

    moved_N = local_N + (local_N >= place_A[owner_N])
    begins = np.flatnonzero(inputs & (local_N < place_A[owner_N]))
    ends = np.flatnonzero(outputs)
    start_E = np.repeat(cells.node_ptr[:-1], cells.edge_counts)
    parts = [
        (
            np.repeat(np.arange(len(cells)), cells.edge_counts),
            moved_N[cells.edge_index[0] + start_E],
            moved_N[cells.edge_index[1] + start_E],
        ),
        (owner_N[begins], moved_N[begins], place_A[owner_N[begins]]),
        (owner_N[ends], place_A[owner_N[ends]], moved_N[ends]),
    ]
    owner, source, target = (np.concatenate(part) for part in zip(*parts, strict=True))
    # the three parts are in order themselves, which a stable sort of one number makes use of
    width = int(cells.node_counts.max(initial=0)) + 1
    order = np.argsort((owner * width + target) * width + source, kind="stable")
    where = cells.node_ptr[:-1] + place_A
    joined = Cells(
        ops=np.insert(cells.ops, where, code[VIRTUAL]),
        node_counts=cells.node_counts + 1,
        edge_counts=np.bincount(owner, minlength=len(cells)),
        edge_index=np.stack([source, target])[:, order].astype(np.uint32),
        level=None if cells.level is None else np.insert(cells.level, where, 0),
    )
    return joined, {name: np.insert(value, where, 0, axis=0) for name, value in nodes.items()}
