"""What a service answers and refuses, request by request."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from graphwright.launch.serve import ServeOptions, create_app
from graphwright.training.task import RawInput

POINTS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]]
LIMITS = ServeOptions(max_body_mb=0.1, max_samples=5, max_size=50, queue=3, timeout_s=20)


@pytest.fixture(scope="module")
def client(finished: Any) -> Iterator[TestClient]:
    """One service with narrow limits."""
    with TestClient(create_app(finished.run.path, LIMITS)) as found:
        yield found


@pytest.fixture
def service(client: TestClient) -> Any:
    """What is behind it."""
    return client.app.state.service  # type: ignore[attr-defined]


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _structures(*structures: Any) -> dict[str, Any]:
    return {"structures": list(structures)}


def _error(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = response.json()["error"]
    assert error["status"] == status
    assert error["what"]
    return error


def test_about_says_what_it_is_and_takes(client: TestClient) -> None:
    about = client.get("/").json()
    assert about == client.get("/about").json()
    assert about["model"]["task"] == "geometry"
    assert len(about["model"]["weights_sha256"]) == 64
    assert about["input"]["suffixes"] == [".npz", ".xyz", ".extxyz"]
    assert about["limits"]["max_samples"] == 5
    assert about["columns"] == ["id", "predicted_x", "predicted_y", "predicted_z"]


def test_rejected_structures_stand_beside_the_others(client: TestClient) -> None:
    good, bad = {"name": "good", "points": POINTS}, {"name": "bad", "points": [[0, 0, 0]]}
    worse = {"name": "worse", "points": [[1, 2]]}
    answer = client.post("/predict", json=_structures(bad, good, worse)).json()
    assert [row["id"] for row in answer["rows"]] == ["good"]
    reasons = {r["where"]: r["reason"] for r in answer["rejected"]}
    assert reasons["structure 0 (bad)"] == "fewer than 2 points"
    assert "shape 1x2" in reasons["worse"]
    assert answer["rejected_count"] == 2


def test_a_name_is_no_path(client: TestClient, tmp_path: Path) -> None:
    body = _npz(pos=np.array(POINTS), offsets=np.array([0, 4]))
    for name in ("../../x.npz", f"{tmp_path}/x.npz", "%2e%2e%2fx.npz"):
        response = client.post("/predict", params={"file": name}, content=body)
        assert response.json()["rows"][0]["id"].endswith("x:0")
    by_header = client.post("/predict", headers={"X-File-Name": "mine.npz"}, content=body)
    assert by_header.json()["rows"][0]["id"] == "mine:0"
    assert list(tmp_path.iterdir()) == []


MALFORMED = {
    "no json": (b"{]", "no JSON"),
    "not utf-8": (b"\xff\xfe{", "no JSON"),
    "deep": (b"[" * 50_000, "nested too deeply"),
    "huge integer": (b'{"structures": ' + b"9" * 5000 + b"}", "no JSON"),
    "list": (b"[]", "no list of structures"),
    "empty list": (b'{"structures": []}', "no list of structures"),
    "number": (b'{"structures": [3]}', "without points"),
    "other key": (b'{"structures": [{"points": [], "pos": 1}]}', "pos: no such key"),
    "text": (b'{"structures": [{"points": "abc"}]}', "not a regular array"),
    "ragged": (b'{"structures": [{"points": [[1, 2, 3], [1]]}]}', "not a regular array"),
    "nan": (b'{"structures": [{"points": [[NaN, 0, 0], [1, 2, 3]]}]}', "no usable structure"),
    "empty": (b"", "empty"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_told(client: TestClient, name: str) -> None:
    body, expected = MALFORMED[name]
    headers = {"Content-Type": "application/json"}
    error = _error(client.post("/predict", content=body, headers=headers), 422)
    assert expected in error["what"]
    assert "/tmp" not in json.dumps(error)


def test_a_pickle_is_never_loaded(client: TestClient) -> None:
    body = _npz(pos=np.array([object(), None], dtype=object), offsets=np.array([0, 2]))
    error = _error(client.post("/predict?file=x.npz", content=body), 422)
    assert "unpickled" in error["what"]
    assert error["where"] == "x.npz"


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "form": ({"files": {"file": b"abc"}}, 415, "forms are not read"),
    "no type": ({"content": b"abc"}, 415, "unknown"),
    "text": ({"content": b"abc", "headers": {"Content-Type": "text/plain"}}, 415, "text/plain"),
    "packed": (
        {"content": gzip.compress(b"{}"), "headers": {"Content-Encoding": "gzip"}, "json": None},
        415,
        "",
    ),
    "other ending": ({"params": {"file": "x.pt"}, "content": b"abc"}, 422, "ending"),
    "other parameter": ({"params": {"fil": "x.npz"}, "content": b"abc"}, 422, "fil: no such"),
    "large": ({"params": {"file": "x.npz"}, "content": bytes(100_001)}, 413, "100,000 bytes"),
    "bomb": (
        {
            "params": {"file": "x.npz"},
            "content": _npz(pos=np.zeros((40_000, 3)), offsets=np.array([0, 40_000])),
        },
        413,
        "unpacks to more",
    ),
    "many samples": ({"json": _structures(*[{"points": POINTS}] * 6)}, 413, "6 structures"),
    "large sample": ({"json": _structures({"points": [[i, 0, 0] for i in range(51)]})}, 413, "51"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client: TestClient, name: str) -> None:
    request, status, expected = REFUSED[name]
    assert expected in _error(client.post("/predict", **request), status)["what"]


def test_chunks_are_counted(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)

    error = _error(client.post("/predict?file=x.npz", content=chunks()), 413)
    assert "more than 100,000 bytes" in error["what"]


def test_other_paths_and_methods(client: TestClient) -> None:
    assert "POST /predict" in _error(client.get("/favicon.ico"), 404)["fix"]
    response = client.get("/predict")
    _error(response, 405)
    assert response.headers["allow"] == "POST"
    _error(client.delete("/about"), 405)


def test_metrics(client: TestClient) -> None:
    def value(line: str) -> float:
        found = [row for row in client.get("/metrics").text.splitlines() if row.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0

    names = (
        'graphwright_requests_total{path="/predict",status="200"}',
        "graphwright_samples_total",
    )
    names += ("graphwright_rejected_rows_total", "graphwright_call_requests_count")
    before = [value(name) for name in names]
    request = _structures({"points": POINTS}, {"points": [[0, 0, 0]]})
    assert client.post("/predict", json=request).status_code == 200
    assert [value(name) for name in names] == [one + 1 for one in before]
    assert value("process_resident_memory_bytes") > 1e7
    assert value("graphwright_queue_depth") == 0
    assert 'path="other"' in client.get("/metrics").text or client.get("/no").status_code == 404


async def _together(client: TestClient, requests: list[dict[str, Any]]) -> list[httpx.Response]:
    transport = httpx.ASGITransport(client.app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as concurrent:
        return await asyncio.gather(*(concurrent.post("/predict", **one) for one in requests))


def _slowly(service: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    read = service.model.read

    def slow(upload: Any) -> RawInput:
        time.sleep(seconds)
        found: RawInput = read(upload)
        return found

    monkeypatch.setattr(service.model, "read", slow)


def test_more_than_the_queue_holds_are_sent_away(
    client: TestClient, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _slowly(service, monkeypatch, 0.05)
    request = {"json": _structures({"points": POINTS})}
    responses = asyncio.run(_together(client, [request] * 6))
    assert sorted(r.status_code for r in responses) == [200] * 3 + [503] * 3
    refused = next(r for r in responses if r.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert (service.in_flight, service.bytes_held) == (0, 0)


def test_one_bad_request_among_concurrent_ones(client: TestClient) -> None:
    good = {"json": _structures({"points": POINTS})}
    responses = asyncio.run(_together(client, [good, {"json": _structures(1)}, good]))
    assert [r.status_code for r in responses] == [200, 422, 200]
    assert responses[0].json()["rows"] == responses[2].json()["rows"]


def test_a_failing_model_is_told_and_logged(
    client: TestClient, service: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(upload: Any) -> RawInput:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(service.model, "read", fail)
    error = _error(client.post("/predict", json=_structures({"points": POINTS})), 500)
    assert "inside" not in json.dumps(error)
    assert "ZeroDivisionError: inside" in caplog.text
    monkeypatch.undo()
    assert client.post("/predict", json=_structures({"points": POINTS})).status_code == 200
