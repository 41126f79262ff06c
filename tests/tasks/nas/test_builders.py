"""The user's own functions by name, and what is said when they are wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from graphwright.errors import ConfigError, DataError
from graphwright.tasks.nas.tracing.builders import resolve_builder
from graphwright.tasks.nas.tracing.from_module import from_module

CODE = """
from torch import nn

def network(width, depth=1):
    return nn.Sequential(*[nn.Linear(width, width) for _ in range(depth)])

def broken(width):
    raise ValueError(f"width {width} is odd")

def number():
    return 7

def leaves():
    raise SystemExit("no")

SIZE = 3

class Nets:
    small = staticmethod(lambda: nn.Linear(2, 2))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "own_nets_for_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nets.py").write_text(CODE)
    (package / "needs.py").write_text("import not_there_at_all\n")
    (package / "bad.py").write_text("def f(:\n")
    for name in [name for name in sys.modules if name.startswith("own_nets_for_test")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_builds_from_the_current_folder() -> None:
    builder = resolve_builder("own_nets_for_test.nets:network", {"width": 4, "depth": 2})
    arch = from_module(builder)
    assert arch.ops == ("input", "Linear", "Linear", "output")
    assert arch.attributes[1] == {"in_features": 4, "out_features": 4, "bias": 1}
    assert isinstance(resolve_builder("own_nets_for_test.nets:Nets.small")(), nn.Linear)
    assert isinstance(resolve_builder("torch.nn:Identity")(), nn.Identity)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("own_nets_for_test.nets", {}, "does not name a function"),
        ("own_nets_for_test.nets:", {}, "does not name a function"),
        ("../x:f", {}, "does not name a function"),
        ("own_nets_for_test.nest:network", {}, "no module named own_nets_for_test.nest"),
        ("nowhere_at_all.nets:network", {}, "no module named nowhere_at_all"),
        ("own_nets_for_test.nets:netwrk", {}, "no netwrk in .*, did you mean network?"),
        ("own_nets_for_test.nets:SIZE", {}, "is int, not a function"),
        ("own_nets_for_test.nets:network", {"widht": 3}, "did you mean width?"),
        ("own_nets_for_test.nets:network", {}, "missing a required argument: 'width'"),
    ],
)
def test_wrong_names(name: str, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        resolve_builder(name, arguments)
    assert error.value.fix is not None or "no netwrk" in error.value.what


@pytest.mark.usefixtures("folder")
def test_the_users_code_fails() -> None:
    with pytest.raises(DataError, match="raised ValueError: width 3 is odd") as error:
        resolve_builder("own_nets_for_test.nets:broken", {"width": 3})()
    assert "nets.py:8" in str(error.value.where)
    with pytest.raises(DataError, match="returned int"):
        resolve_builder("own_nets_for_test.nets:number")()
    with pytest.raises(DataError, match="raised SystemExit: no"):
        resolve_builder("own_nets_for_test.nets:leaves")()
    with pytest.raises(DataError, match="No module named 'not_there_at_all'") as error:
        resolve_builder("own_nets_for_test.needs:f")
    assert "not_there_at_all" in str(error.value.fix)
    with pytest.raises(DataError, match="raised SyntaxError") as error:
        resolve_builder("own_nets_for_test.bad:f")
    assert "bad.py:1" in str(error.value.where)
