"""HTTP clients of raw sockets, as cheap as they can be beside the server that they measure."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress

__all__ = ["answer", "ask", "post", "trickle"]

PATIENCE_S = 9.0


def post(path: str, body: bytes, kind: str) -> bytes:
    """The bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(port: int, request: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own; status 0 where there was no answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await asyncio.wait_for(answer(reader), 20)
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return 0, b""
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else await reader.read()
    return int(head[9:12]), body


async def trickle(port: int, start: bytes) -> float:
    """Seconds until the server ends a connection that sends a byte now and then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    with suppress(ConnectionError):
        writer.write(start)
        while time.monotonic() - began < PATIENCE_S:
            writer.write(b"x")
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(4096), 0.3):
                    break
    writer.close()
    return time.monotonic() - began
