"""The couplers of a language model's experts against their plain formulations, forward + backward.

Hypergraph (all pairs, two convolutions, weights learnt): PyG's `HypergraphConv` on the correct
block-diagonal batch of all tokens, whose index is made before the clock starts. Gated graph (two
convolutions): the loop over all ordered pairs, with W_n on the sum of the messages as the formula
reads, and with W_n on each of them. Value and every gradient are compared first. Both take the same
contiguous `[B, L, E, D]`.

The figures `x_linear` and `x_own_linears` have no peer formulation: there the "peer" is one
`Linear(D, D)`, or the two linear maps of each convolution, over the same B L E rows, and ours
should take at most 2 and 1.3 times as long (a ratio of at least 0.5 and 0.77). Memory is the bytes
of all storages that autograd keeps between forward and backward, but for parameters and the input.
`--allocator keep` is graphwright's default and helps the peers too; `system` is what a process has
that sets nothing.

Legend: B = rows of a batch, L = positions, E = experts, D = features.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from _harness import Case, interleaved, kept_mb, report
from coupler_peers import PairwiseCoupler, PygCoupler
from graphwright.nn.expert_graph import ExpertGraphCoupler
from graphwright.nn.hypergraph import HypergraphCoupler
from graphwright.training.allocator import set_allocator

Step = Callable[[], object]


def backward_step(module: Callable[[Tensor], Tensor], x: Tensor) -> Step:
    """Forward and backward of a fixed weighted sum; gradients are made afresh as in training."""
    weights = torch.randn(module(x).shape)
    leaves = [x, *(module.parameters() if isinstance(module, nn.Module) else ())]

    def step() -> list[Tensor | None]:
        for leaf in leaves:
            leaf.grad = None
        module(x).backward(weights)
        return [leaf.grad for leaf in leaves]

    return step


def same(ours: nn.Module, peer: nn.Module, x: Tensor) -> bool:
    """Value and the gradients of input and parameters, relative to the largest entry: 1e-4."""
    found, weights = [], torch.randn(*x.shape[:2], x.shape[-1])
    for module in (ours, peer):
        for leaf in (x, *ours.parameters()):
            leaf.grad = None
        out = module(x)
        out.backward(weights)
        found.append([out.detach(), *(leaf.grad.clone() for leaf in (x, *ours.parameters()))])
    pairs = zip(*found, strict=True)
    return all((a - b).abs().max() <= 1e-4 * b.abs().max().clamp(min=1) for a, b in pairs)


def linears(x: Tensor, count: int) -> Step:
    """`count` maps Linear(D, D), one after the other, each over all rows of a contiguous x."""
    dim = x.shape[-1]
    rows = x.detach().reshape(-1, dim).requires_grad_()
    steps = [backward_step(nn.Linear(dim, dim), rows) for _ in range(count)]
    return lambda: [step() for step in steps]


def hypergraph_cases(options: Any, x: Tensor, form: str) -> list[Case]:
    """One number of experts: against PyG, and as a multiple of one linear map."""
    experts, dim = x.shape[2:]
    ours = HypergraphCoupler(experts, dim, convention="pyg", form=form)  # type: ignore[arg-type]
    peer, name = PygCoupler(ours), f"hypergraph_{form}/E{experts}"
    equal, note = same(ours, peer, x), f"{x.shape[:2].numel()} tokens"
    steps = [backward_step(ours, x), linears(x, 1)]
    if form != "between":
        times = interleaved(steps, repeats=options.repeats)
        return [Case(f"{name}/x_linear", "s", *times, note=note)]
    slow = options.repeats if experts < 8 else max(options.repeats // 3, 3)
    mine, theirs = interleaved([steps[0], backward_step(peer, x)], repeats=slow, warmup=1)
    times = interleaved(steps, repeats=options.repeats)
    return [
        Case(f"{name}/step", "s", mine, theirs, equal, note=note),
        Case(f"{name}/x_linear", "s", *times, note=note),
        Case(
            f"{name}/kept",
            "MB",
            kept_mb(partial(ours, x), (x, *ours.parameters())),
            kept_mb(partial(peer, x), (x, *peer.parameters())),
            note=note,
        ),
    ]


def graph_cases(options: Any, x: Tensor) -> list[Case]:
    """One number of experts: against both loops over pairs, and against our own linear maps."""
    if x.shape[2] > 8:  # the loops keep 3 and 4.5 GB at 16 experts and 2,048 tokens
        x = x.detach()[: (len(x) + 1) // 2].clone().requires_grad_()
    ours = ExpertGraphCoupler(*x.shape[2:])
    with torch.no_grad():
        for conv in ours.convs:
            conv.adjacency_logits.normal_()  # type: ignore[operator, union-attr]
    name, note = f"graph/E{x.shape[2]}", f"{x.shape[:2].numel()} tokens"
    slow, cases = max(options.repeats // 3, 3), []
    mine = backward_step(ours, x)
    for what, map_messages in (("step", False), ("step_vs_mapped_messages", True)):
        peer = PairwiseCoupler(ours, map_messages=map_messages)
        equal = same(ours, peer, x)
        times = interleaved([mine, backward_step(peer, x)], repeats=slow, warmup=1)
        cases.append(Case(f"{name}/{what}", "s", *times, equal, note=note))
        kept = (
            kept_mb(partial(ours, x), (x, *ours.parameters())),
            kept_mb(partial(peer, x), (x, *peer.parameters())),
        )
        cases.append(Case(f"{name}/{what.replace('step', 'kept')}", "MB", *kept, note=note))
    times = interleaved([mine, linears(x, 2 * len(ours.convs))], repeats=options.repeats)
    return [*cases, Case(f"{name}/x_own_linears", "s", *times, note=note)]


def run(options: Any) -> list[Case]:
    """All numbers of experts, the small ones first."""
    cases: list[Case] = []
    for experts in options.experts:
        torch.manual_seed(experts)
        x = torch.randn(options.tokens // 128, 128, experts, options.dim, requires_grad=True)
        for form in ("between", "every"):
            cases += hypergraph_cases(options, x, form)
        cases += graph_cases(options, x)
        print(f"E = {experts} measured", flush=True)
    return cases


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, measure, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--experts", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--tokens", type=int, default=4096, help="a multiple of 128")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--allocator", choices=("keep", "system"), default="keep")
    options = parser.parse_args(arguments)
    print(f"memory allocator: {set_allocator(options.allocator)}")
    torch.set_num_threads(options.threads)
    report("language_coupler", run(options), options)


if __name__ == "__main__":
    main()
