"""From an upload to an answer: a few threads read, one calls the model, none blocks the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from typing import Any

import torch

from graphwright.launch.serve.answers import answer_json
from graphwright.launch.serve.batching import Batcher, BatchSettings
from graphwright.launch.serve.metrics import Metrics
from graphwright.launch.serve.model import ServedModel, limits_told
from graphwright.launch.serve.request_errors import RequestError
from graphwright.launch.serve.uploads import Upload

__all__ = ["Service"]

_READERS = 2
_LARGE = 256  # rows whose JSON is not written on the event loop's thread
_BUSY = {"Retry-After": "1"}


class Service:
    """A model that answers concurrent requests.

    Args:
        model: what is served; closed with the service.
        metrics: where calls and rows are counted.
    """

    def __init__(self, model: ServedModel, metrics: Metrics) -> None:
        self.model, self.options, self.metrics = model, model.options, metrics
        self.in_flight = 0
        self.bytes_held = 0
        self._readers = ThreadPoolExecutor(_READERS, "reader", self._set_threads)
        settings = BatchSettings(
            max_batch=self.options.max_batch,
            max_wait_s=self.options.max_wait_ms / 1000,
            is_shared=self.options.batching and model.can_share,
        )
        self._batcher = Batcher(
            model.predict,
            model.finish,
            settings,
            started=self._set_threads,
            observed=metrics.call,
        )
        self.columns = self._warm_up()
        metrics.watch(
            "graphwright_queue_depth",
            "Requests that are read, wait or are computed.",
            lambda: self.in_flight,
        )
        metrics.watch(
            "graphwright_held_bytes", "Bytes of bodies in memory.", lambda: self.bytes_held
        )

    def close(self) -> None:
        """Finish what was begun, then stop the threads."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._batcher.close()
        self.model.close()

    async def predict(self, upload: Upload) -> bytes:
        """The answer to one request.

        Raises:
            RequestError: input that is refused, too many requests at one time, or no time left.
            Exception: what the task or the model raises unexpectedly.
        """
        with self._admitted():
            try:
                async with asyncio.timeout(self.options.timeout_s):
                    return await self._answer(upload)
            except TimeoutError:
                raise RequestError(
                    503,
                    f"no answer within {self.options.timeout_s:g} s",
                    fix="send less in one request, or try later",
                    headers=_BUSY,
                ) from None

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Memory for a body: a function that asks for so many bytes more, given back at the end.

        It raises a RequestError where all bodies together would need too much.
        """
        mine = 0

        def more(count: int) -> None:
            nonlocal mine
            if self.bytes_held + count > self.options.max_held:
                raise RequestError(503, "too many large bodies at one time", headers=_BUSY)
            mine += count
            self.bytes_held += count

        try:
            yield more
        finally:
            self.bytes_held -= mine

    def about(self) -> dict[str, Any]:
        """What `GET /about` says."""
        form, options = self.model.form, self.options
        takes: dict[str, Any] = {"files": form.files, "suffixes": list(form.suffixes)}
        takes["send"] = "curl --data-binary @NAME 'http://HOST:PORT/predict?file=NAME'"
        if form.from_json is not None:
            takes |= {"json": form.json, "example": form.example}
            takes["send_json"] = "curl --json @FILE http://HOST:PORT/predict"
        return {
            "service": f"graphwright {metadata.version('graphwright')}",
            "model": self.model.identity,
            "input": takes,
            "columns": self.columns,
            "limits": limits_told(options),
            "batching": self._batching(),
        }

    def _batching(self) -> dict[str, Any]:
        if not self.options.batching:
            return {"shared": False, "reason": "it was started with --no-batching"}
        if not self.model.can_share:
            return {"shared": False, "reason": "batches of this task cannot be joined"}
        told = {"max_batch": self.options.max_batch, "max_wait_ms": self.options.max_wait_ms}
        return {"shared": True, **told}

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self.in_flight >= self.options.queue:
            raise RequestError(
                503,
                f"{self.in_flight} requests are being answered: there is no room for another",
                fix="try again in a second",
                headers=_BUSY,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def _answer(self, upload: Upload) -> bytes:
        loop = asyncio.get_running_loop()
        with self._batcher.announced():
            raw = await loop.run_in_executor(self._readers, self.model.read, upload)
            columns_ready = self._batcher.submit(raw.source)
        columns = await asyncio.wrap_future(columns_ready)
        self.metrics.rows(len(raw.names), len(raw.rejected))
        arguments = (raw.names, columns, raw.rejected, self.model.identity)
        if len(raw.names) + len(raw.rejected) <= _LARGE:
            return answer_json(*arguments)
        return await loop.run_in_executor(self._readers, answer_json, *arguments)

    def _warm_up(self) -> list[str] | None:
        """Answer the example once: the first request is as fast as others. Its columns."""
        if self.model.example is None:
            return None
        return ["id", *self._batcher.submit(self.model.example.source).result()]

    def _set_threads(self) -> None:
        torch.set_num_threads(self.options.threads)
