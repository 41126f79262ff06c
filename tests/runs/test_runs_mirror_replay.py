"""Runs that are there already: `graphwright mirror`, and what MLflow's own client reads back."""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from mirrored_runs import CONFIG, command, expected, log, make_run, same

from graphwright.errors import MissingExtraError, RunError
from graphwright.launch import cli_mirror
from graphwright.runs import mirror as mirror_module
from graphwright.runs.folder import RunFolder
from graphwright.runs.mirror_replay import replay
from graphwright.runs.mirrors.mlflow_store import Store
from graphwright.runs.status import Status, read_status, write_status

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of packages that are not ours
    pytest.mark.usefixtures("elsewhere"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all: making its tables takes longer than anything else here."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'lab.db'}"


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def mlflow_history(store: str, run_id: str) -> dict[str, list[tuple[int, float, int]]]:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = {}
    for name in client.get_run(run_id).data.metrics:
        history = client.get_metric_history(run_id, name)
        found[name] = sorted((m.step, m.timestamp, m.value) for m in history)
    return found


def assert_mlflow_has_all(store: str, run_id: str, run: RunFolder) -> None:
    found = mlflow_history(store, run_id)
    events = expected(run)
    # MLflow draws test metrics as bars if their step is 0; rmse was no event
    end = round((read_status(run).ended or 0) * 1000)
    assert found.pop("test/rmse") == [(0, end, 0.5)]
    ((_, value, at),) = events.pop("test/mae")
    assert found.pop("test/mae") == [(0, round(at * 1000), value)]
    assert found.keys() == events.keys()
    for name, series in events.items():
        assert len(found[name]) == len(series), name
        for (step, at, value), (true_step, true_value, true_at) in zip(
            found[name], sorted(series), strict=True
        ):
            assert (step, at) == (true_step, round(true_at * 1000)), name
            # MLflow's databases keep infinities as the largest number there is
            assert same(value, true_value) or (math.isinf(true_value) and value > 1e308)


def mlflow_runs(store: str, experiment: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def test_mlflow_has_every_value_step_and_time(tmp_path: Path, store: str, experiment: str) -> None:
    from mlflow import MlflowClient

    run = make_run(tmp_path / "runs")
    run.figures.mkdir()
    (run.figures / "loss.svg").write_text("<svg/>")
    (one,) = replay([run], "mlflow", {"uri": store, "experiment": experiment})
    assert one.error is None
    assert one.sent is not None
    (found,) = mlflow_runs(store, experiment)
    assert found.info.run_id == one.sent.tracker_id
    assert_mlflow_has_all(store, found.info.run_id, run)
    assert found.info.run_name == "painn/run_000"
    assert found.info.status == "FINISHED"
    status = read_status(run)
    assert found.info.start_time == round((status.started or 0) * 1000)
    assert found.info.end_time == round((status.ended or 0) * 1000)
    assert found.data.params == {
        "task": "geometry", "seed": "3", "model.name": "painn", "model.note": "None",
    }  # fmt: skip
    tags = found.data.tags
    assert tags["graphwright.state"] == "finished"
    assert tags["graphwright.seed"] == "3"
    assert tags["graphwright.levels"] == "geometry/painn"
    assert tags["graphwright.primary_metric"] == "mae"
    assert tags["mlflow.source.name"] == "graphwright train"
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    (data,) = found.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("painn", "d" * 12)
    client = MlflowClient(store)
    names = [item.path for item in client.list_artifacts(found.info.run_id)]
    assert names == ["config.yaml", "figures", "metrics.json", "provenance.json"]
    (figure,) = client.list_artifacts(found.info.run_id, "figures")
    assert figure.path == "figures/loss.svg"


def test_mlflow_is_never_told_twice(tmp_path: Path, store: str, experiment: str) -> None:
    """Again; without the positions; from a copy of the run: the same run and the same values."""
    run = make_run(tmp_path / "runs")
    settings = {"uri": store, "experiment": experiment}
    (first,) = replay([run], "mlflow", settings)
    (again,) = replay([run], "mlflow", settings)
    assert first.sent is not None
    assert again.sent is not None
    assert (again.sent.metrics, again.sent.changed) == (0, False)
    copy = RunFolder.open(shutil.copytree(run.path, tmp_path / "copy" / run.path.name))
    for folder in (run, copy):
        for position in folder.mirrors.glob("*.json"):
            position.unlink()
        (one,) = replay([folder], "mlflow", settings)
        assert one.sent is not None
        assert one.sent.tracker_id == first.sent.tracker_id
    (found,) = mlflow_runs(store, experiment)
    assert_mlflow_has_all(store, found.info.run_id, run)


def test_mlflow_goes_on_after_a_failure_and_after_a_resume(
    tmp_path: Path, store: str, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphwright.runs.mirrors.mlflow import MlflowTracker

    run = RunFolder.create(tmp_path / "runs", ["geometry", "painn"], CONFIG.format(task="geometry"))
    log(run, range(1, 1501))
    write_status(run, Status(state="interrupted", started=1e9, ended=1e9 + 60))
    settings = {"uri": store, "experiment": experiment}
    send, calls = MlflowTracker.log, []

    def send_two(self: MlflowTracker, records: Any) -> None:
        calls.append(len(records))
        if len(calls) > 2:
            raise ConnectionError("gone")
        send(self, records)

    monkeypatch.setattr(MlflowTracker, "log", send_two)
    (failed,) = replay([run], "mlflow", settings)
    assert failed.error == "ConnectionError: gone"
    monkeypatch.setattr(MlflowTracker, "log", send)
    (done,) = replay([run], "mlflow", settings)
    assert done.sent is not None
    (found,) = mlflow_runs(store, experiment)
    assert (found.info.status, found.info.end_time) == ("KILLED", 1_000_000_060_000)

    log(run, range(1401, 1601), resume=1400)
    write_status(run, Status(state="failed", started=2e9, ended=2e9 + 60, error="ValueError: x"))
    (more,) = replay([run], "mlflow", settings)
    assert more.sent is not None
    assert more.sent.tracker_id == done.sent.tracker_id
    (found,) = mlflow_runs(store, experiment)
    assert found.info.status == "FAILED"
    assert found.data.tags["graphwright.error"] == "ValueError: x"
    for name, series in mlflow_history(store, found.info.run_id).items():
        steps = [step for step, *_ in series]
        assert steps == sorted({step for step, *_ in expected(run)[name]}), name


def test_the_command_mirrors_what_it_can(tmp_path: Path, store: str, experiment: str) -> None:
    root = tmp_path / "runs"
    make_run(root)
    broken = RunFolder.create(root, ["nas"], "task: nas\n")
    (broken.path / "status.json").write_text("{")
    make_run(root, "nas")
    to = ("--to", "mlflow", "--uri", store, "--runs-root", root, "--experiment", experiment)
    result = command("--all", *to)
    assert result.exit_code != 0
    assert "1/3 geometry/painn/run_000: " in result.stderr
    assert "nas/run_000: status.json is damaged" in result.stderr
    assert "1 of 3 runs were not mirrored" in str(result.exception) + result.stderr
    assert len(mlflow_runs(store, experiment)) == 2
    sweep = tmp_path / "sweeps" / "two"
    sweep.mkdir(parents=True)
    (sweep / "plan.json").write_text("{}")
    rows = [
        {"run": str(root / "nas" / "painn" / "run_000"), "state": "finished"},
        {"run": None, "state": "failed"},
    ]
    (sweep / "result.json").write_text(json.dumps(rows))
    assert command(sweep, *to).exit_code == 0
    tags = [run.data.tags.get("graphwright.sweep") for run in mlflow_runs(store, experiment)]
    assert sorted(tags, key=str) == [None, "two"]
    assert len(tags) == 2


def test_mlflow_store_that_cannot_be_opened(tmp_path: Path) -> None:
    """One line and no traceback; ours is whole or absent, so that no kill leaves such a file."""
    run = make_run(tmp_path / "runs")
    (tmp_path / "broken.db").write_text("no database")
    with pytest.raises(RunError, match=r"MLflow cannot open its store: .*not a database"):
        list(replay([run], "mlflow", {"uri": f"sqlite:///{tmp_path}/broken.db"}))


def test_mlflow_where_nobody_answers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    started = time.monotonic()
    with pytest.raises(RunError, match=r"no MLflow server answers at http://127.0.0.1:9"):
        list(replay([run], "mlflow", {"uri": "http://127.0.0.1:9/"}))
    assert time.monotonic() - started < 60  # MLflow alone would try for minutes


class _SomethingElse(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_mlflow_where_something_else_answers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    with HTTPServer(("127.0.0.1", 0), _SomethingElse) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(RunError, match=f"{uri} does not answer as an MLflow server"):
            list(replay([run], "mlflow", {"uri": uri}))
        server.shutdown()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("./mlruns", "no tracking URI"),
        ("file:///tmp/mlruns", "no tracking URI"),
        ("http://", "names no host"),
        ("sqlite://", "names no file"),
        ("sqlite:////nowhere/at/all/x.db", "does not exist"),
    ],
)
def test_mlflow_uris_that_make_no_sense(uri: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=message):
        Store.of(uri, tmp_path)


def test_mlflow_uris(tmp_path: Path) -> None:
    assert Store.of(None, tmp_path).usual
    assert Store.of(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).usual
    assert not Store.of(f"sqlite:///{tmp_path}/other.db", tmp_path).usual
    assert Store.of("https://lab/mlflow/", tmp_path).uri == "https://lab/mlflow"
    assert Store.of("http://me:secret@lab:5000/x", tmp_path).shown == "http://lab:5000/x"
    assert Store.of("postgresql://me:secret@lab/d", tmp_path).shown == "postgresql://lab/d"
    assert Store.of("databricks", tmp_path).artifact_location("x") is None


def test_what_the_command_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs").path
    for arguments, message in (
        ((run, "--to", "wandb", "--experiment", "x"), "--experiment is for --to mlflow"),
        ((run, "--to", "wandb", "--uri", "http://x"), "needs --online"),
        (("--to", "wandb"), "name the runs"),
        ((run, "--all", "--to", "wandb"), "name the runs"),
        ((run, "--task", "nas", "--to", "wandb"), "--task goes with --all"),
        (("--all", "--to", "wandb", "--runs-root", tmp_path / "none"), "there are no runs"),
    ):
        assert message in command(*arguments).output
    refused = command(run, "--to", "tensorboard", "--uri", "http://x").exception
    assert "TensorBoard reads files" in str(refused)
    monkeypatch.setattr(mirror_module, "find_spec", lambda _: None)
    assert isinstance(command(run, "--to", "wandb").exception, MissingExtraError)


def test_progress_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run = make_run(tmp_path / "runs")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with cli_mirror._Bar([run]) as bar:
        bar.progress(run, run.events_path.stat().st_size // 2)
        bar.line("not for a terminal", run)
    assert "mirroring" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
    assert "not for a terminal" not in terminal.getvalue()
