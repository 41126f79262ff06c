"""A real `mlflow server`, spoken to over HTTP.

Needs the full package: in this environment, or in another one whose `mlflow` command
GRAPHWRIGHT_TEST_MLFLOW names (graphwright's extra installs mlflow-skinny, which has no server).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from graphwright.cli import app
from graphwright.runs.events import EventWriter, read_events
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirrors.names import shown_name
from graphwright.runs.status import session

pytestmark = pytest.mark.filterwarnings("ignore")  # of packages that are not ours

PATIENCE_S = 180.0
CONFIG = "task: {task}\nseed: {seed}\nmodel:\n  name: painn\n"


def server_command() -> str | None:
    named = os.environ.get("GRAPHWRIGHT_TEST_MLFLOW")
    if named:
        return shutil.which(named)
    try:
        version("mlflow")
    except PackageNotFoundError:
        return None
    return shutil.which("mlflow", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = server_command()
    if command is None:
        pytest.skip("no full mlflow here, and GRAPHWRIGHT_TEST_MLFLOW names none")
    place = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    # without jobs it is up in 5 s instead of 19, and two processes instead of ten
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (place / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                *(command, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{place / 'server.db'}"),
                *("--artifacts-destination", str(place / "artifacts")),
            ],
            stdout=log,
            stderr=log,
            cwd=place,
            env={**os.environ, **quiet},
            start_new_session=True,
        )
    try:
        wait_for(uri, process, place / "log.txt")
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=5).read()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        else:
            return


def api(server: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """MLflow's REST API, without MLflow's client."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{server}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request, timeout=60))


def make_run(root: Path, task: str, seed: int) -> RunFolder:
    config = CONFIG.format(task=task, seed=seed)
    run = RunFolder.create(root, [task, "tiny", "painn"], config)
    with session(run), EventWriter(run.events_path) as writer:
        for step in range(1, 1201):
            writer.log({"train_loss": 1 / step, "lr": 0.1}, step, 0)
        metrics = {"split": "test", "metrics": {"mae": 0.25}}
        run.write_json("metrics.json", metrics)
        run.bundle.mkdir()
        (run.bundle / "model.json").write_text("{}")
    return run


def test_two_tasks_over_http(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(tmp_path)
    made = [
        make_run(tmp_path / "runs", task, seed) for task in ("geometry", "nas") for seed in (0, 1)
    ]
    command = ["mirror", "--all", "--to", "mlflow", "--uri", f"{server}/", "--artifacts"]
    said = [CliRunner().invoke(app, command) for _ in range(2)]
    assert [result.exit_code for result in said] == [0, 0], said[0].output
    assert said[0].stderr.count(": 2,400 values") == 4
    assert said[1].stderr.count(": nothing new") == 4
    pages = said[1].stdout.splitlines()
    assert len(pages) == 2
    for page in pages:
        assert page.startswith(f"{server}/#/experiments/")

    experiments = {
        one["name"]: one["experiment_id"]
        for one in api(server, "experiments/search?max_results=100")["experiments"]
    }
    assert set(experiments) == {"Default", "geometry", "nas"}
    runs = api(server, "runs/search", {"experiment_ids": [experiments["geometry"]]})["runs"]
    assert sorted(run["info"]["run_name"] for run in runs) == [
        "painn/run_000 (tiny)",
        "painn/run_001 (tiny)",
    ]
    assert [run["info"]["status"] for run in runs] == ["FINISHED"] * 2
    first = next(run for run in runs if run["info"]["run_name"].startswith("painn/run_000"))
    run_id = first["info"]["run_id"]
    assert {p["key"]: p["value"] for p in first["data"]["params"]}["seed"] == "0"
    events = read_events(made[0].events_path)
    for name in events.names():
        path = f"metrics/get-history?run_id={run_id}&metric_key={shown_name(name)}"
        history = api(server, f"{path}&max_results=25000")["metrics"]
        found = [(int(m.get("step", 0)), m["value"], int(m["timestamp"])) for m in history]
        steps, _, values = events.series(name)
        times = [round(time_s * 1000) for time_s in events.times(name)]
        assert sorted(found) == list(zip(steps, values, times, strict=True))
    listed = api(server, f"artifacts/list?run_id={run_id}")["files"]
    assert [file["path"] for file in listed] == ["bundle", "config.yaml", "metrics.json"]
    content = urllib.request.urlopen(
        f"{server}/get-artifact?path=config.yaml&run_id={run_id}", timeout=60
    ).read()
    assert content == made[0].config_path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]  # no mlruns, no mlartifacts
