"""Training by a user's command or function, in processes that crash, hang and print."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from helpers_search import table_config, write_table

from graphwright.errors import ConfigError, DataError
from graphwright.tasks.nas.search.candidates import Candidate, Trial
from graphwright.tasks.nas.search.config import (
    CommandTrainer,
    FunctionTrainer,
    PoolConfig,
    SearchConfig,
    TableTrainer,
)
from graphwright.tasks.nas.search.lookup import read_lookup
from graphwright.tasks.nas.search.run import open_problem
from graphwright.tasks.nas.search.trainers import ProcessTrainer, make_trainer

PYTHON = sys.executable
TRAINER = """
import os, sys, time

def train(arch, seed):
    print("training", arch)
    if arch == "raise": raise ValueError("diverged")
    if arch == "exit": os._exit(3)
    if arch == "kill": os.kill(os.getpid(), 9)
    if arch == "sleep": time.sleep(60)
    if arch == "nan": return float("nan")
    if arch == "text": return "0.5"
    if arch == "leave": sys.exit(1)
    return len(arch) + seed / 10
"""


def candidates(*texts: str) -> list[Candidate]:
    return [
        Candidate(text=text, key=text, origin="initial", number=i, round=0)
        for i, text in enumerate(texts)
    ]


@contextmanager
def trainer(
    folder: Path, kind: CommandTrainer | FunctionTrainer, workers: int = 1
) -> Iterator[ProcessTrainer]:
    pool = PoolConfig(space="nasbench201")
    config = SearchConfig(trainer=kind, pool=pool, workers=workers, seed=4)
    made = ProcessTrainer(config, folder / "trainings")
    try:
        yield made
    finally:
        made.close()


def by_text(trials: Iterator[Trial]) -> dict[str, Trial]:
    return {trial.candidate.text: trial for trial in trials}


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FunctionTrainer:
    (tmp_path / "my_trainer.py").write_text(TRAINER)
    monkeypatch.chdir(tmp_path)
    return FunctionTrainer(function="my_trainer:train", time_limit_s=3.0)


def test_function(tmp_path: Path, function: FunctionTrainer) -> None:
    """Values, exceptions, crashes, time limits: each is one trial, and the next goes on."""
    texts = ["ab", "raise", "exit", "kill", "sleep", "nan", "text", "leave", "abc"]
    with trainer(tmp_path, function, workers=2) as made:
        began = time.monotonic()
        found = by_text(made.train(candidates(*texts)))
        assert (tmp_path / "trainings/00000.log").read_text() == "training ab\n"
        again = by_text(made.train(candidates("later")))
    assert time.monotonic() - began < 20
    assert {text: trial.value for text, trial in found.items() if trial.value} == {
        "ab": 2.4,
        "abc": 3.4,
    }
    assert again["later"].value == 5.4
    reasons = {text: trial.reason for text, trial in found.items()}
    assert "ValueError" in reasons["raise"]
    assert "diverged" in reasons["raise"]
    assert "exit code 3" in reasons["exit"]
    assert "SIGKILL" in reasons["kill"]
    assert "time limit" in reasons["sleep"]
    assert "nan" in reasons["nan"]
    assert "not a number" in reasons["text"]
    assert "SystemExit" in reasons["leave"]


def test_command_prints_its_value(tmp_path: Path) -> None:
    """The last line that is not empty; quotes and spaces in an architecture do no harm."""
    command = f"{PYTHON} -c 'import sys; print(len(sys.argv[1]), sys.argv[2]); print(0.5); print()'"
    kind = CommandTrainer(command=f"{command} {{arch}} {{seed}}")
    with trainer(tmp_path, kind) as made:
        found = list(made.train(candidates("a 'b' $HOME |c;")))
    assert found[0].value == 0.5
    assert (tmp_path / "trainings/00000.log").read_text().startswith("15 4\n")


def test_command_writes_its_value(tmp_path: Path) -> None:
    """JSON in {out}; an old file of a killed search does not count."""
    code = 'import sys; sys.argv[1] == "bad" or open(sys.argv[2], "w").write("{{\\"value\\": 7}}")'
    kind = CommandTrainer(command=f"{PYTHON} -c '{code}' {{arch}} {{out}}")
    (tmp_path / "trainings").mkdir()
    (tmp_path / "trainings/00001.json").write_text('{"value": 1}')
    with trainer(tmp_path, kind) as made:
        found = by_text(made.train(candidates("good", "bad")))
    assert found["good"].value == 7.0
    assert found["bad"].value is None
    assert "wrote no {out}" in found["bad"].reason


def test_commands_that_fail(tmp_path: Path) -> None:
    """Exit codes, no number, no program."""
    fails = 'import sys; print(1.0); print("no memory", file=sys.stderr); sys.exit(5)'
    with trainer(tmp_path, CommandTrainer(command=f"{PYTHON} -c '{fails}' {{arch}}")) as made:
        failed = next(made.train(candidates("x")))
    assert failed.value is None
    assert failed.reason.splitlines()[0] == "exit code 5"
    assert "no memory" in failed.reason
    with trainer(tmp_path, CommandTrainer(command="echo {arch}")) as made:
        assert "not a number" in next(made.train(candidates("x"))).reason
        assert next(made.train(candidates("1.5"))).value == 1.5
    with trainer(tmp_path, CommandTrainer(command="no-such-program {arch}")) as made:
        assert "cannot start no-such-program" in next(made.train(candidates("x"))).reason


def test_a_malformed_command_is_refused(tmp_path: Path) -> None:
    """Before anything is trained."""
    for command in ("run {arc} {arch}", "run 'x {arch}", "run { {arch}"):
        with (
            pytest.raises(ConfigError, match="command"),
            trainer(tmp_path, CommandTrainer(command=command)),
        ):
            pass
    config = SearchConfig(
        trainer=FunctionTrainer(function="nowhere:train"), pool=PoolConfig(space="nasbench201")
    )
    with pytest.raises(ConfigError, match="cannot import"):
        make_trainer(config, tmp_path, None)


def test_workers_die_with_their_owner(tmp_path: Path) -> None:
    """No training goes on unseen: not even its own children."""
    note = tmp_path / "pid"
    script = tmp_path / "owner.py"
    sleeper = f'{PYTHON} -c \'import os,time; print(1); open("{note}", "w").write(str(os.getpid())); time.sleep(60)\''  # noqa: E501
    script.write_text(
        "import os, sys, threading, time\n"
        "from graphwright.tasks.nas.search.workers import Worker\n"
        f"job = {{'arch': 'x', 'command': {['sh', '-c', sleeper]!r}, 'out': '', "
        f"'log': {str(tmp_path / 'log')!r}}}\n"
        "threading.Thread(target=Worker().run, args=(job, None), daemon=True).start()\n"
        f"while not os.path.exists({str(note)!r}): time.sleep(0.02)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    import subprocess

    subprocess.run([PYTHON, str(script)], check=False, timeout=30)
    pid = int(note.read_text() or 0)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.05)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert os.getpid()  # and we are still here


def test_table(tmp_path: Path) -> None:
    """Values by architecture, whatever its spelling; gaps are failures."""
    path = write_table(tmp_path / "table.csv")
    config = table_config(path)
    _, table = open_problem(config, tmp_path)
    assert table is not None
    texts = table.texts
    found = list(make_trainer(config, tmp_path, table).train(candidates(*texts[:10])))
    assert [trial.value is None for trial in found] == [i == 7 for i in range(10)]
    assert table.test_value(texts[0]) == pytest.approx(found[0].value - 1)
    best, best_test = table.best(higher_is_better=True)
    assert best_test == pytest.approx(best - 1, abs=0.2)
    assert table.value("nothing") is None


def test_table_errors(tmp_path: Path) -> None:
    """Missing file and column say what there is."""
    path = write_table(tmp_path / "table.csv")
    with pytest.raises(DataError, match="there is no column 'vall', did you mean val"):
        read_lookup(TableTrainer(path=str(path), metric="vall"))
    with pytest.raises(DataError, match="no such table"):
        read_lookup(TableTrainer(path=str(path) + "x", metric="val"))
    with pytest.raises(DataError, match="not all numbers"):
        read_lookup(TableTrainer(path=str(path), metric="arch"))
