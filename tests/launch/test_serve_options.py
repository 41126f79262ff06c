"""Services that were told something else: no patience, no batching, nonsense."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from graphwright.errors import ConfigError
from graphwright.launch.serve import ServeOptions, create_app

POINTS = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 2.0]]


def _structures(*structures: Any) -> dict[str, Any]:
    return {"structures": list(structures)}


def test_an_answer_that_takes_too_long_is_given_up(finished: Any, monkeypatch: Any) -> None:
    with TestClient(create_app(finished.run.path, ServeOptions(timeout_s=0.05))) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        read = service.model.read
        monkeypatch.setattr(service.model, "read", lambda upload: time.sleep(0.3) or read(upload))
        response = client.post("/predict", json=_structures({"points": POINTS}))
        assert response.status_code == 503
        assert "0.05 s" in response.json()["error"]["what"]
        monkeypatch.undo()
        assert service.in_flight == 0


def test_a_large_answer_and_not_finite_numbers(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestClient(create_app(finished.run.path, ServeOptions(batching=False))) as client:
        about = client.get("/about").json()
        assert about["batching"] == {
            "shared": False,
            "reason": "it was started with --no-batching",
        }
        service = client.app.state.service  # type: ignore[attr-defined]
        finish: Callable[[Any], Any] = service.model.finish
        nan = {"odd": np.array([np.nan, np.inf, 1.0] * 100)}
        monkeypatch.setattr(service._batcher, "_finish", lambda c: {**finish(c), **nan})
        answer = client.post("/predict", json=_structures(*[{"points": POINTS}] * 300)).json()
        assert [row["odd"] for row in answer["rows"][:3]] == [None, None, 1.0]
        assert len(answer["rows"]) == 300


@pytest.mark.parametrize(("name", "value"), [("max_batch", 0), ("timeout_s", -1), ("port", 65536)])
def test_options_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(ConfigError):
        ServeOptions(**{name: value})
