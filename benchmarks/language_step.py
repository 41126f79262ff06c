"""A training step of the whole language model against its plain formulation.

`large`: four layers of four experts (D = 256, feed-forward 1024, four heads), 8 rows of 128 tokens.
`small`: the sizes of the preset language/wikitext, two layers, D = 64, 8 rows. Both with 4,096 ids,
learned positions, gated-graph coupler of two convolutions, dropout off: forward, loss, backward,
clipping and AdamW. The peer has one `nn.MultiheadAttention` and one feed-forward module for each
expert in a loop, the coupler as a loop over all ordered pairs that are put side by side, and
`nn.functional.cross_entropy` on all logits. Both have the same weights; the loss and the gradients
of the embedding and of the first coupler are compared first.

    step         W_n on the sum of the messages, as the formula reads
    step_mapped  W_n on every message, as message passing is often written
    products     ours against nothing but the matrix products that both need ("peer"): 1 is the
                 most that any formulation with these products can reach
    forward      evaluation of the same rows, without gradients
    kept         MB that autograd keeps between forward and backward, but for parameters

`--allocator keep` is graphwright's default and helps the peer too.

Legend: B = rows, L = positions, E = experts, D = width, V = vocabulary.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, layer_norm, linear

from _harness import Case, interleaved, kept_mb, report
from coupler_peers import PairwiseCoupler
from graphwright.tasks.language.model_configs import GnnConfig
from graphwright.tasks.language.models.experts import StackedExperts
from graphwright.tasks.language.models.model import LanguageModel
from graphwright.training.allocator import set_allocator

LENGTH, VOCABULARY = 128, 4096
SIZES = {
    "large": (8, {"embed_dim": 256, "num_layers": 4, "num_heads": 4, "ffn_dim": 1024}),
    "small": (8, {"embed_dim": 64, "num_layers": 2, "num_heads": 2, "ffn_dim": 192}),
}


class PlainExpert(nn.Module):
    """One expert, with the weights of expert e of a stack."""

    def __init__(self, ours: StackedExperts, e: int) -> None:
        super().__init__()
        experts, dim = ours.num_experts, ours.project.weight.shape[1]
        self.attention = nn.MultiheadAttention(dim, ours.num_heads, batch_first=True)
        wide = ours.widen.weight.shape[2]
        self.widen, self.narrow = nn.Linear(dim, wide), nn.Linear(wide, dim)
        with torch.no_grad():
            weight, bias = self.attention.in_proj_weight, self.attention.in_proj_bias
            weight.copy_(ours.qkv.weight.view(3, experts, dim, dim)[:, e].reshape(3 * dim, dim))
            bias.copy_(ours.qkv.bias.view(3, experts, dim)[:, e].reshape(3 * dim))
            pairs = ((self.attention.out_proj, ours.project), (self.widen, ours.widen))
            for mine, stack in (*pairs, (self.narrow, ours.narrow)):
                mine.weight.copy_(stack.weight[e].t())
                mine.bias.copy_(stack.bias[e, 0])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`[B, L, D]`."""
        dim = x.shape[-1:]
        normed = layer_norm(x, dim)
        mixed, _ = self.attention(
            normed, normed, normed, attn_mask=mask, need_weights=False, is_causal=True
        )
        hidden = x + mixed
        out: Tensor = hidden + self.narrow(gelu(self.widen(layer_norm(hidden, dim))))
        return out


class PlainModel(nn.Module):
    """The whole model, module by module."""

    def __init__(self, ours: LanguageModel, *, map_messages: bool) -> None:
        super().__init__()
        self.embedding, self.positions = map(copy.deepcopy, (ours.embedding, ours.positions))
        self.norm = copy.deepcopy(ours.norm)
        self.experts, self.couplers = nn.ModuleList(), nn.ModuleList()
        for layer in ours.layers:
            count = layer.experts.num_experts
            self.experts.append(nn.ModuleList(PlainExpert(layer.experts, e) for e in range(count)))
            coupler: Any = copy.deepcopy(layer.coupler)
            self.couplers.append(PairwiseCoupler(coupler, map_messages=map_messages))
        later = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        self.register_buffer("mask", later)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mean loss of the next tokens."""
        x = self.embedding(tokens[:, :-1]) + self.positions.weight
        for experts, coupler in zip(self.experts, self.couplers, strict=True):
            x = x + coupler(torch.stack([expert(x, self.mask) for expert in experts], 2))
        logits = linear(self.norm(x), self.embedding.weight)
        return cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def training_step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], object]:
    """One step of the floor's loop: AdamW as the presets have it, gradients clipped to 1."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, weight_decay=0.1)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def same(ours: LanguageModel, peer: PlainModel, tokens: Tensor) -> bool:
    """Loss, and gradients of what is learnt first and of what is used last: 1e-4 of the largest."""
    found = []
    for loss, model in ((ours.losses(tokens)[0].mean(), ours), (peer(tokens), peer)):
        loss.backward()
        coupler: Any = model.couplers[0] if model is peer else model.layers[0].coupler
        parts = (
            model.embedding.weight,
            coupler.convs[0].adjacency_logits,
            coupler.convs[1].own.weight,
        )
        found.append([loss.detach(), *(part.grad.clone() for part in parts)])
        model.zero_grad()
    pairs = zip(*found, strict=True)
    return all(bool((a - b).abs().max() <= 1e-4 * b.abs().max()) for a, b in pairs)


def bare_products(config: GnnConfig, rows: int) -> Callable[[], object]:
    """The matrix products of a step's forward and backward pass, three of each size."""
    tokens, dim, experts = rows * LENGTH, config.embed_dim, config.num_experts
    shapes = [(1, tokens, dim, VOCABULARY)]
    for _ in range(config.num_layers):
        shapes += [(1, tokens, dim, 3 * experts * dim), (1, tokens, dim, dim)]
        shapes += [(experts, tokens, dim, width) for width in (dim, *[config.ffn_dim] * 2)]
        shapes += [(1, tokens * experts, dim, dim)] * (2 * config.coupler_layers)
    made = {shape: (torch.randn(shape[:3]), torch.randn(shape[0], *shape[2:])) for shape in shapes}

    def run() -> None:
        for shape in shapes:
            for _ in range(3):
                torch.bmm(*made[shape])

    return run


def compared(size: str, options: argparse.Namespace) -> list[Case]:
    """All figures of one size."""
    rows, sizes = SIZES[size]
    config = GnnConfig(**sizes, num_experts=4, dropout=0.0, position="learned")  # type: ignore[arg-type]
    torch.manual_seed(0)
    ours = LanguageModel(config, VOCABULARY, LENGTH)
    with torch.no_grad():
        for layer in ours.layers:
            for conv in layer.coupler.convs:
                conv.adjacency_logits.normal_()
    peer, mapped = (PlainModel(ours, map_messages=mapped) for mapped in (False, True))
    tokens = torch.randint(0, VOCABULARY - 1, (rows, LENGTH + 1))
    equal, equal_mapped = same(ours, peer, tokens), same(ours, mapped, tokens)
    losses = [lambda: ours.losses(tokens)[0].mean(), lambda: peer(tokens), lambda: mapped(tokens)]
    models = (ours, peer, mapped)
    steps = [training_step(model, loss) for model, loss in zip(models, losses, strict=True)]
    times = interleaved([*steps, bare_products(config, rows)], repeats=options.repeats, warmup=2)
    with torch.inference_mode():
        forward = interleaved(losses[:2], repeats=options.repeats, warmup=1)
    kept = [
        kept_mb(loss, model.parameters())
        for model, loss in zip(models[:2], losses[:2], strict=True)
    ]
    return [
        Case(f"{size}/step", "s", *times[:2], equal, note=f"{tokens[:, 1:].numel()} tokens"),
        Case(f"{size}/step_mapped", "s", times[0], times[2], equal_mapped),
        Case(f"{size}/products", "s", times[0], times[3]),
        Case(f"{size}/forward", "s", *forward, equal),
        Case(f"{size}/kept", "MB", *kept, equal),
    ]


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description="Training step of the language model.")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--allocator", choices=("keep", "system"), default="keep")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    set_allocator(options.allocator)
    cases = [case for size in SIZES for case in compared(size, options)]
    report("language_step", cases, options)


if __name__ == "__main__":
    main()
