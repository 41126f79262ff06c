"""The process: an address, signals, and an end that loses no answer."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from graphwright.errors import RunError
from graphwright.launch.serve.app import create_app
from graphwright.launch.serve.options import ServeOptions
from graphwright.launch.serve.protocol import patient_protocol

__all__ = ["is_loopback", "serve"]

log = logging.getLogger("graphwright")

_CONNECTIONS = 1000
_KEEP_ALIVE_S = 15
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    run: Path | str,
    options: ServeOptions | None = None,
    *,
    data_root: Path = Path("data"),
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer requests for a trained model until SIGTERM or SIGINT; then finish those in flight.

    Args:
        run: a run folder or a bundle.
        options: address, limits and batching.
        data_root: where prepared data are kept.
        ready: called with the address when requests are answered.

    Raises:
        BundleError: no bundle there, or a damaged one.
        RunError: the address is taken, or is none of this machine.
    """
    options = options or ServeOptions()
    with _listening(options) as listener:
        if not is_loopback(listener.getsockname()[0]):
            log.warning(
                "warning: %s can be reached from other machines, and there is no authentication: "
                "put a proxy in front that asks who it is",
                options.host,
            )
        app = create_app(run, options, data_root=data_root)
        try:
            _Server(_config(app, options), lambda: ready(_url(listener))).run(sockets=[listener])
        finally:
            app.state.service.model.close()  # where a second signal has left it


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


class _Server(uvicorn.Server):
    """Says when it is ready, and does not die of the signal that it obeys."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets=sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A second signal does not wait for requests."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _config(app: Any, options: ServeOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=patient_protocol(options.upload_timeout_s),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(options.timeout_s) + 1,
    )


@contextlib.contextmanager
def _listening(options: ServeOptions) -> Iterator[socket.socket]:
    """The socket, taken before the model is loaded: a taken port is told at once."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise RunError(f"{options.host}: no such address ({error.strerror})") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise RunError(
                f"cannot listen on {options.host}:{options.port}: {error.strerror}",
                fix="choose another --port; 0 takes a free one",
            ) from None
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
