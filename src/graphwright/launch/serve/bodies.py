"""The body of a request, in bounded memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request

from graphwright.launch.serve.options import ServeOptions
from graphwright.launch.serve.request_errors import RequestError

__all__ = ["read_body"]

_CLOSE = {"Connection": "close"}
_DRAINED = 4  # times the largest body


async def read_body(request: Request, options: ServeOptions, more: Callable[[int], None]) -> bytes:
    """All of the body.

    Args:
        request: whose headers have come.
        options: limits.
        more: asked for memory, piece by piece.

    Raises:
        RequestError: it is empty, too large, too slow, or packed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(
            415,
            "packed bodies are not unpacked",
            where="Content-Encoding",
            fix="send the file as it is; .gz files are read where the task reads them",
            headers=_CLOSE,
        )
    declared = int(request.headers.get("content-length", "0"))  # h11 lets only numbers pass
    if declared > options.max_body and "expect" in request.headers:
        raise _too_large(options)  # it asks before it sends
    try:
        async with asyncio.timeout(options.upload_timeout_s):
            body = await _collect(request, options, more)
    except TimeoutError:
        raise RequestError(
            408,
            f"the body did not come within {options.upload_timeout_s:g} s",
            headers=_CLOSE,
        ) from None
    if not body:
        raise RequestError(422, "the body is empty", fix="see GET /about for an example")
    return body


async def _collect(request: Request, options: ServeOptions, more: Callable[[int], None]) -> bytes:
    """A body that is too large is read on for a while, and thrown away.

    A client that still sends would never see the answer: it hears that the connection is gone.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= options.max_body:
            more(len(piece))
            pieces.append(piece)
        elif size <= _DRAINED * options.max_body:
            pieces.clear()
        else:
            break
    if size > options.max_body:
        raise _too_large(options)
    return b"".join(pieces)


def _too_large(options: ServeOptions) -> RequestError:
    return RequestError(
        413,
        f"the body has more than {options.max_body:,} bytes",
        fix="send less in one request, or start the service with a larger --max-body-mb",
        headers=_CLOSE,
    )
