"""What docs/serve.md says to type is typed, and does what it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from graphwright.launch.serve import ServeOptions
from graphwright.launch.use import predict

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text()
ADDRESS = "127.0.0.1:8000"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def address(finished: Any) -> Iterator[str]:
    """Of a server that was started with the page's own command, on a free port."""
    (command,) = [line[2:] for line in _blocks("console")[0].splitlines()]
    words = [str(finished.run.path) if w == "RUN" else w for w in shlex.split(command)]
    words = [sys.executable, "-m", *words[:-1], "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://(\S+) ", server.stdout.readline())
        assert found is not None
        yield found[1]
        server.terminate()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(address: str, structures: Callable[[Path], Path], tmp_path: Path) -> None:
    structures(tmp_path / "mine.npz")
    answers = []
    for line in _blocks("bash")[0].splitlines():
        words = shlex.split(line.replace(ADDRESS, address))
        done = subprocess.run([*words, "-sS"], cwd=tmp_path, capture_output=True, check=True)
        answers.append(json.loads(done.stdout))
    about, of_file, of_json = answers
    assert about["input"]["suffixes"][0] == ".npz"
    assert [row["id"] for row in of_file["rows"]] == ["mine:0", "mine:1", "mine:2"]
    assert len(of_json["rows"]) == 1


def test_python(
    address: str, finished: Any, structures: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = structures(tmp_path / "mine.npz")
    namespace: dict[str, Any] = {}
    exec(_blocks("python")[0], namespace)
    rows = namespace["ask"](path, f"http://{address}")
    expected = predict(finished.run.path, path)
    assert [row["predicted_x"] for row in rows] == expected.columns["predicted_x"].tolist()


def test_the_limits_that_are_told_are_those_there_are() -> None:
    options = ServeOptions()
    told = {
        "max_body_mb": "more than 16 MB",
        "max_samples": "more than 4,096 samples",
        "max_size": "more than 4,096 points",
        "queue": "256 requests",
        "timeout_s": "no answer in 30 s",
        "upload_timeout_s": "did not come in 20 s",
        "max_batch": "`--max-batch` (64)",
        "max_wait_ms": "`--max-wait-ms` (10)",
    }
    for name, text in told.items():
        assert text in PAGE
        assert f"{getattr(options, name):,.0f}" in text
    assert options.max_unpacked == 4 * options.max_body
    assert options.max_held == 16 * options.max_body
