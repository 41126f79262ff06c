"""Metrics of a training on their way to `events.jsonl`, the cheap way.

Batch means stay tensors and are summed; they become numbers once an epoch and every few steps.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from graphwright.runs.events import EventWriter

__all__ = ["Average", "NoEvents", "Recorder", "memory_metrics"]


class Average:
    """Weighted running means of named scalars, kept as tensors until they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._weight = 0

    def add(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add one batch's means over `weight` samples."""
        for name, value in values.items():
            # float64: an epoch's mean must not depend on where it was interrupted
            part = value.detach().to(torch.float64) * weight
            self._sums[name] = self._sums[name] + part if name in self._sums else part
        self._weight += weight

    def means(self) -> dict[str, float]:
        """The means so far; empty before the first batch."""
        return {name: float(value) / self._weight for name, value in self._sums.items()}

    def state_dict(self) -> dict[str, Any]:
        """Sums and weight."""
        return {"sums": {k: v.cpu() for k, v in self._sums.items()}, "weight": self._weight}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._sums, self._weight = dict(state["sums"]), int(state["weight"])


class NoEvents(EventWriter):
    """Of a process that measures and does not write."""

    def __init__(self) -> None:
        pass

    def log(self, metrics: Mapping[str, float], step: int, epoch: int) -> None:
        """Forget them."""

    def mark_resume(self, step: int) -> None:
        """Nothing is written."""

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


class Recorder:
    """Writes what the loop measures.

    Args:
        events: the run's writer.
        log_every: steps between per-step records.
        device: whose memory is reported beside the host's.
    """

    def __init__(self, events: EventWriter, *, log_every: int, device: torch.device) -> None:
        self._events = events
        self._log_every = log_every
        self._device = device
        self.train = Average()
        self.validation = Average()
        self._samples: dict[str, list[Tensor]] = {}
        self._counts: dict[str, int] = {}
        self._epoch_began = time.perf_counter()
        self._epoch_seconds = 0.0

    def start_epoch(self) -> None:
        """Begin counting; the running training means are kept when an epoch is resumed."""
        self._counts = {}
        self._epoch_began = time.perf_counter()
        self._epoch_seconds = 0.0

    def stop_clock(self) -> None:
        """Training batches of this epoch are over; validation does not count into the rates."""
        self._epoch_seconds = max(time.perf_counter() - self._epoch_began, 1e-9)

    def training_step(
        self,
        values: Mapping[str, Tensor],
        weight: int,
        *,
        counts: Mapping[str, int],
        step: int,
        epoch: int,
        extra: Mapping[str, Tensor | float],
    ) -> None:
        """Add a batch, and write a per-step record when it is due.

        Args:
            values: batch means.
            weight: samples in the batch.
            counts: what rates are measured in.
            step: optimizer steps done, this one included.
            epoch: zero-based.
            extra: written as they are (learning rate, gradient norm).
        """
        self.train.add(values, weight)
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count
        if step % self._log_every == 0:
            record = {f"train_{name}_step": float(value) for name, value in values.items()}
            record |= {name: float(value) for name, value in extra.items()}
            self._events.log(record, step, epoch)

    def end_training_epoch(self, *, step: int, epoch: int, extra: Mapping[str, float]) -> None:
        """Write the epoch's means, rates and memory."""
        record = {f"train_{name}": value for name, value in self.train.means().items()}
        if self._counts:  # not where only the validation was left to do
            seconds = self._epoch_seconds
            record |= {f"{name}_per_s": count / seconds for name, count in self._counts.items()}
            record["epoch_s"] = seconds
        record |= {**memory_metrics(self._device), **extra}
        self._events.log(record, step, epoch)
        self.train = Average()

    def validation_step(
        self, values: Mapping[str, Tensor], weight: int, samples: Mapping[str, Tensor]
    ) -> None:
        """Add a validation batch: its means, and rows that are kept until the end."""
        self.validation.add(values, weight)
        for name, rows in samples.items():
            self._samples.setdefault(name, []).append(rows.detach().cpu())

    def end_validation(
        self,
        *,
        step: int,
        epoch: int,
        summarise: Callable[[dict[str, np.ndarray]], Mapping[str, float]] = lambda samples: {},
    ) -> dict[str, float]:
        """Write and return the validation means, prefixed `val_`.

        Args:
            step: optimizer steps done.
            epoch: zero-based.
            summarise: further values from the rows kept.
        """
        samples = {name: torch.cat(rows).numpy() for name, rows in self._samples.items()}
        values = {**self.validation.means(), **summarise(samples)}
        record = {f"val_{name}": value for name, value in values.items()}
        self._events.log(record, step, epoch)
        self._events.flush()
        self.validation, self._samples = Average(), {}
        return record

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._events.flush()


def memory_metrics(device: torch.device) -> dict[str, float]:
    """Resident memory of the process now and at its peak, and the device's peak, in MB (1e6)."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    metrics = {
        "rss_mb": psutil.Process().memory_info().rss / 1e6,
        "rss_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6,
    }
    if device.type == "cuda":
        metrics["device_mem_mb"] = torch.cuda.max_memory_allocated(device) / 1e6
    return metrics
