"""Who trains what a search asks for: a table that knows already, or the user's own program."""

from __future__ import annotations

import queue
import shlex
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from graphwright.errors import ConfigError
from graphwright.tasks.nas.search.candidates import Candidate, Trial
from graphwright.tasks.nas.search.config import (
    CommandTrainer,
    FunctionTrainer,
    SearchConfig,
)
from graphwright.tasks.nas.search.lookup import Lookup
from graphwright.tasks.nas.search.named import load_named
from graphwright.tasks.nas.search.workers import Worker

__all__ = ["ProcessTrainer", "TableLookup", "Trainer", "make_trainer"]


class Trainer(Protocol):
    """Trains architectures."""

    def train(self, candidates: Sequence[Candidate]) -> Iterator[Trial]:
        """Every candidate once, as they end. A failed training is a trial without a value."""
        ...

    def close(self) -> None:
        """Stop what is still running."""
        ...


@dataclass(frozen=True)
class TableLookup:
    """A table in which everything has been trained already."""

    table: Lookup

    def train(self, candidates: Sequence[Candidate]) -> Iterator[Trial]:
        """See `Trainer`."""
        for one in candidates:
            value = self.table.value(one.text)
            reason = "" if value is not None else "the table has no value for it"
            yield Trial(candidate=one, value=value, reason=reason, seconds=0.0)

    def close(self) -> None:
        """Nothing runs."""


class ProcessTrainer:
    """The user's command or function, in worker processes.

    Args:
        config: of the search.
        folder: for the logs of the trainings, `00012.log`, and what commands write to {out}.

    Raises:
        ConfigError: the command is malformed, or the function is not there.
    """

    def __init__(self, config: SearchConfig, folder: Path) -> None:
        assert isinstance(config.trainer, CommandTrainer | FunctionTrainer)
        self._config, self._trainer, self._folder = config, config.trainer, folder
        if isinstance(self._trainer, CommandTrainer):
            _command(self._trainer.command, {"arch": "", "out": "", "seed": 0, "number": 0})
        self._threads = ThreadPoolExecutor(config.workers, thread_name_prefix="training")
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers = [Worker() for _ in range(config.workers)]
        for worker in self._workers:
            self._idle.put(worker)

    def train(self, candidates: Sequence[Candidate]) -> Iterator[Trial]:
        """See `Trainer`."""
        self._folder.mkdir(exist_ok=True)
        waiting: set[Future[Trial]] = {
            self._threads.submit(self._train_one, one) for one in candidates
        }
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()

    def close(self) -> None:
        """Kill the workers and what they started."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.stop()

    def _train_one(self, candidate: Candidate) -> Trial:
        worker = self._idle.get()
        try:
            answer = worker.run(self._job(candidate), self._trainer.time_limit_s or None)
        finally:
            self._idle.put(worker)
        return Trial(
            candidate=candidate,
            value=answer.value,
            reason=answer.reason,
            seconds=answer.seconds,
        )

    def _job(self, candidate: Candidate) -> dict[str, Any]:
        stem = self._folder.absolute() / f"{candidate.number:05d}"
        log, out = stem.with_suffix(".log"), stem.with_suffix(".json")
        job = {"arch": candidate.text, "seed": self._config.seed, "number": candidate.number}
        with suppress(FileNotFoundError):
            out.unlink()  # of a training that a killed search did not see the end of
        if isinstance(self._trainer, FunctionTrainer):
            return {**job, "function": self._trainer.function, "log": str(log)}
        words = _command(self._trainer.command, {**job, "out": str(out)})
        told = str(out) if "{out}" in self._trainer.command else ""
        return {**job, "command": words, "out": told, "log": str(log)}


def make_trainer(config: SearchConfig, folder: Path, table: Lookup | None) -> Trainer:
    """The trainer of a configuration.

    Args:
        config: of the search.
        folder: where logs go.
        table: of a table trainer.

    Raises:
        ConfigError: the command is malformed, or the function is not there.
    """
    if table is not None:
        return TableLookup(table)
    if isinstance(config.trainer, FunctionTrainer):
        load_named(config.trainer.function)  # a wrong name is one error, and not 150 failures
    return ProcessTrainer(config, folder)


def _command(template: str, fields: dict[str, Any]) -> list[str]:
    """The words of a command; each is filled in after splitting, so no value needs quoting.

    Raises:
        ConfigError: braces or quotes that do not fit.
    """
    try:
        words = [word.format_map(fields) for word in shlex.split(template)]
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(
            f"cannot read the command: {type(error).__name__} {error}",
            where=template,
            fix="it may have {arch}, {out}, {seed} and {number}; other braces are doubled: {{ }}",
        ) from None
    if not words:
        raise ConfigError("the command is empty")
    return words
