"""`export --format onnx` as a user meets it, and the example of docs/export.md run on its file."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from graphwright.launch.use import predict

PAGE = Path(__file__).resolve().parents[2] / "docs/export.md"


def _examples() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def test_the_example_of_the_docs(cli, finished, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "my_model"
    result = cli("export", finished.run.path, "--format", "onnx", "-o", folder)
    assert result.code == 0, result.err
    assert result.err == ""
    assert "in  pos float64[N, 3]" in result.out
    assert "out predicted_x float32[B]" in result.out
    assert re.search(r"on 6 batches .* largest difference \d\.\de-\d\d of the scale", result.out)

    rng = np.random.default_rng(0)
    clouds = [0.5 * rng.normal(size=(count, 3)) + 5.0 for count in (30, 2, 4, 60)]
    offsets = np.cumsum([0, *map(len, clouds)])
    sample = tmp_path / "clouds.npz"
    np.savez(sample, pos=np.concatenate(clouds), offsets=offsets)
    columns = predict(finished.run.path, sample).columns
    wanted = np.stack([columns[f"predicted_{axis}"] for axis in "xyz"], axis=1)

    plain, with_graphwright = _examples()
    names: dict[str, object] = {}
    exec(compile(plain, str(PAGE), "exec"), names)
    found = names["predict"](folder, clouds)  # type: ignore[operator]
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    exec(compile(with_graphwright, str(PAGE), "exec"), names)
    arrays = names["inputs_of"](finished.run.path, sample)  # type: ignore[operator]
    np.testing.assert_array_equal(arrays["node_ptr"], offsets)
    np.testing.assert_allclose(arrays["pos"], np.concatenate(clouds), atol=1e-12)

    again = cli("export", finished.run.path, "--format", "onnx", "-o", folder)
    assert again.code == 2
    assert "the output exists" in again.err


def test_the_example_needs_neither_graphwright_nor_torch() -> None:
    names = {line.split()[1] for line in _examples()[0].splitlines() if "import" in line}
    assert names == {"json", "pathlib", "numpy", "onnxruntime"}
    assert names - {"numpy", "onnxruntime"} <= set(sys.stdlib_module_names)


def test_a_format_that_is_none(cli, finished, tmp_path: Path) -> None:
    result = cli("export", finished.run.path, "--format", "onx", "-o", tmp_path / "a")
    assert result.code == 2
    assert "onnx" in result.err
