"""Networks as graphs: types, edges and hyperparameters written out by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks_for_tests as networks
import numpy as np
import pytest
import torch
from torch import nn

from graphwright.errors import DataError
from graphwright.tasks.nas.arch import Arch
from graphwright.tasks.nas.tracing.from_module import from_module

TOKENS = torch.empty(2, 7, dtype=torch.long, device="meta")
# name, builder, example inputs
KINDS: list[tuple[str, Callable[[], nn.Module], Any]] = [
    ("plain", networks.plain, [(2, 3, 16, 16)]),
    ("residual", networks.Residual, [(1, 4, 8, 8)]),
    ("dense", networks.Dense, [(1, 2, 4, 4)]),
    ("unet", networks.UNet, [(1, 1, 8, 8)]),
    ("transformer", networks.encoder, [(2, 5, 16)]),
    ("lstm", networks.Recurrent, [TOKENS]),
    ("shared", networks.Shared, [(3, 4)]),
    ("attention", networks.Attention, [(2, 5, 8)]),
    ("functional", networks.Functional, [(2, 4)]),
    ("branches", networks.Branches, [(1, 4, 8, 8)]),
    ("depthwise", networks.Depthwise, [(1, 8, 8, 8)]),
    ("shapes", networks.ShapeDependent, [(1, 3, 16, 16)]),
]


def pairs(arch: Arch) -> list[tuple[int, int]]:
    return [(int(s), int(t)) for s, t in arch.edges.T]


def chain(count: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(count - 1)]


def conv(ins: int, outs: int, kernel: Any, stride: int = 1, padding: Any = 0, **more: float) -> Any:
    kernel, padding = np.broadcast_to(kernel, 2), np.broadcast_to(padding, 2)
    found = {"in_channels": ins, "out_channels": outs, "groups": 1, "bias": 1}
    for i in range(2):
        found |= {f"kernel_size_{i}": kernel[i], f"padding_{i}": padding[i]}
        found |= {f"stride_{i}": stride, f"dilation_{i}": 1}
    return {**found, **more}


def linear(ins: int, outs: int) -> dict[str, float]:
    return {"in_features": ins, "out_features": outs, "bias": 1}


@pytest.mark.parametrize(("name", "build", "example"), KINDS)
def test_graphs_are_sound(name: str, build: Callable[[], nn.Module], example: Any) -> None:
    arch = from_module(build, example)
    source, target = arch.edges
    assert (source < target).all()  # topological
    assert pairs(arch) == sorted(set(pairs(arch)), key=lambda p: (p[1], p[0]))
    assert arch.ops[-1] == "output"
    assert arch.ops.count("input") == 1
    assert len(arch.attributes) == len(arch.ops) == arch.features["nodes"]
    assert arch.features["params"] == sum(p.numel() for p in build().parameters())
    assert set(source) == set(range(len(arch.ops) - 1))  # everything leads to the output


def test_plain_cnn() -> None:
    arch = from_module(networks.plain, [(2, 3, 16, 16)])
    assert arch.ops == (
        "input", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "AdaptiveAvgPool2d", "Flatten",
        "Dropout", "Linear", "output",
    )  # fmt: skip
    assert pairs(arch) == chain(10)
    assert arch.attributes[1] == conv(3, 8, 3, 2, 1, bias=0)
    norm = {"num_features": 8, "eps": 1e-5, "momentum": 0.1, "affine": 1, "track_running_stats": 1}
    assert arch.attributes[2] == norm
    assert arch.attributes[3] == {}
    assert arch.attributes[4] == {
        "kernel_size_0": 2, "kernel_size_1": 2, "stride_0": 2, "stride_1": 2, "padding_0": 0,
        "padding_1": 0, "dilation_0": 1, "dilation_1": 1, "ceil_mode": 0,
    }  # fmt: skip
    assert arch.attributes[5] == {"output_size_0": 1, "output_size_1": 1}
    assert arch.attributes[6] == {"start_dim": 1, "end_dim": -1}
    assert arch.attributes[7] == {"p": 0.25}
    assert arch.attributes[8] == linear(8, 10)
    # convolution: 2 · 2 images · 8·8 places · 8 filters · 27; classifier: 2 · 2 · 8 · 10
    flops = 2 * 2 * 64 * 8 * 27 + 2 * 2 * 80
    assert arch.features == {"params": 322, "flops": flops, "depth": 9, "nodes": 10}
    assert "flops" not in from_module(networks.plain).features


def test_residual() -> None:
    arch = from_module(networks.Residual)
    kinds = ("input", "Conv2d", "function:relu", "Conv2d", "function:add", "function:relu")
    assert arch.ops == (*kinds, "output")
    assert pairs(arch) == [(0, 1), (1, 2), (2, 3), (0, 4), (3, 4), (4, 5), (5, 6)]
    assert arch.attributes[3] == conv(4, 4, 3, 1, 2, dilation_0=2, dilation_1=2)  # padding="same"
    assert arch.attributes[2] == {}
    assert arch.features["depth"] == 6


def test_dense_connections() -> None:
    arch = from_module(networks.Dense)
    kinds = ("function:cat", "Conv2d") * 3
    assert arch.ops == ("input", *kinds, "function:cat", "output")
    into_last = [s for s, t in pairs(arch) if t == 7]
    assert into_last == [0, 2, 4, 6]
    assert [arch.attributes[i]["in_channels"] for i in (2, 4, 6)] == [2, 5, 8]
    assert all(arch.attributes[i] == {"dim": 1} for i in (1, 3, 5, 7))


def test_unet() -> None:
    arch = from_module(networks.UNet)
    kinds = ("Conv2d", "AvgPool2d", "Conv2d", "ConvTranspose2d", "function:cat", "Conv2d")
    assert arch.ops == ("input", *kinds, "output")
    assert pairs(arch) == [(0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (4, 5), (5, 6), (6, 7)]
    assert arch.attributes[4] == conv(8, 4, 2, 2, output_padding_0=0, output_padding_1=0)


def test_transformer_encoder_is_opened() -> None:
    arch = from_module(networks.encoder)
    layer = (
        "MultiheadAttention", "Dropout", "function:add", "LayerNorm", "Linear", "function:relu",
        "Dropout", "Linear", "Dropout", "function:add", "LayerNorm",
    )  # fmt: skip
    assert arch.ops == ("input", *layer, *layer, "LayerNorm", "output")
    assert {(0, 1), (0, 3), (2, 3), (4, 10), (9, 10), (11, 14)} <= set(pairs(arch))
    assert arch.attributes[1] == {
        "embed_dim": 16, "num_heads": 4, "dropout": 0.1, "bias": 1, "add_zero_attn": 0,
        "kdim": 16, "vdim": 16, "batch_first": 1,
    }  # fmt: skip
    norm = {"normalized_shape_0": 16, "eps": 1e-5, "elementwise_affine": 1, "bias": 1}
    assert arch.attributes[23] == norm
    assert arch.attributes[5] == linear(16, 32)


def test_lstm() -> None:
    arch = from_module(networks.Recurrent, [TOKENS])
    kinds = ("Embedding", "LSTM", "function:getitem", "Linear", "function:mean", "function:add")
    assert arch.ops == ("input", *kinds, "output")
    assert pairs(arch) == [(0, 1), (1, 2), (2, 3), (3, 4), (2, 5), (4, 6), (5, 6), (6, 7)]
    assert arch.attributes[1] == {"num_embeddings": 100, "embedding_dim": 6, "norm_type": 2}
    assert arch.attributes[2] == {
        "input_size": 6, "hidden_size": 5, "num_layers": 2, "bias": 1, "batch_first": 1,
        "dropout": 0, "bidirectional": 1, "proj_size": 0,
    }  # fmt: skip
    assert arch.features["flops"] > 0


def test_shared_module_is_two_nodes() -> None:
    arch = from_module(networks.Shared)
    assert arch.ops == ("input", "Linear", "function:tanh", "Linear", "output")
    assert arch.attributes[1] == arch.attributes[3] == linear(4, 4)
    assert arch.features["params"] == 20  # once


def test_multihead_attention_with_a_learned_query() -> None:
    arch = from_module(networks.Attention, [(2, 5, 8)])
    kinds = ("input", "parameter", "method:expand", "MultiheadAttention", "function:squeeze")
    assert arch.ops == (*kinds, "output")
    assert pairs(arch) == [(1, 2), (0, 3), (2, 3), (3, 4), (4, 5)]
    assert arch.attributes[1] == {"size_0": 1, "size_1": 1, "size_2": 8}
    assert arch.attributes[3]["bias"] == 0
    assert arch.attributes[4] == {"dim": 1}


def test_functions_and_methods() -> None:
    arch = from_module(networks.Functional)
    assert arch.ops == (
        "input", "parameter", "function:linear", "buffer", "function:mul", "function:leaky_relu",
        "method:view", "function:interpolate", "function:flatten", "function:softmax",
        "function:sub", "output",
    )  # fmt: skip
    assert pairs(arch)[:4] == [(0, 2), (1, 2), (2, 4), (3, 4)]
    assert arch.attributes[5:] == (
        {"negative_slope": 0.2},
        {},
        {"scale_factor": 2, "mode=linear": 1},
        {"start_dim": 1, "end_dim": -1},
        {"dim": -1},
        {"other": 0.5},
        {},
    )


def test_parallel_branches() -> None:
    arch = from_module(networks.Branches)
    kinds = ("input", "Conv2d", "Conv2d", "Conv2d", "MaxPool2d", "function:cat", "output")
    assert arch.ops == kinds
    edges = [(0, 1), (0, 2), (2, 3), (0, 4), (1, 5), (3, 5), (4, 5), (5, 6)]
    assert pairs(arch) == edges
    assert arch.attributes[3] == conv(2, 3, 5, 1, 2)


def test_grouped_and_depthwise() -> None:
    arch = from_module(networks.Depthwise)
    assert arch.attributes[1] == conv(8, 16, 3, 1, 1, groups=4)
    assert arch.attributes[5] == conv(16, 16, (5, 3), 1, (2, 1), groups=16)
    assert arch.ops[2:5] == ("method:view", "function:transpose", "function:reshape")
    assert arch.attributes[3] == {"dim0": 1, "dim1": 2}
    assert arch.ops[6:11] == (
        "function:chunk", "function:mul", "function:cat", "Conv2d", "SiLU",
    )  # fmt: skip
    assert {(6, 7), (6, 8), (7, 8)} <= set(pairs(arch))  # both halves, no node for taking apart


def test_course_that_depends_on_values_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"torch\.fx cannot trace gate \(_Gate\).*control flow"
    ) as e:
        from_module(networks.Dynamic)
    assert "shapes" in str(e.value.fix)
    with pytest.raises(DataError, match=r"neither tracer can follow gate \(_Gate\)") as e:
        from_module(networks.Dynamic, [(2, 4)])
    assert "torch.where" in str(e.value.fix)


def test_export_is_silent_when_it_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        from_module(networks.Dynamic, [(2, 4)])
    assert capfd.readouterr() == ("", "")


SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
import json, test_from_module as t
from graphwright.tasks.nas.tracing.from_module import from_module
archs = [from_module(build, example) for _, build, example in t.KINDS]
print(json.dumps([[a.ops, a.edges.tolist(), a.attributes, a.features] for a in archs]))
"""


def test_equal_in_two_processes() -> None:
    folder = str(Path(__file__).parent)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, folder],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (process.communicate()[0] for process in running)
    assert len(json.loads(one)) == 12
    assert one == other  # in the order of the keys, too
