"""`graphwright canbus watch` with bundles of the task's own models (random weights)."""

from __future__ import annotations

import array
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from watch_helpers import Kept, write_candump

from graphwright.config.presets import resolve_preset
from graphwright.data.rejects import Rejects
from graphwright.launch.use import predict
from graphwright.tasks.canbus.cli import COMMANDS
from graphwright.tasks.canbus.model_configs import gat_sizes, vgae_sizes
from graphwright.tasks.canbus.raw_input import pack_windows
from graphwright.tasks.canbus.state import fit_state
from graphwright.tasks.canbus.task import CanbusTask
from graphwright.tasks.canbus.traffic import generate_traffic
from graphwright.tasks.canbus.watch import Watch
from graphwright.tasks.canbus.watch.detector import load_detector
from graphwright.tasks.canbus.watch.pieces import FilePieces
from graphwright.tasks.canbus.windows import window_graphs
from graphwright.training.bundle import save_bundle

NAMES = {
    "gat": "automotive_traffic_classifier_gat_student_no_all_samples",
    "vgae": "automotive_traffic_unsupervised_vgae_student_no_all_samples",
    "average": "automotive_traffic_fusion_average_student_no_all_samples",
}


def bundle_of(kind, folder, overrides=()):
    """A bundle with random weights and the scales of some traffic."""
    config = resolve_preset(f"canbus/{NAMES[kind]}", overrides)
    window = config.data.window
    store = pack_windows(window_graphs(generate_traffic(5.0, seed=1), window), window, 8)
    state = fit_state(store, np.arange(len(store)), id_free=window.id_free)
    state |= {"sources": [], "fields": 8}
    if kind == "average":
        parts = {"vgae": vgae_sizes()["student"], "gat": gat_sizes()["student"]}
        state["parts"] = {
            role: {"config": asdict(part), "state": dict(state)} for role, part in parts.items()
        }
    torch.manual_seed(0)
    task = CanbusTask(config, folder / "data")
    return save_bundle(folder / kind, task, task.build_model(state), state, {})


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return write_candump(
        tmp_path_factory.mktemp("captures") / "drive.log", generate_traffic(4.0, seed=3)
    )


@pytest.mark.parametrize("kind", NAMES)
def test_scores_are_those_of_predict(kind, tmp_path, capture):
    bundle = bundle_of(kind, tmp_path)
    expected = predict(bundle, capture, data_root=tmp_path).columns["score"]
    detector = load_detector(str(bundle), runs_root=tmp_path, data_root=tmp_path)
    detector.threshold = -1.0  # so that all are told
    report = Kept()
    Watch(detector, report, Rejects(None)).run(FilePieces(capture, detector.window, Rejects(None)))
    assert len(expected) > 20
    assert np.allclose([alarm.score for alarm in report.alarms], expected, atol=1e-6)
    for alarm in report.alarms:
        assert len(alarm.suspects) == 3
        assert len({one.id for one in alarm.suspects}) == 3


@pytest.mark.parametrize("kind", ["gat", "vgae"])
def test_unknown_ids_and_odd_payloads_are_the_suspects(kind, tmp_path):
    frames = generate_traffic(2.0, seed=1)
    rows = np.arange(230, 290, 4)
    known = set(np.unique(frames.id).tolist())
    new = next(one for one in range(0x7FF) if one not in known)
    frames.id[rows] = new
    path = write_candump(tmp_path / "drive.log", frames)
    detector = load_detector(str(bundle_of(kind, tmp_path)), runs_root=tmp_path, data_root=tmp_path)
    detector.threshold = -1.0
    report = Kept()
    Watch(detector, report, Rejects(None)).run(FilePieces(path, detector.window, Rejects(None)))
    suspect = report.alarms[2].suspects[0]
    assert (suspect.id, suspect.known) == (f"{new:03X}", False)
    assert str(suspect) == f"{new:03X} (new)"


def test_without_ids_nothing_is_new(tmp_path, capture):
    bundle = bundle_of("gat", tmp_path, ("data.window.id_free=true",))
    detector = load_detector(str(bundle), runs_root=tmp_path, data_root=tmp_path)
    detector.threshold = -1.0
    report = Kept()
    Watch(detector, report, Rejects(None), max_alarms=5).run(
        FilePieces(capture, detector.window, Rejects(None))
    )
    assert all(one.known for alarm in report.alarms for one in alarm.suspects)


def command(tmp_path, *words):
    runner = CliRunner()
    roots = ["--runs-root", str(tmp_path), "--data-root", str(tmp_path)]
    return runner.invoke(COMMANDS, ["watch", *map(str, words), *roots])


def test_the_command_says_by_its_exit_code_whether_it_found_anything(
    tmp_path, capture, monkeypatch
):
    bundle = bundle_of("gat", tmp_path)
    monkeypatch.setattr("graphwright.tasks.canbus.cli._settle", lambda: None)
    quiet = command(tmp_path, capture, "--run", bundle, "--calibrate", "3.9", "--json")
    detector = "graphwright.tasks.canbus.watch.detector.BundleDetector"
    monkeypatch.setattr(f"{detector}.score", lambda self, graphs: np.ones(len(graphs)))
    loud = command(tmp_path, capture, "--run", bundle, "--json", "--max-alarms", 2)
    monkeypatch.setattr(f"{detector}.score", lambda self, graphs: np.zeros(len(graphs)))
    none = command(tmp_path, capture, "--run", bundle)
    assert none.exit_code == 0
    assert "0 alarms in" in none.output
    assert loud.exit_code == 1
    assert [json.loads(line)["event"] for line in loud.stdout.splitlines()] == [
        *("alarm", "alarm", "summary")
    ]
    # an error for people, with which the program itself exits by 2
    assert "a false-positive rate of 0.01 needs 99" in str(quiet.exception)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_ends_a_watch_with_its_summary(tmp_path, capture):
    """SIGTERM, as a service gets it, goes the way of Ctrl-C."""
    bundle = bundle_of("gat", tmp_path)
    words = ["canbus", "watch", "-", "--run", str(bundle), "--json", "--data-root", str(tmp_path)]
    child = subprocess.Popen(
        [sys.executable, "-m", "graphwright", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # as a shell starts what is to run in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert child.stdin is not None
    assert child.stdout is not None
    lines = capture.read_text().splitlines(keepends=True)[:1000]
    child.stdin.writelines(lines)
    child.stdin.write("noise\n" * 2000)
    child.stdin.flush()
    _wait_until_it_reads(child.pid, child.stdin.fileno())
    child.send_signal(signal.SIGTERM)
    out = child.stdout.read()  # `communicate` would close its input, which ends a watch as well
    child.stdin.close()
    child.stdout.close()
    summary = json.loads(out.splitlines()[-1])
    assert child.wait(timeout=60) == (1 if summary["alarms"] else 0)
    assert summary["interrupted"]
    assert summary["frames"] == 1000
    assert summary["rejected"] == {"wrong number of columns": 2000}


def _wait_until_it_reads(pid, pipe):
    """Until the pipe is empty and the process sleeps."""
    import fcntl
    import termios

    held = array.array("i", [1])
    for _ in range(600):
        fcntl.ioctl(pipe, termios.FIONREAD, held)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if held[0] == 0 and state == "S":
            time.sleep(0.3)
            return
        time.sleep(0.1)
    raise AssertionError("it does not read")
