"""The chunked loss is the plain one, in value and gradient, without its memory."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from graphwright.nn import linear_cross_entropy as module
from graphwright.nn.linear_cross_entropy import linear_cross_entropy


def plain(hidden, weight, target):
    return cross_entropy(hidden @ weight.mT, target, reduction="none")


@pytest.mark.parametrize("rows", [0, 1, 5, 7, 40])  # up to 6 are one chunk
def test_equal_to_the_plain_form(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 13 * 6)  # chunks of 6 rows, the last is short
    generator = torch.Generator().manual_seed(rows)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden, weight, upstream = 30 * draw(rows, 5), draw(13, 5), draw(rows)
    target = torch.randint(0, 13, (rows,), generator=generator)
    found = []
    for loss in (linear_cross_entropy, plain):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        losses = loss(h, w, target)
        (losses * upstream).sum().backward()
        found.append((losses.detach(), h.grad, w.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_no_tensor_of_all_logits_is_made() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    rows, vocabulary = 300, 50_000
    hidden = torch.randn(rows, 4, requires_grad=True)
    weight = torch.randn(vocabulary, 4, requires_grad=True)
    with Watch():
        linear_cross_entropy(hidden, weight, torch.zeros(rows, dtype=torch.int64)).sum().backward()
    assert largest <= module._CHUNK_ELEMENTS < rows * vocabulary
