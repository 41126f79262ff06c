"""What the floor promises of any export: no wrong, half or foreign file, and reasons."""

from __future__ import annotations

import builtins
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_task import ToyConfig, ToyTask

from graphwright.errors import BundleError, ConfigError, MissingExtraError, RunError
from graphwright.training import export
from graphwright.training.bundle import Bundle
from graphwright.training.export import export_onnx
from graphwright.training.export_check import Checked, check_file
from graphwright.training.export_form import OnnxForm, Port
from graphwright.training.export_graphs import EXAMPLE_SIZES, graph_of_nodes, random_edges

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


class Double(nn.Module):
    """y = w x + 1e-4, a row's number as often as it says beside it.

    The 1e-4 is the root of a 1e-8 that rewriting rules take for nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, x_N: Tensor, count_N: Tensor) -> tuple[Tensor, Tensor]:
        row_M = torch.repeat_interleave(torch.arange(len(x_N)), count_N)
        root_N = ((x_N - x_N.detach()).square() + 1e-8).sqrt()
        return x_N * self.weight + root_N, row_M.float()


def form(**changes: Any) -> OnnxForm:
    """A form whose batches are its tensors."""
    model = Double()
    examples = [_pair(4), _pair(1), _pair(9)]
    made = OnnxForm(
        module=model,
        inputs=(
            Port(name="x", dtype="float32", shape=("N",), meaning="numbers"),
            Port(name="count", dtype="int64", shape=("N",), meaning="times"),
        ),
        outputs=(
            Port(name="y", dtype="float32", shape=("N",), meaning="twice", unit="m"),
            Port(name="row", dtype="float32", shape=("M",), meaning="rows"),
        ),
        tensors=lambda pair: pair,
        expected=lambda pair: tuple(out.detach() for out in model(*pair)),
        examples=examples,
        state={"vocabulary": ["a", "b"]},
        preprocessing=("none",),
    )
    return dataclasses.replace(made, **changes)


def _pair(size: int) -> tuple[Tensor, Tensor]:
    return torch.linspace(1, 2, size), torch.arange(size) % 3


class Offering(ToyTask):
    """A task whose every model has the same form."""

    def __init__(self, offered: OnnxForm) -> None:
        super().__init__(ToyConfig(), Path("data"))
        self.offered = offered

    def onnx_form(self, model: Any, state: Any) -> OnnxForm:
        return self.offered


def bundle(offered: OnnxForm) -> Bundle:
    """A bundle of such a task."""
    return Bundle(Offering(offered), Double(), {}, {"run": "run_000"})


def test_a_file_with_free_sizes_and_all_about_it(tmp_path: Path) -> None:
    import onnx

    offered = form()
    done = export_onnx(bundle(offered), tmp_path / "folder")
    assert (done.model, done.description) == (
        tmp_path / "folder/model.onnx",
        tmp_path / "folder/model.json",
    )
    assert done.checked is not None
    assert done.checked.worst[1] < 1e-6
    about = json.loads(done.description.read_text())
    assert about["format"] == "graphwright.onnx"
    assert about["outputs"][0] == {
        "name": "y", "dtype": "float32", "shape": ["N"], "unit": "m", "meaning": "twice",
    }  # fmt: skip
    assert about["state"] == {"vocabulary": ["a", "b"]}
    assert about["about"] == {"run": "run_000"}
    assert about["checked"]["batches"] == 3
    model = onnx.load(done.model)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]
    assert str(Path(__file__).parent).encode() not in done.model.read_bytes()  # nor any path
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "folder", "model.json", "model.onnx",
    ]  # fmt: skip


def test_a_file_that_answers_otherwise_is_not_left(tmp_path: Path) -> None:
    wrong = form()
    right = wrong.expected
    wrong = dataclasses.replace(
        wrong, expected=lambda pair: (right(pair)[0] * 1.001, right(pair)[1])
    )
    with pytest.raises(BundleError, match=r"y differs by 1\.0e-03 of its scale"):
        export_onnx(bundle(wrong), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_translated_says_so(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, capfd: Any
) -> None:
    class Branches(Double):
        def forward(self, x_N: Tensor, count_N: Tensor) -> tuple[Tensor, Tensor]:
            if bool(x_N.sum() > 3):
                return x_N, count_N.float()
            return -x_N, count_N.float()

    with pytest.raises(BundleError, match="cannot be translated to ONNX") as caught:
        export_onnx(bundle(form(module=Branches())), tmp_path / "a.onnx")
    assert caught.value.exit_code == 2
    assert "--format bundle" in str(caught.value.fix)
    assert list(tmp_path.iterdir()) == []
    assert list(recwarn) == []
    assert capfd.readouterr() == ("", "")


def test_a_size_that_the_model_fixes_is_refused(tmp_path: Path) -> None:
    class Fixed(Double):
        def forward(self, x_N: Tensor, count_N: Tensor) -> tuple[Tensor, Tensor]:
            return x_N * torch.ones(4), count_N.float()

    with pytest.raises(BundleError, match="cannot be translated to ONNX"):
        export_onnx(bundle(form(module=Fixed())), tmp_path / "a.onnx")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    here = tmp_path / "a.onnx"
    here.write_text("mine")
    with pytest.raises(RunError, match="the output exists"):
        export_onnx(bundle(form()), here)
    assert here.read_text() == "mine"
    (tmp_path / "b.json").write_text('{"format": 1}')
    with pytest.raises(RunError, match="where the description of the model is written"):
        export_onnx(bundle(form()), tmp_path / "b.onnx")
    (tmp_path / "c.json").write_text("[")
    with pytest.raises(RunError, match="where the description of the model is written"):
        export_onnx(bundle(form()), tmp_path / "c.onnx")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def missing(name: str, *args: Any, **more: Any) -> Any:
        if name == "onnxscript":
            raise ModuleNotFoundError("no onnxscript", name="onnxscript")
        return plain(name, *args, **more)

    monkeypatch.delitem(sys.modules, "onnxscript", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"onnxscript") as caught:
        export_onnx(bundle(form()), tmp_path / "a.onnx")
    assert "graphwright[onnx]" in str(caught.value)


def test_without_a_runtime_it_says_that_nothing_was_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "runtime_version", lambda: "")
    monkeypatch.setattr(export, "onnx_bytes", lambda *_: b"file")
    done = export_onnx(bundle(form()), tmp_path / "a.onnx")
    assert done.checked is None
    assert json.loads(done.description.read_text())["checked"] is None


def test_too_large_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_LARGEST_MB", 1e-6)
    with pytest.raises(BundleError, match="one ONNX file holds"):
        export_onnx(bundle(form()), tmp_path / "a.onnx")


def test_a_task_without_a_form_says_so() -> None:
    with pytest.raises(ConfigError, match="task toy cannot be exported to ONNX"):
        ToyTask(ToyConfig(), Path("data")).onnx_form(None, {})


def test_an_answer_of_another_shape_or_no_number_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def run(self, names: list[str], arrays: dict[str, Any]) -> list[Any]:
            return [np.full(len(arrays["x"]), np.nan, np.float32), np.zeros(99, np.float32)]

    monkeypatch.setattr("graphwright.training.export_check.session_of", lambda _: Session())
    checked = check_file(Path("none"), form(), form())
    assert np.isnan(checked.differences["y"])
    assert checked.differences["row"] == np.inf
    assert checked.worst[0] == "y"
    assert not checked.passed


def test_rounding_of_the_model_itself_is_allowed() -> None:
    within = Checked({"a": 1e-7, "b": 3e-5}, {"a": 0.0, "b": 1e-5}, 2, "onnxruntime")
    assert within.passed
    assert within.worst == ("b", 3e-5)
    assert not Checked({"a": 3e-5}, {"a": 1e-6}, 2, "onnxruntime").passed


def test_graphs_of_nodes() -> None:
    ptr = torch.tensor([0, 2, 2, 5, 5])
    assert graph_of_nodes(ptr, 5).tolist() == [0, 0, 2, 2, 2]
    rng = np.random.default_rng(0)
    for sizes in EXAMPLE_SIZES:
        edges, counts = random_edges(sizes, rng, ascending=True)
        owner = np.repeat(np.arange(len(sizes)), counts)
        assert (edges[0] < edges[1]).all()
        assert (edges[1] < np.array(sizes)[owner]).all()
