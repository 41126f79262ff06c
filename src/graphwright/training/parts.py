"""What the loop works with: held apart from the module that Lightning registers and inspects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from graphwright.training.checkpoint import Checkpoints
from graphwright.training.feed import Feed
from graphwright.training.optim import Schedule
from graphwright.training.phases import Phases
from graphwright.training.ranks import OneProcess
from graphwright.training.recorder import Recorder
from graphwright.training.signals import Asked
from graphwright.training.task import Task

__all__ = ["Parts"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """Collaborators of a `TrainingModule`.

    Attributes:
        task: gives loss and metrics of a batch.
        optimizer: over the model's parameters.
        schedule: of the learning rate.
        feed: training and validation batches, and where they stand.
        recorder: where measurements go.
        checkpoints: where state goes; None keeps nothing (fast-dev-run).
        stop: a request from outside to save and leave.
        phases: told when the first batch and epoch are over.
        ranks: the processes that share the training.
    """

    task: Task[Any, Any]
    optimizer: Optimizer
    schedule: Schedule
    feed: Feed
    recorder: Recorder
    checkpoints: Checkpoints | None
    stop: Asked
    phases: Phases
    ranks: OneProcess
