"""A trained model as tensors in and tensors out, and one model of each task as an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_case import Case

from graphwright.cli import main
from graphwright.launch.use import load_run, predict
from graphwright.training.export import form_of
from graphwright.training.export_check import BOUND, ROUNDING, session_of
from graphwright.training.export_form import OnnxForm


def _batches(case: Case, form: OnnxForm) -> Iterator[Any]:
    source = case.prepared.data.sources["test"]
    yield from form.examples
    yield source.batch(np.array([0]))
    yield source.batch(np.arange(min(5, len(source))))


def _apart(form: OnnxForm, wanted: Any, found: Any) -> float:
    """Largest difference relative to the scale of each output."""
    worst = 0.0
    for port, want, got in zip(form.outputs, wanted, found, strict=True):
        want = np.asarray(want, dtype=np.float64)
        assert want.shape == np.shape(got), port.name
        scale = max(float(np.abs(want).max()), port.scale)
        worst = max(worst, float(np.abs(want - np.asarray(got)).max()) / scale)
    return worst


def test_its_tensors_give_what_the_model_gives(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_run(case.run.path, data_root=case.data_root)
    form = form_of(bundle)
    sizes = {tuple(t.shape for t in form.tensors(batch)) for batch in form.examples}
    assert len(sizes) > 3
    for batch in _batches(case, form):
        wanted = form.expected(batch)
        with monkeypatch.context() as patch, torch.no_grad():
            # the plain operators that an exporter sees
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
            found = form.module(*form.tensors(batch))
        assert _apart(form, wanted, found) <= BOUND


def test_a_file_answers_as_the_run_does(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    if case.variant != case.contract.variants[0]:
        pytest.skip("one model of each task is written; benchmarks/export.py writes all")
    out = tmp_path / "shipped" / "model.onnx"
    main(["export", str(case.run.path), "--format", "onnx", "-o", str(out)])
    assert "largest difference" in capsys.readouterr().out
    session = session_of(out)
    about = json.loads(out.with_suffix(".json").read_text())
    inside = json.loads(session.get_modelmeta().custom_metadata_map["graphwright"])
    assert inside == {key: value for key, value in about.items() if key != "checked"}
    for kind, given in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        assert [(port["name"], port["shape"]) for port in about[kind]] == [
            (value.name, value.shape) for value in given
        ]
        assert all(port["meaning"] for port in about[kind])

    bundle = load_run(case.run.path, data_root=case.data_root)
    form, sample = form_of(bundle), case.contract.sample(tmp_path)
    raw = bundle.task.read_input(sample, bundle.state)
    batch = raw.source.batch(np.arange(len(raw.source)))
    found = session.run(None, form.arrays(batch))
    # a sample may be far from the data: no nearer than the model's own rounding
    precise = form_of(bundle, torch.float64).expected(batch)
    bound = max(BOUND, ROUNDING * _apart(form, precise, form.expected(batch)))
    assert bound < 1e-3
    assert _apart(form, form.expected(batch), found) <= bound
    columns = predict(case.run.path, sample, data_root=case.data_root).columns
    for port, values in zip(form.outputs, found, strict=True):
        if port.name in columns:  # a language model predicts sums over a line
            scale = max(float(np.abs(columns[port.name]).max()), port.scale)
            assert np.abs(columns[port.name] - values).max() <= bound * scale
