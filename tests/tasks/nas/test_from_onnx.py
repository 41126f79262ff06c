"""ONNX files as graphs, in the words of `from_module`; damaged and hostile ones."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import networks_for_tests as networks
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphwright.errors import DataError, MissingExtraError
from graphwright.tasks.nas.arch import Arch
from graphwright.tasks.nas.tracing import from_onnx as reader
from graphwright.tasks.nas.tracing.from_module import from_module
from graphwright.tasks.nas.tracing.from_onnx import from_onnx

onnx = pytest.importorskip("onnx")
from onnx import helper  # noqa: E402

FLOAT = 1
CONV = {
    "kernel_shape": [3, 3],
    "strides": [2, 2],
    "pads": [1, 1, 1, 1],
    "dilations": [1, 1],
    "group": 1,
}


def weight(name: str, *shape: int) -> Any:
    return onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)


def save(
    path: Path, nodes: list[Any], weights: list[Any], outputs: tuple[str, ...] = ("y",)
) -> Path:
    ends = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    start = [helper.make_tensor_value_info("x", FLOAT, [1, 3, 8, 8])]
    graph = helper.make_graph(nodes, "network", start, ends, weights)
    onnx.save(helper.make_model(graph), str(path))
    return path


def small(path: Path) -> Path:
    """Conv, norm, relu; a second branch; concatenation; classifier."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", **CONV),
        helper.make_node("BatchNormalization", ["c", "s", "s", "m", "m"], ["n"], epsilon=1e-5),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Add", ["r", "c"], ["a"]),
        helper.make_node("Concat", ["a", "r"], ["k"], axis=1),
        helper.make_node("GlobalAveragePool", ["k"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "d"], ["y"], transB=1),
    ]
    weights = [
        weight("w", 4, 3, 3, 3), weight("b", 4), weight("s", 4), weight("m", 4),
        weight("v", 5, 8), weight("d", 5),
    ]  # fmt: skip
    return save(path, nodes, weights)


def pairs(arch: Arch) -> list[tuple[int, int]]:
    return [(int(s), int(t)) for s, t in arch.edges.T]


def test_words_of_from_module(tmp_path: Path) -> None:
    arch = from_onnx(small(tmp_path / "small.onnx"))
    assert arch.ops == (
        "input", "Conv2d", "BatchNorm2d", "ReLU", "function:add", "function:cat",
        "AdaptiveAvgPool2d", "Flatten", "Linear", "output",
    )  # fmt: skip
    edges = [(0, 1), (1, 2), (2, 3), (1, 4), (3, 4), (3, 5), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]
    assert pairs(arch) == edges
    assert arch.attributes[1] == {
        "in_channels": 3, "out_channels": 4, "kernel_size_0": 3, "kernel_size_1": 3,
        "stride_0": 2, "stride_1": 2, "padding_0": 1, "padding_1": 1, "dilation_0": 1,
        "dilation_1": 1, "groups": 1, "bias": 1,
    }  # fmt: skip
    assert arch.attributes[2]["num_features"] == 4
    assert arch.attributes[5] == {"dim": 1}
    assert arch.attributes[8] == {"in_features": 8, "out_features": 5, "bias": 1}
    # running statistics are no parameters
    assert arch.features == {"params": 4 * 27 + 4 + 4 + 45, "depth": 9, "nodes": 10}


def exported(module: torch.nn.Module, shape: tuple[int, ...], path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter needs no further package, and is old
        keep = torch.onnx.TrainingMode.PRESERVE
        torch.onnx.export(
            module.eval(), (torch.zeros(shape),), str(path), dynamo=False, training=keep,
            do_constant_folding=False,
        )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("build", "shape"), [(networks.plain, (1, 3, 16, 16)), (networks.Branches, (1, 4, 8, 8))]
)
def test_agrees_with_the_module(tmp_path: Path, build: Any, shape: tuple[int, ...]) -> None:
    module = build()
    one = from_onnx(exported(module, shape, tmp_path / "a.onnx"))
    other = from_module(module)
    kept = [i for i, op in enumerate(other.ops) if op != "Dropout"]  # evaluation has none
    assert one.ops == tuple(other.ops[i] for i in kept)
    assert one.attributes == tuple(other.attributes[i] for i in kept)
    assert one.features["params"] == other.features["params"]


def test_depthwise_agrees_in_its_convolutions(tmp_path: Path) -> None:
    module = networks.Depthwise()
    one = from_onnx(exported(module, (1, 8, 8, 8), tmp_path / "a.onnx"))
    other = from_module(module)

    def convolutions(arch: Arch) -> list[Any]:
        return [a for op, a in zip(arch.ops, arch.attributes, strict=True) if op == "Conv2d"]

    assert convolutions(one) == convolutions(other)


def test_product_and_bias_are_one_linear(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),  # of a weight: no node
        helper.make_node("MatMul", ["x", "t"], ["p"]),
        helper.make_node("Add", ["b", "p"], ["q"]),
        helper.make_node("Identity", ["q"], ["i"]),
        helper.make_node("MatMul", ["i", "i"], ["m"]),
        helper.make_node("Shape", ["m"], ["size"]),
        helper.make_node("Reshape", ["m", "size"], ["y"]),
    ]
    arch = from_onnx(save(tmp_path / "a.onnx", nodes, [weight("w", 6, 8), weight("b", 6)]))
    assert arch.ops == ("input", "Linear", "function:matmul", "function:reshape", "output")
    assert arch.attributes[1] == {"in_features": 8, "out_features": 6, "bias": 1}


def test_unknown_operators_keep_their_attributes(tmp_path: Path) -> None:
    node = helper.make_node("Own", ["x"], ["y", "z"], domain="mine", size=[1, 2], slope=0.5)
    arch = from_onnx(save(tmp_path / "a.onnx", [node], [], ("y", "z")))
    assert arch.ops == ("input", "onnx:Own", "output")
    assert arch.attributes[1] == {"size_0": 1, "size_1": 2, "slope": 0.5}


def test_external_weights_are_not_opened(tmp_path: Path) -> None:
    model = onnx.load(str(small(tmp_path / "small.onnx")))
    path = tmp_path / "apart.onnx"
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    (tmp_path / "weights.bin").unlink()
    assert from_onnx(path).attributes[1]["in_channels"] == 3


def relu(start: str, end: str) -> Any:
    return helper.make_node("Relu", [start], [end])


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([relu("y", "a"), relu("a", "y")], "comes later"),
        ([relu("a", "y"), relu("x", "a")], "comes later"),
        ([relu("nowhere", "y")], "nothing makes"),
        ([relu("x", "a")], "an output reads 'y', which nothing makes"),
        ([relu("x", "y"), relu("x", "y")], "two operators make 'y'"),
        ([helper.make_node("Loop", ["x"], ["y"])], "Loop .* is control flow"),
        ([], "no operators"),
    ],
)
def test_graphs_that_are_none(tmp_path: Path, nodes: list[Any], message: str) -> None:
    path = save(tmp_path / "a.onnx", nodes, [])
    with pytest.raises(DataError, match=message) as error:
        from_onnx(path)
    assert error.value.where == str(path)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="No such file"):
        from_onnx(tmp_path / "none.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(DataError, match="not an ONNX model"):
        from_onnx(tmp_path / "empty.onnx")
    (tmp_path / "text.onnx").write_text("not a model" * 100)
    with pytest.raises(DataError, match="not an ONNX model"):
        from_onnx(tmp_path / "text.onnx")
    path = small(tmp_path / "small.onnx")
    monkeypatch.setattr(reader, "MAX_NODES", 7)
    with pytest.raises(DataError, match="8 operators, more than 7"):
        from_onnx(path)
    monkeypatch.setattr(reader, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="more than the 100 that are read"):
        from_onnx(path)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / "small.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="needs the package onnx") as error:
        from_onnx(path)
    assert "graphwright[onnx]" in str(error.value.fix)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_errors_for_people(tmp_path: Path, data: st.DataObject) -> None:
    whole = small(tmp_path / "small.onnx").read_bytes()
    bytes_ = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, len(bytes_) - 1), max_size=6)):
        bytes_[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(bytes_)
    try:
        arch = from_onnx(path)
    except DataError:
        return
    assert (arch.edges[0] < arch.edges[1]).all()
