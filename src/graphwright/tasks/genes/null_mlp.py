"""The one-hot MLP among the nulls: it knows which genes are deleted, and no network.

A row of the features is the few genes of a set, so that the first layer is a sum of their rows of
weights. All networks, of every penalty and hold-out, are trained side by side on the same batches.

Legend: S = sets, F = features (genes), W = largest set, P = penalties, C = hold-outs and the
answer, K = networks, H = hidden units, E = epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

__all__ = ["fit_mlp"]

Values = NDArray[np.float64]
HoldOut = tuple[NDArray[np.int64], NDArray[np.int64]]

HIDDEN = 64
BATCH = 128
RATE = 1e-3
PENALTIES = (1e-2, 1.0, 30.0)  # L2; as scikit-learn counts it in batches of 128
EPOCHS = 50  # all of them: held-out losses can rise for ten epochs before they fall
VISITS = 600_000  # sets seen in one training at most: large tables need fewer epochs
_AT_ONCE = 8192  # sets of one prediction


def fit_mlp(
    train: sparse.csr_matrix,
    label_S: Values,
    asked: sparse.csr_matrix,
    holds: Sequence[HoldOut],
    *,
    calls: bool,
    seed: int,
) -> tuple[Values, str]:
    """Predictions of a network of one hidden layer (64, ReLU, Adam).

    Penalty and number of epochs are those with the least loss on the hold-outs.

    Args:
        train, label_S: features (0 or 1) and labels to fit.
        asked: features of what is predicted.
        holds: rows to fit and rows held out, of `train`; without any: the middle penalty, all
            epochs.
        calls: log odds of a call instead of scores.
        seed: the same seed gives the same network.

    Returns:
        Predictions `[S]`, and the chosen settings as a sentence.
    """
    used_F = np.flatnonzero(train.getnnz(axis=0))
    known_SW, asked_SW = _padded(train[:, used_F]), _padded(asked[:, used_F])
    mean, scale = (0.0, 1.0) if calls else (float(label_S.mean()), float(label_S.std()) or 1.0)
    target_S = torch.from_numpy((label_S - mean) / scale).float()
    epochs = max(2, min(EPOCHS, VISITS // max(len(known_SW), 1)))
    networks = _Networks(len(used_F), _uses(holds, len(known_SW)), calls=calls, seed=seed)
    losses_EP = np.zeros((epochs, len(PENALTIES)))
    answers_ESP = np.zeros((epochs, len(asked_SW), len(PENALTIES)), np.float32)
    for epoch in range(epochs):
        networks.one_epoch(known_SW, target_S)
        answers_ESP[epoch] = networks.predict(asked_SW)[:, -len(PENALTIES) :].numpy()
        losses_EP[epoch] = _held_out(networks, known_SW, target_S, holds)
    last, chosen = epochs - 1, len(PENALTIES) // 2
    if holds:
        last, chosen = (int(x) for x in np.unravel_index(losses_EP.argmin(), losses_EP.shape))
    note = f"One-hot MLP: {HIDDEN} hidden, L2 {PENALTIES[chosen]:g}, {last + 1} epochs."
    return mean + scale * answers_ESP[last, :, chosen].astype(np.float64), note


def _uses(holds: Sequence[HoldOut], count: int) -> Tensor:
    """Which sets are trained on `[S, C]`, 0 or 1: for each hold-out, and for the answer all."""
    use_SC = torch.zeros(count, len(holds) + 1)
    for number, (known, _) in enumerate(holds):
        use_SC[torch.from_numpy(np.asarray(known, np.int64)), number] = 1
    use_SC[:, -1] = 1
    return use_SC


def _held_out(
    networks: _Networks, gene_SW: Tensor, target_S: Tensor, holds: Sequence[HoldOut]
) -> NDArray[np.float64]:
    """Loss of each penalty `[P]`, summed over the hold-outs."""
    total_P, every = np.zeros(len(PENALTIES)), len(PENALTIES)
    for number, (_, held) in enumerate(holds):
        rows = torch.from_numpy(np.asarray(held, np.int64))
        loss_SK = networks.loss(networks.predict(gene_SW[rows]), target_S[rows])
        total_P += loss_SK[:, number * every : (number + 1) * every].mean(0).double().numpy()
    return total_P


class _Networks:
    """K = C P networks of the same start that see the same batches; column c P + p has penalty p
    and learns from the sets that column c of `use_SC` names.

    Args:
        count: F.
        use_SC: 0 or 1.
        calls: the loss is that of a logistic model; else half the square.
        seed: of the start and of the order of the sets.
    """

    def __init__(self, count: int, use_SC: Tensor, *, calls: bool, seed: int) -> None:
        self.calls, self.count = calls, use_SC.shape[1] * len(PENALTIES)
        self.use_SK = use_SC.repeat_interleave(len(PENALTIES), 1)
        self.draw = torch.Generator().manual_seed(seed)
        self.penalty_K1 = torch.tensor(PENALTIES).repeat(use_SC.shape[1])[:, None] / BATCH
        first, second = _uniform(count, HIDDEN, self.draw), _uniform(HIDDEN, 1, self.draw)
        # one more row, of zeros: what fills sets up
        first_FH = torch.cat([first, torch.zeros(1, HIDDEN)]).repeat(1, self.count)
        parts = first_FH, torch.zeros(self.count * HIDDEN), second[:, 0].repeat(self.count, 1)
        self.weights = [part.requires_grad_() for part in (*parts, torch.zeros(self.count))]
        self.adam = torch.optim.Adam(self.weights, RATE, fused=True)

    def scores(self, gene_SW: Tensor) -> Tensor:
        """`[S, K]`."""
        first_FH, shift_H, second_KH, last_K = self.weights
        padding = len(first_FH) - 1
        hidden_SH = torch.nn.functional.embedding_bag(
            gene_SW, first_FH, mode="sum", padding_idx=padding
        )
        hidden_SKH = torch.unflatten((hidden_SH + shift_H).relu(), 1, (self.count, HIDDEN))
        return torch.einsum("skh,kh->sk", hidden_SKH, second_KH) + last_K

    def predict(self, gene_SW: Tensor) -> Tensor:
        """`[S, K]`, without gradients."""
        with torch.no_grad():
            return torch.cat([self.scores(part) for part in torch.split(gene_SW, _AT_ONCE)])

    def loss(self, score_SK: Tensor, target_S: Tensor) -> Tensor:
        """Of every set `[S, K]`."""
        if self.calls:
            return torch.nn.functional.softplus(score_SK) - target_S[:, None] * score_SK
        return 0.5 * (score_SK - target_S[:, None]).square()

    def one_epoch(self, gene_SW: Tensor, target_S: Tensor) -> None:
        """Every set once, in random order."""
        order_S = torch.randperm(len(target_S), generator=self.draw)
        for rows in torch.split(order_S, BATCH):
            use_SK = self.use_SK[rows]
            loss_SK = self.loss(self.scores(gene_SW[rows]), target_S[rows])
            self.adam.zero_grad()
            loss_K = (loss_SK * use_SK).sum(0) / use_SK.sum(0).clamp(min=1)
            torch.autograd.backward(loss_K.sum())
            self._add_penalty()
            self.adam.step()

    def _add_penalty(self) -> None:
        first_FH, _, second_KH, _ = self.weights
        assert first_FH.grad is not None
        assert second_KH.grad is not None
        with torch.no_grad():
            every_H = self.penalty_K1.repeat_interleave(HIDDEN, 0)[:, 0]
            first_FH.grad.addcmul_(first_FH, every_H)
            second_KH.grad.addcmul_(second_KH, self.penalty_K1)


def _uniform(inward: int, outward: int, draw: torch.Generator) -> Tensor:
    """Glorot & Bengio, AISTATS 2010."""
    bound = (6 / (inward + outward)) ** 0.5
    return torch.empty(inward, outward).uniform_(-bound, bound, generator=draw)


def _padded(features: sparse.csr_matrix) -> Tensor:
    """The columns of the ones of each row `[S, W]` int64, filled up with F."""
    size_S = np.diff(features.indptr)
    found_SW = np.full((len(size_S), max(1, size_S.max(initial=0))), features.shape[1], np.int64)
    found_SW[np.arange(found_SW.shape[1]) < size_S[:, None]] = features.indices
    return torch.from_numpy(found_SW)
