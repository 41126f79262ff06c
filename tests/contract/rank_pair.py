"""Two processes that train together, kept for many trainings: importing torch costs seconds."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from graphwright.training.allocator import set_allocator
from graphwright.training.rank_place import RankPlace

__all__ = ["RankPair", "rank_pair"]

RANKS = 2
PATIENCE_S = 120.0


class RankPair:
    """Asks both processes for the same thing at the same time.

    Args:
        pipes: one to each.
    """

    def __init__(self, pipes: list[Connection]) -> None:
        self._pipes = pipes

    def __call__(self, job: str, *arguments: Any) -> list[Any]:
        """What `module:function` returns on each; it is called with its place and the arguments."""
        # rank 0 is given what listens: a port that is only chosen may be gone when it is used
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            for rank, pipe in enumerate(self._pipes):
                pipe.send((job, rank, port, None if rank else listener, arguments))
            answers = self._answers()
        for done, answer in answers:
            assert done, answer
        return [answer for _, answer in answers]

    def _answers(self) -> list[tuple[bool, Any]]:
        answers = []
        for rank, pipe in enumerate(self._pipes):
            assert pipe.poll(PATIENCE_S), f"rank {rank} does not answer"
            answers.append(pipe.recv())
        return answers


@contextmanager
def rank_pair() -> Iterator[RankPair]:
    """The pair, which ends with the block."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(RANKS)]
    processes = [context.Process(target=_serve, args=(end,), daemon=True) for _, end in ends]
    for process in processes:
        process.start()
    try:
        yield RankPair([pipe for pipe, _ in ends])
    finally:
        for process in processes:
            process.kill()
            process.join()


def _serve(pipe: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    set_allocator("keep")
    while True:
        job, rank, port, listener, arguments = pipe.recv()
        place = RankPlace(rank, RANKS, rank, "127.0.0.1", port)
        if listener is not None:
            place = replace(place, listen_fd=listener.detach())
        module, name = job.split(":")
        try:
            answer = True, getattr(importlib.import_module(module), name)(place, *arguments)
        except Exception:
            answer = False, traceback.format_exc()
        pipe.send(answer)
