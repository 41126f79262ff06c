"""Steps of a traced computation, in the order they ran, made into an `Arch`. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphwright.tasks.nas.arch import OUTPUT, Arch

__all__ = ["BUFFER", "PARAMETER", "Step", "assemble"]

PARAMETER, BUFFER = "parameter", "buffer"


@dataclass(frozen=True)
class Step:
    """One operation that ran.

    Attributes:
        op: its type ("Conv2d", "function:add", "input"…).
        parents: places of the steps whose results it takes; all of them come before it.
        attributes: its hyperparameters; one that it has not is absent.
    """

    op: str
    parents: tuple[int, ...] = ()
    attributes: Mapping[str, float] = field(default_factory=dict)


def assemble(steps: Sequence[Step], features: Mapping[str, float] | None = None) -> Arch:
    """The graph of steps, of which the last is the output.

    Steps that do not reach the output are dropped. A parameter or buffer stands right before its
    first use, so that the order does not depend on when a tracer happened to read it.

    Args:
        steps: in execution order; the last has type "output".
        features: of the whole; `nodes` and `depth` (edges of the longest path) are added.
    """
    order = _order(steps, _used(steps))
    place = {old: new for new, old in enumerate(order)}
    pairs = sorted({(place[old], place[parent]) for old in order for parent in steps[old].parents})
    edges = np.array([(s, t) for t, s in pairs], np.int64).reshape(-1, 2).T
    depth = _depth(len(order), pairs)
    return Arch(
        ops=tuple(steps[old].op for old in order),
        edges=np.ascontiguousarray(edges),
        attributes=tuple(dict(steps[old].attributes) for old in order),
        features={**(features or {}), "depth": float(depth), "nodes": float(len(order))},
    )


def _used(steps: Sequence[Step]) -> set[int]:
    used = {i for i, step in enumerate(steps) if step.op == OUTPUT}
    for i in range(len(steps) - 1, -1, -1):
        if i in used:
            used.update(steps[i].parents)
    return used


def _order(steps: Sequence[Step], used: set[int]) -> list[int]:
    """Places in the new order: execution order, parameters moved to their first use."""
    order: dict[int, None] = {}
    for i, step in enumerate(steps):
        if i not in used or step.op in (PARAMETER, BUFFER):
            continue
        late = [p for p in step.parents if steps[p].op in (PARAMETER, BUFFER)]
        order.update(dict.fromkeys(late))
        order[i] = None
    return list(order)


def _depth(count: int, target_source: Sequence[tuple[int, int]]) -> int:
    depth = [0] * count
    for target, source in target_source:
        depth[target] = max(depth[target], depth[source] + 1)
    return max(depth, default=0)
