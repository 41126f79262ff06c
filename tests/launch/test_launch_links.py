"""Runs that build on other runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from graphwright.config.presets import resolve_preset
from graphwright.config.schema import Requirement, TaskConfig
from graphwright.errors import RunError
from graphwright.launch.links import find_links, read_links, write_links
from graphwright.launch.local import create_run


@dataclass(frozen=True, kw_only=True)
class Student(TaskConfig):
    """Builds on a run of another configuration."""

    task: str = "student"
    teacher: TaskConfig | None = None
    run: str = ""

    def requires(self) -> Mapping[str, Requirement]:
        assert self.teacher is not None
        return {"teacher": Requirement(config=self.teacher, preset="geometry/tiny", run=self.run)}


@pytest.fixture
def student(tiny) -> Student:
    return Student(teacher=resolve_preset("geometry/tiny", tiny))


def copy_of(finished, root: Path, number: int, seed: int = 0) -> Path:
    """The finished run again, under another number and with another seed."""
    place = root.joinpath(*resolve_preset("geometry/tiny").levels()) / f"run_{number:03d}"
    shutil.copytree(finished.run.path, place)
    text = (place / "config.yaml").read_text()
    (place / "config.yaml").chmod(0o644)
    (place / "config.yaml").write_text(text.replace("\nseed: 0", f"\nseed: {seed}"))
    return place


def test_nothing_found_says_what_to_train(student, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="builds on a finished teacher") as caught:
        find_links(student, tmp_path)
    assert "graphwright train geometry/tiny" in str(caught.value)


def test_the_newest_with_the_same_seed_is_taken(student, finished, tmp_path: Path) -> None:
    runs = [copy_of(finished, tmp_path, number, seed) for number, seed in enumerate([0, 0, 1])]
    assert find_links(student, tmp_path) == {"teacher": runs[1]}
    other = replace(student, teacher=replace(student.teacher, seed=7))
    assert find_links(other, tmp_path) == {"teacher": runs[2]}
    named = replace(student, run=str(runs[0]))
    assert find_links(named, tmp_path) == {"teacher": runs[0]}


def test_an_unfinished_run_is_no_part(student, tmp_path: Path, tiny) -> None:
    folder = create_run(resolve_preset("geometry/tiny", tiny), tmp_path)
    with pytest.raises(RunError, match="there is none"):
        find_links(student, tmp_path)
    with pytest.raises(RunError, match="not finished"):
        find_links(replace(student, run=str(folder.path)), tmp_path)


def test_what_is_missing_is_trained_when_asked(student, finished, tmp_path: Path) -> None:
    asked = []

    def train(config: TaskConfig) -> Path:
        asked.append(config)
        return copy_of(finished, tmp_path, 0)

    found = find_links(student, tmp_path, train)
    assert asked == [student.teacher]
    folder = create_run(student.teacher, tmp_path, found)
    assert read_links(folder) == found
    write_links(folder, {})
    assert read_links(folder) == {}
