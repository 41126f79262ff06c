"""A fusion: two frozen models that summarise windows, and a head that makes one score of it.

Legend: B = windows, S = numbers of a state: the VGAE's summary, then the GAT's.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from graphwright.data.batch import GraphBatch
from graphwright.nn.across_ranks import gather_rows
from graphwright.tasks.canbus.fusion.heads import FusionHead, HeadStep
from graphwright.tasks.canbus.models.gat import GATModel
from graphwright.tasks.canbus.models.inputs import MOST
from graphwright.tasks.canbus.models.vgae import VGAEModel

__all__ = ["FusionModel"]


class FusionModel(nn.Module):
    """Scores of windows by both parts together; only the head is trained.

    Args:
        vgae, gat: trained and calibrated; frozen here, always in evaluation mode.
        head: see `fusion/heads.py`.
    """

    def __init__(self, vgae: VGAEModel, gat: GATModel, head: FusionHead) -> None:
        super().__init__()
        self.vgae, self.gat, self.head = vgae, gat, head
        for part in (vgae, gat):
            part.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Only the head ever trains: batch normalisation and dropout of the parts stay off."""
        super().train(mode)
        self.vgae.eval()
        self.gat.eval()
        return self

    @torch.no_grad()
    def states(self, batch: GraphBatch) -> Tensor:
        """`[B, S]`; taken from `batch.graphs["states"]` where they were computed before.

        The parts are frozen, so that a task may compute them once and keep them beside the windows.
        """
        if "states" in batch.graphs:
            return batch.graphs["states"]
        return torch.cat([self.vgae.summary(batch), self.gat.summary(batch)], dim=1)

    def forward(self, states_BS: Tensor) -> Tensor:
        """Fused score `[B]` in 0..1; an alarm above 0.5.

        Where most ids are unknown the state is like none that the head has learnt from: there it is
        the classifier's, whose second head is made for such windows.
        """
        fused_B: Tensor = self.head(states_BS)
        if self.gat.strange_head is None:
            return fused_B
        start = self.head.classifier
        unknown_B = states_BS[:, start + self.gat.unknown_place]
        return torch.where(unknown_B > MOST, states_BS[:, start], fused_B)

    def score(self, batch: GraphBatch) -> Tensor:
        """The same of windows."""
        return self(self.states(batch))  # type: ignore[no-any-return]

    def step(self, batch: GraphBatch) -> HeadStep:
        """Loss of a batch with labels; a step of training where the model is in training mode.

        Heads count, explore and look at the next window: processes that share a batch each do so
        with all of its windows.
        """
        states_BS, label_B = self.states(batch), batch.graphs["label"]
        return self.head.step(gather_rows(states_BS), gather_rows(label_B))
