"""The real server in a process of its own: signals, patience, the address."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from graphwright.launch.serve.server import is_loopback

POINTS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]]
REQUEST = {"structures": [{"points": POINTS}]}
MANY = {"structures": [{"points": POINTS}] * 2000}
_POST = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
SLOW = {
    "headers": _POST,
    "body": _POST + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
    "body of a refused request": _POST + b"Content-Length: 1000\r\n\r\n",
    "second headers": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + _POST,
}


@contextmanager
def _server(finished: Any, folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "graphwright", "serve", str(finished.run.path), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with subprocess.Popen(
        [*command, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"on (http://\S+) ", line)
            assert found is not None, line + (process.stderr.read() if process.stderr else "")
            yield process, found[1]
        finally:
            process.kill()


def _closed_after(address: tuple[str, int], begin: bytes) -> float:
    """Seconds until the server closes a connection that goes on byte by byte."""
    started = time.monotonic()
    with socket.create_connection(address) as connection:
        connection.settimeout(0.2)
        connection.sendall(begin)
        while time.monotonic() - started < 15:
            try:
                connection.sendall(b"x")
                if not connection.recv(4096):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    return time.monotonic() - started


def test_it_serves_slow_and_fast_clients_and_stops_in_order(finished: Any, tmp_path: Path) -> None:
    more = ("--upload-timeout-s", "1", "--access-log", "--max-wait-ms", "0", "--max-batch", "4")
    with _server(finished, tmp_path, *more) as (process, url), ThreadPoolExecutor() as pool:
        port = int(url.rpartition(":")[2])
        slow = [pool.submit(_closed_after, ("127.0.0.1", port), one) for one in SLOW.values()]
        assert _closed_after(("127.0.0.1", port), b"\0 this is no HTTP\r\n\r\n") < 5
        with httpx.Client(base_url=url, timeout=60) as client:
            answers = [client.post("/predict", json=REQUEST) for _ in range(5)]
            assert [answer.status_code for answer in answers] == [200] * 5
            taken = dict(zip(SLOW, [one.result() for one in slow], strict=True))
            assert all(1 <= seconds < 10 for seconds in taken.values()), taken
            assert client.get("/health").json() == {"status": "ok", "in_flight": 0}
            (folder,) = tmp_path.glob("graphwright-serve-*")
            assert folder.stat().st_mode & 0o077 == 0
            large = pool.submit(client.post, "/predict", json=MANY)
            while httpx.get(f"{url}/health").json()["in_flight"] == 0:
                assert not large.done()
            process.send_signal(signal.SIGTERM)
            assert len(large.result().json()["rows"]) == 2000
        assert process.wait(30) == 0
        log = process.stderr.read() if process.stderr else ""
    assert list(tmp_path.iterdir()) == []
    assert len(re.findall(r"^POST /predict 200 [\d.]+ ms$", log, re.MULTILINE)) == 6
    assert "POST /predict 408" in log
    assert "POST /predict 415" in log
    assert "Traceback" not in log
    assert "Fatal" not in log


def test_a_taken_port_is_told(cli: Callable[..., Any], finished: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = cli("serve", finished.run.path, "--port", port, *finished.roots)
    assert result.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.err
    assert "another --port" in result.err


def test_no_such_run(cli: Callable[..., Any], finished: Any, tmp_path: Path) -> None:
    result = cli("serve", tmp_path / "nothing", *finished.roots)
    assert result.code == 2
    assert "nothing" in result.err


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.7", False)],
)
def test_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_others_are_warned_of(
    finished: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from graphwright.launch.serve import ServeOptions, server

    monkeypatch.setattr(server._Server, "run", lambda self, sockets: None)
    server.serve(finished.run.path, ServeOptions(host="0.0.0.0", port=0))
    assert "there is no authentication" in caplog.text
    caplog.clear()
    server.serve(finished.run.path, ServeOptions(port=0))
    assert caplog.text == ""
