"""Whole searches: in their folder, through the command line, and killed again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers_search import (
    NearestNeighbours,
    small_pool,
    table_config,
    write_table,
)

from graphwright.config.io import to_yaml
from graphwright.errors import ConfigError, RunError, TrainingError
from graphwright.runs.status import read_status
from graphwright.tasks.nas.cli import COMMANDS
from graphwright.tasks.nas.search.candidates import Candidate, Trial
from graphwright.tasks.nas.search.config import (
    FunctionTrainer,
    PoolConfig,
    SearchConfig,
    read_config,
)
from graphwright.tasks.nas.search.journal import Journal, read_journal
from graphwright.tasks.nas.search.run import create_search, open_problem, run_search
from graphwright.tasks.nas.search.simulate import simulate, strategy_config, summarise

HERE = Path(__file__).parent


def slow_config(**changes: object) -> SearchConfig:
    settings: dict[str, object] = {"initial": 6, "batch": 5, "budget": 21, "workers": 2}
    return SearchConfig(
        trainer=FunctionTrainer(function="helpers_search:slow_train"),
        pool=PoolConfig(kind="generator", generator="helpers_search:generate"),
        **{**settings, **changes},  # type: ignore[arg-type]
    )


def program(folder: Path, calls: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CALLS": str(calls), "PYTHONPATH": str(HERE)}
    command = [sys.executable, str(HERE / "helpers_search.py"), str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=HERE, env=environment, **quiet)  # type: ignore[call-overload,no-any-return]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def killed_amid(folder: Path, calls: Path, rng: random.Random) -> None:
    """Run the search until some trainings have begun, and kill it."""
    known = {trial.candidate.text for trial in read_journal(folder / "journal.jsonl").told}
    begun = len(lines(calls))
    wanted = begun + rng.randint(2, 5)
    process = program(folder, calls)
    while len(lines(calls)) < wanted:
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.04))
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)  # the workers die a moment later
    assert not known & set(lines(calls)[begun:])


def test_killed_again_and_again(tmp_path: Path) -> None:
    """The same architectures in the same order of asking; what was told is never trained again."""
    quiet, disturbed = (
        create_search(slow_config(), tmp_path),
        create_search(slow_config(), tmp_path),
    )
    assert [quiet.name, disturbed.name] == ["search_000", "search_001"]
    assert program(quiet, tmp_path / "quiet").wait(60) == 0
    rng = random.Random(3)
    for _ in range(3):
        killed_amid(disturbed, tmp_path / "calls", rng)
    before = read_journal(disturbed / "journal.jsonl").told
    done = len(lines(tmp_path / "calls"))
    assert 0 < len(before) < 21
    assert program(disturbed, tmp_path / "calls").wait(60) == 0
    told = {trial.candidate.text for trial in before}
    assert not told & set(lines(tmp_path / "calls")[done:])
    first, second = (read_journal(path / "journal.jsonl") for path in (quiet, disturbed))
    assert [c.to_json() for c in first.asked] == [c.to_json() for c in second.asked]
    assert outcome(first.told) == outcome(second.told)
    assert len(second.told) == 21
    a, b = (json.loads((path / "results.json").read_text()) for path in (quiet, disturbed))
    assert a["best_so_far"] == b["best_so_far"]
    assert a["failed"] == b["failed"] > 0
    assert [r["kendall_tau"] for r in a["rounds"]] == [r["kendall_tau"] for r in b["rounds"]]
    assert read_status(disturbed).state == "finished"


def outcome(trials: list[Trial]) -> dict[str, float | None]:
    return {trial.candidate.text: trial.value for trial in trials}


def test_every_cut_of_a_journal_goes_on(tmp_path: Path) -> None:
    """Wherever the file ends, in the middle of a line too, the end is the same."""
    path = write_table(tmp_path / "table.csv")
    config = table_config(path, budget=20)
    whole = create_search(config, tmp_path)
    run_search(whole, tmp_path, NearestNeighbours())
    data = (whole / "journal.jsonl").read_bytes()
    for cut in [0, 1, *range(50, len(data), len(data) // 12)]:
        folder = create_search(config, tmp_path)
        (folder / "journal.jsonl").write_bytes(data[:cut])
        run_search(folder, tmp_path, NearestNeighbours())
        again = read_journal(folder / "journal.jsonl")
        assert [c.to_json() for c in again.asked] == [
            c.to_json() for c in read_journal(whole / "journal.jsonl").asked
        ]
        assert len(again.told) == 20


def test_results(tmp_path: Path) -> None:
    """Best so far, regret against the table, honest τ, the top."""
    config = table_config(write_table(tmp_path / "table.csv"), budget=40)
    folder = create_search(config, tmp_path)
    found = json.loads(run_search(folder, tmp_path, NearestNeighbours()).read_text())
    assert found["evaluated"] == 40
    assert found["best_so_far"] == sorted(found["best_so_far"])
    regret = found["regret"][0]["values"]
    assert regret == sorted(regret, reverse=True)
    assert regret[-1] >= 0
    assert [line["metric"] for line in found["regret"]] == ["val", "test"]
    assert found["rounds"][0]["kendall_tau"] is None
    assert any(r["kendall_tau"] is not None for r in found["rounds"][1:])
    values = [line["value"] for line in found["top"]]
    assert values == sorted(values, reverse=True)
    assert found["best"]["value"] == found["best_so_far"][-1]
    # a finished search is left as it is
    assert run_search(folder, tmp_path, NearestNeighbours()).exists()


def test_all_first_trainings_fail(tmp_path: Path) -> None:
    """The search stops and says why, with what it cost written down."""
    (tmp_path / "table.csv").write_text("arch,val,test\n421211,,1\n334131,,1\n")
    folder = create_search(table_config(tmp_path / "table.csv"), tmp_path)
    with pytest.raises(TrainingError, match="all of the first 2 trainings failed"):
        run_search(folder, tmp_path, NearestNeighbours())
    assert read_status(folder).state == "failed"


def test_journal(tmp_path: Path) -> None:
    """Floats come back exactly; a torn line is cut off; a damaged one is named."""
    path = tmp_path / "journal.jsonl"
    one = Candidate(text="a|é", key="k", origin="predicted", mean=0.1, sd=1 / 3, number=0, round=0)
    with Journal(path) as journal:
        journal.asked([one], 0.5)
        journal.told(Trial(candidate=one, value=2 / 3))
    with path.open("a") as file:
        file.write('{"event": "told", "numb')
    found = read_journal(path)
    assert found.asked == [one]
    assert found.told[0].value == 2 / 3
    with Journal(path) as journal:
        journal.round({"round": 0})
    assert read_journal(path).closed == [0]
    path.write_text('{"event": "told", "number": 3, "value": 1, "seconds": null}\n')
    with pytest.raises(RunError, match="damaged"):
        read_journal(path)


def test_config_is_a_fixed_point(tmp_path: Path) -> None:
    """What is saved is what is read."""
    for config in (slow_config(), table_config(tmp_path / "x.csv")):
        folder = create_search(config, tmp_path)
        assert read_config(folder / "config.yaml") == config
        assert to_yaml(read_config(folder / "config.yaml")) == (folder / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text("task: nas_search\nbugdet: 3\ntrainer: {kind: table}\n")
    with pytest.raises(ConfigError, match="did you mean budget"):
        read_config(tmp_path / "config.yaml")


def test_simulated(tmp_path: Path) -> None:
    """Many seeds without folders, and their quartiles."""
    config = table_config(write_table(tmp_path / "table.csv"), strategy="random")
    source, table = open_problem(config, tmp_path)
    assert table is not None
    for name in ("random", "regularised_evolution"):
        traces = []
        for seed in range(4):
            own = strategy_config(config, name)
            traces.append(simulate(SearchConfig(**{**vars(own), "seed": seed}), source, table))
        assert len({trace.texts for trace in traces}) == 4
        summary = summarise(name, traces)
        assert len(summary["regret"]) == 2
        low, high = summary["best_so_far"]["low"][-1], summary["best_so_far"]["high"][-1]
        assert low <= summary["best_so_far"]["median"][-1] <= high
    with pytest.raises(ConfigError, match="did you mean random"):
        strategy_config(config, "randon")


def test_command_line(tmp_path: Path) -> None:
    """From options to a page, with baselines; and its mistakes."""
    table = write_table(tmp_path / "table.csv")
    places = ["--runs-root", str(tmp_path / "runs"), "--data-root", str(tmp_path / "data")]
    words = ["search", "--table", str(table), "--metric", "val", "--test-metric", "test"]
    quick = ["--strategy", "random", "--initial", "5", "--batch", "5", "--budget", "20"]
    more = ["--baselines", "random,regularised_evolution", "--baseline-seeds", "3"]
    done = CliRunner().invoke(COMMANDS, [*words, *quick, *more, *places])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "runs/nas_search/table_random/search_000"
    assert "20 trained" in done.output
    results = json.loads((folder / "results.json").read_text())
    assert [line["name"] for line in results["baselines"]] == ["random", "regularised_evolution"]
    assert "Regret" in (folder / "report.html").read_text()
    again = CliRunner().invoke(COMMANDS, ["search", "--resume", str(folder), *places])
    assert again.exit_code == 0, again.output
    for wrong, said in (
        (["search"], "one of --command"),
        (["search", "--table", "x"], "--metric"),
        (["search", "--command", "x {arch}"], "--space or --generator"),
        (["search", "--command", "x {arch}", "--space", "y", "--baselines", "random"], "--table"),
    ):
        failed = CliRunner().invoke(COMMANDS, [*wrong, *places])
        assert failed.exit_code == 2
        assert said in failed.output


def test_help_is_quick() -> None:
    """No torch, no numpy for a look at the options."""
    code = (
        "import sys; from graphwright.tasks.nas.cli import COMMANDS; "
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pool_that_ends(tmp_path: Path) -> None:
    """A budget above the pool ends with the pool."""
    config = table_config(write_table(tmp_path / "table.csv", 12), budget=50)
    folder = create_search(config, tmp_path)
    found = json.loads(run_search(folder, tmp_path, NearestNeighbours()).read_text())
    assert found["evaluated"] == len(set(small_pool(12).keys.tolist()))
