"""Every request is counted and timed, and told if somebody wants a log."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphwright.launch.serve.metrics import Metrics

__all__ = ["Measured"]

_log = logging.getLogger("graphwright.serve")


class Measured:
    """ASGI middleware.

    Args:
        app: what is measured.
        metrics: where it is counted.
        log: whether each request is a line of the log.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: bool) -> None:
        self._app, self._metrics, self._is_logged = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - start
            self._metrics.request(scope["path"], status, seconds)
            if self._is_logged:
                path = scope["path"].encode("unicode_escape").decode()[:200]
                _log.info("%s %s %d %.1f ms", scope["method"], path, status, 1000 * seconds)
