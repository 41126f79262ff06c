"""One task's training as a LightningModule.

Lightning moves data, casts and (later) synchronises devices. What must be exact over a restart is
ours: the schedule, the stopping rule, the random state, the position in the data and the running
means all live in one state dictionary that is saved between two steps.
"""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from graphwright.config.schema import TaskConfig
from graphwright.errors import TrainingError
from graphwright.nn import across_ranks
from graphwright.training.device import Placement
from graphwright.training.nonfinite import first_bad_tensor
from graphwright.training.optim import gradient_norm
from graphwright.training.parts import Parts
from graphwright.training.random_state import get_random_state, set_random_state
from graphwright.training.ranks import Step
from graphwright.training.stopping import BestSoFar
from graphwright.training.task import Stage

__all__ = ["Interrupted", "TrainingModule"]


class Interrupted(Exception):  # noqa: N818 (not an error: the state is saved)
    """Training was asked to stop, and has saved its state."""


class TrainingModule(pl.LightningModule):
    """The loop's body; `Trainer.fit` calls the hooks.

    Args:
        model: in its precision, on its device.
        called: the model as training calls it, compiled perhaps.
        placement: device and precision.
        parts: what the loop works with.
    """

    def __init__(
        self,
        model: nn.Module,
        called: nn.Module,
        placement: Placement,
        parts: Parts,
    ) -> None:
        super().__init__()
        config: TaskConfig = parts.task.config
        self.config = config.training
        self.model = model
        self.called = called
        self.placement = placement
        self.parts = parts
        self.best = BestSoFar(parts.task.higher_is_better, self.config.early_stopping)
        self.step_count = 0
        self.averaged = _averaged(model, self.config.ema_decay)
        self._norm: Tensor | float = 0.0
        self._validation_random: dict[str, Any] | None = None
        self._restored_random: dict[str, Any] | None = None

    @property
    def evaluated(self) -> nn.Module:
        """The weights that are validated and shipped: averaged where averaging is on."""
        return self.model if self.averaged is None else self.averaged.module

    # -- what Lightning asks for -----------------------------------------------------------------

    def configure_optimizers(self) -> Optimizer:
        """The optimizer; the schedule is stepped here, not by Lightning."""
        return self.parts.optimizer

    def train_dataloader(self) -> Any:
        """The batches that are left of the present epoch."""
        return self.parts.feed.training()

    def val_dataloader(self) -> Any:
        """All validation batches."""
        return self.parts.feed.validation()

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move and cast a batch; integers stay integers."""
        return batch.to(device, dtype=self.placement.dtype, non_blocking=True)

    # -- training --------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Start the epoch's clock."""
        self.parts.recorder.start_epoch()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Restore the random state before the first draw of a resumed step."""
        if self._restored_random is not None:
            set_random_state(self._restored_random)
            self._restored_random = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Loss of a batch.

        Raises:
            TrainingError: the loss is not finite; the first bad tensor is named.
        """
        with self.parts.phases.first_step("first_forward_s"):
            step = self._step(self.called, batch, "train", self.parts.feed.is_stand_in())
        if not bool(torch.isfinite(step.output.loss)):
            self._stop_for_nonfinite(batch, "train", step)
        self._done = step
        return step.objective

    def on_before_backward(self, loss: Tensor) -> None:
        """Start the clock of the first backward pass (compilation hides in it)."""
        self._backward_began = time.perf_counter()

    def on_after_backward(self) -> None:
        """Stop it; only the first is kept."""
        self.parts.phases.mark("first_backward_s", time.perf_counter() - self._backward_began)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip, and keep the norm for the record."""
        self._norm = gradient_norm(self.model.parameters(), self.config.gradient_clip)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Everything that follows an optimizer step.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
        """
        parts = self.parts
        self.step_count += 1
        lr = parts.schedule.lr
        parts.schedule.after_step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)
        self._record(self._done, lr)
        parts.phases.after_step(self.step_count)
        parts.feed.advance()
        every = self.config.checkpoint_every
        asked = parts.stop.received is not None
        if asked or (every and self.step_count % every == 0 and not parts.feed.at_end):
            self.save()
        if asked:
            raise Interrupted(parts.stop.received)

    # -- validation ------------------------------------------------------------------------------

    def on_validation_start(self) -> None:
        """Stop the epoch's clock; remember the random state in case validation is repeated."""
        self.parts.recorder.stop_clock()
        if self._restored_random is not None:  # resumed at the end of an epoch
            set_random_state(self._restored_random)
        self._validation_random = get_random_state()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Add a validation batch to the running means."""
        stand_in = self.parts.feed.is_stand_in(batch_idx)
        output = self._step(self.evaluated, batch, "val", stand_in).output
        values = {"loss": output.loss, **output.metrics}
        self.parts.recorder.validation_step(values, output.weight, output.samples)

    def on_validation_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Leave in the middle of validation if asked to; it is repeated on resume.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
        """
        if self.parts.stop.received is not None:
            self.save(random=self._validation_random)
            raise Interrupted(self.parts.stop.received)

    def on_validation_epoch_end(self) -> None:
        """Close the epoch: record, schedule, best, stop rule, and save.

        Raises:
            TrainingError: the monitored value is not finite.
        """
        parts, epoch = self.parts, self.parts.feed.epoch
        self._end_training_epoch()
        metrics = parts.recorder.end_validation(
            step=self.step_count, epoch=epoch, summarise=parts.task.validation_metrics
        )
        value = metrics[parts.task.monitor]
        if not math.isfinite(value):
            raise TrainingError(f"{parts.task.monitor} is {value} in epoch {epoch}")
        parts.schedule.after_validation(value)
        improved = self.best.update(value, epoch)
        parts.feed.next_epoch()
        parts.phases.after_epoch()
        if improved and parts.checkpoints is not None:
            # before `last`: a kill between the two repeats the epoch and writes the same best again
            parts.checkpoints.save_best(self.state(), epoch=epoch, value=value)
        self.save()
        if self.best.exhausted:
            self.trainer.should_stop = True
        if parts.stop.received is not None:
            raise Interrupted(parts.stop.received)

    def on_train_epoch_end(self) -> None:
        """Close an epoch that is not validated; the last one is left for a validation."""
        if self.parts.feed.batch and not self.validation_due:
            self.parts.recorder.stop_clock()
            self.close_without_validation()

    @property
    def validation_due(self) -> bool:
        """Whether the present epoch ends with a validation."""
        done = self.parts.feed.epoch + 1
        return done % self.config.validate_every == 0 or done >= self.config.epochs

    def close_without_validation(self) -> None:
        """Record an epoch and go on to the next; nothing is saved until the next validation."""
        self._end_training_epoch()
        self.parts.feed.next_epoch()
        self.parts.phases.after_epoch()

    # -- state -----------------------------------------------------------------------------------

    def state(self, random: dict[str, Any] | None = None) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        parts = self.parts
        scaler = self.trainer.precision_plugin.state_dict() if self._trainer is not None else {}
        return {
            "step": self.step_count,
            "feed": parts.feed.state_dict(),
            "model": self.model.state_dict(),
            "averaged": None if self.averaged is None else self.averaged.state_dict(),
            "optimizer": parts.optimizer.state_dict(),
            "schedule": parts.schedule.state_dict(),
            "scaler": scaler,
            "best": self.best.state_dict(),
            "running": parts.recorder.train.state_dict(),
            "random": parts.ranks.collect_state(random or get_random_state()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the random state is set just before the next step."""
        self.step_count = state["step"]
        self.model.load_state_dict(state["model"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.parts.optimizer.load_state_dict(state["optimizer"])
        self.parts.schedule.load_state_dict(state["schedule"])
        self.parts.feed.load_state_dict(state["feed"])
        self.best.load_state_dict(state["best"])
        self.parts.recorder.train.load_state_dict(state["running"])
        if state["scaler"] and self._trainer is not None:
            self.trainer.precision_plugin.load_state_dict(state["scaler"])
        self._restored_random = self.parts.ranks.own_state(state["random"])

    def save(self, random: dict[str, Any] | None = None) -> None:
        """Write `last.ckpt`, after the events that it follows."""
        if self.parts.checkpoints is not None:
            self.parts.recorder.flush()
            self.parts.checkpoints.save_last(self.state(random))

    # -- helpers ---------------------------------------------------------------------------------

    def _end_training_epoch(self) -> None:
        parts = self.parts
        extra = {"lr": parts.schedule.lr}
        parts.recorder.end_training_epoch(step=self.step_count, epoch=parts.feed.epoch, extra=extra)

    def _step(self, model: nn.Module, batch: Any, stage: Stage, stand_in: bool) -> Step:
        """A step over all ranks."""
        across_ranks.rows_count(not stand_in)
        task = self.parts.task
        output = task.step(model, batch, stage)
        return self.parts.ranks.combine(output, task.counts(batch), stand_in=stand_in)

    def _record(self, step: Step, lr: float) -> None:
        output = step.output
        self.parts.recorder.training_step(
            {"loss": output.loss.detach(), **output.metrics},
            output.weight,
            counts=step.counts,
            step=self.step_count,
            epoch=self.parts.feed.epoch,
            extra={"lr": lr, "grad_norm": self._norm},
        )

    def _stop_for_nonfinite(self, batch: Any, stage: Stage, step: Step) -> None:
        task, culprit = self.parts.task, ""
        if not bool(torch.isfinite(step.objective)):  # on this rank
            with across_ranks.alone():
                culprit = first_bad_tensor(
                    self.model, batch, lambda: task.step(self.model, batch, stage)
                )
        culprit = self.parts.ranks.first_text(culprit)
        raise TrainingError(
            f"the {stage} loss is not finite at step {self.step_count + 1}, "
            f"epoch {self.parts.feed.epoch}; first bad tensor: {culprit}",
            fix="lower training.optimizer.lr, set training.gradient_clip, or use precision 32; "
            "the last good checkpoint is kept",
        )


def _averaged(model: nn.Module, decay: float) -> AveragedModel | None:
    """Exponential moving average of the weights (Polyak & Juditsky, 1992), as torch has it."""
    if decay == 0:
        return None
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    averaged.requires_grad_(False)
    return averaged
