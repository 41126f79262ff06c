"""Samples of concurrent requests in one call of the model, on one thread.

A request's samples are taken as the model has room for them: a small request never waits for all of
a large one, since what is left of that goes to the end of the queue.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphwright.data.source import SampleSource
from graphwright.training.task import Columns

__all__ = ["MAX_COST", "BatchSettings", "Batcher"]

MAX_COST = 1 << 18
"""Of the samples in one call, in units of `SampleSource.sizes`; one sample alone may have more."""

log = logging.getLogger("graphwright")


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """How samples are put together.

    Attributes:
        max_batch: samples in one call.
        max_wait_s: how long a request waits for others that are being read.
        is_shared: whether a call may hold samples of several requests.
    """

    max_batch: int
    max_wait_s: float
    is_shared: bool


@dataclass(eq=False)
class _Job:
    """One request's samples on their way."""

    source: SampleSource
    sizes: NDArray[np.int64]
    since: float
    future: Future[Columns] = field(default_factory=Future)
    done: int = 0
    parts: list[Columns] = field(default_factory=list)

    @property
    def left(self) -> int:
        return len(self.sizes) - self.done

    def take(self, room: int, cost: int) -> NDArray[np.int64]:
        """Places of the next samples: at most `room`, and at most `cost` in all."""
        ahead = self.sizes[self.done : self.done + room]
        count = int(np.searchsorted(np.cumsum(ahead), cost, side="right"))
        chosen = np.arange(self.done, self.done + count)
        self.done += count
        return chosen

    def settle(self, result: Columns | BaseException) -> None:
        """Give the result, unless nobody waits for it any more."""
        try:
            if isinstance(result, BaseException):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)
        except InvalidStateError:  # cancelled: the request has timed out
            pass


Piece = tuple[_Job, NDArray[np.int64]]


class Batcher:
    """The thread that calls the model.

    Args:
        predict: from a batch to its columns, one row a sample.
        finish: what only all samples of a request can tell (`Task.finish_predictions`).
        settings: how samples are put together.
        started: called on the thread before anything else.
        observed: called with (samples, requests) of every call.
    """

    def __init__(
        self,
        predict: Callable[[Any], Columns],
        finish: Callable[[Columns], Columns],
        settings: BatchSettings,
        *,
        started: Callable[[], None] = lambda: None,
        observed: Callable[[int, int], None] = lambda samples, requests: None,
    ) -> None:
        self._predict, self._finish = predict, finish
        self._settings, self._started, self._observed = settings, started, observed
        self._jobs: deque[_Job] = deque()
        self._waiting = 0  # samples in the queue
        self._announced = 0  # requests that are being read
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, source: SampleSource) -> Future[Columns]:
        """Predictions for a source of at least one sample; cancel the future to give them up.

        Raises:
            RuntimeError: after `close`.
        """
        job = _Job(source, source.sizes(), time.monotonic())
        with self._changed:
            if self._is_closing:
                raise RuntimeError("the service is stopping")
            self._jobs.append(job)
            self._waiting += job.left
            self._changed.notify()
        return job.future

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Somebody is about to submit: worth waiting for. Nobody waits where nobody comes."""
        with self._changed:
            self._announced += 1
        try:
            yield
        finally:
            with self._changed:
                self._announced -= 1
                self._changed.notify()

    def close(self) -> None:
        """Answer what is in the queue, then stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        self._started()
        while pieces := self._next():
            self._observed(sum(len(index) for _, index in pieces), len(pieces))
            self._answer(pieces)

    def _next(self) -> list[Piece]:
        """Samples for the next call; none when everything is done."""
        while True:
            with self._changed:
                while not self._jobs:
                    if self._is_closing:
                        return []
                    self._changed.wait()
                self._wait_for_others()
                pieces = self._taken()
            if pieces:  # all in the queue may have been given up
                return pieces

    def _wait_for_others(self) -> None:
        if not self._settings.is_shared:
            return
        until = self._jobs[0].since + self._settings.max_wait_s
        while self._announced and self._waiting < self._settings.max_batch:
            rest = until - time.monotonic()
            if rest <= 0 or not self._changed.wait(rest):
                return

    def _taken(self) -> list[Piece]:
        pieces: list[Piece] = []
        room, cost = self._settings.max_batch, MAX_COST
        while self._jobs and room:
            job = self._jobs.popleft()
            if job.future.done():  # given up, or failed before
                self._waiting -= job.left
                continue
            if not pieces:  # or a large sample would never have its turn
                cost = max(cost, int(job.sizes[job.done]))
            index = job.take(room, cost)
            if len(index):
                pieces.append((job, index))
            room, cost = room - len(index), cost - int(job.sizes[index].sum())
            self._waiting -= len(index)
            if job.left:
                # behind the others, unless its turn has not come
                (self._jobs.append if len(index) else self._jobs.appendleft)(job)
                break
            if not self._settings.is_shared:
                break
        return pieces

    def _answer(self, pieces: Sequence[Piece]) -> None:
        try:
            columns = self._together(pieces)
        except Exception as error:
            if len(pieces) == 1:
                pieces[0][0].settle(error)
                return
            log.debug("requests are answered one by one: %s", error)
            for piece in pieces:  # whose fault it is: nobody else is harmed
                self._answer([piece])
            return
        start = 0
        for job, index in pieces:
            part = {name: rows[start : start + len(index)] for name, rows in columns.items()}
            start += len(index)
            job.parts.append(part)
            if job.done == len(job.sizes):
                self._complete(job)

    def _together(self, pieces: Sequence[Piece]) -> Columns:
        batches = [job.source.batch(index) for job, index in pieces]
        batch: Any = batches[0]
        if len(batches) > 1:
            batch = type(batch).joined(batches)
        columns = self._predict(batch)
        count = sum(len(index) for _, index in pieces)
        if any(len(rows) != count for rows in columns.values()):
            raise ValueError(f"the model did not give {count} rows")
        return columns

    def _complete(self, job: _Job) -> None:
        try:
            names = job.parts[0]
            whole = {name: np.concatenate([part[name] for part in job.parts]) for name in names}
            job.settle(self._finish(whole))
        except Exception as error:
            job.settle(error)
