"""Ways into `from_module`: builders, ready modules, examples, torch.export, and what goes wrong."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import networks_for_tests as networks
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from graphwright.errors import DataError
from graphwright.tasks.nas.tracing.from_module import from_module
from graphwright.tasks.nas.tracing.trace_export import trace_export
from graphwright.tasks.nas.tracing.trace_steps import assemble


def exported(build: Any, shape: tuple[int, ...]) -> Any:
    with torch.device("meta"):
        module = build().eval().requires_grad_(False)
        return assemble(trace_export(module, [torch.empty(shape)]))


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (networks.plain, (2, 3, 16, 16)),
        (networks.Residual, (1, 4, 8, 8)),
        (networks.Dense, (1, 2, 4, 4)),
        (networks.encoder, (2, 5, 16)),
        (networks.Shared, (3, 4)),
        (networks.Attention, (2, 5, 8)),
        (networks.Depthwise, (1, 8, 8, 8)),
    ],
)
def test_both_tracers_agree(build: Any, shape: tuple[int, ...]) -> None:
    one, other = from_module(build), exported(build, shape)
    assert one.ops == other.ops
    assert one.edges.tolist() == other.edges.tolist()
    assert one.attributes == other.attributes


def test_export_follows_shapes() -> None:
    with pytest.raises(DataError, match=r"torch\.fx cannot trace ShapeDependent"):
        from_module(networks.ShapeDependent)
    arch = from_module(networks.ShapeDependent, [(1, 3, 16, 16)])
    pools = ("function:max_pool2d",) * 2
    kinds = ("Conv2d", *pools, "ReLU", "function:add", "method:view", "LSTM")
    assert arch.ops == ("input", *kinds, "output")
    assert [(int(s), int(t)) for s, t in arch.edges.T] == [(i, i + 1) for i in range(8)]
    assert arch.attributes[2]["kernel_size_1"] == 2
    assert arch.attributes[7]["hidden_size"] == 5
    assert arch.ops != from_module(networks.ShapeDependent, [(1, 3, 8, 8)]).ops


def test_flops_are_those_of_torch() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        networks.resnet_like().eval()(torch.empty(1, 3, 64, 64))
    arch = from_module(networks.resnet_like, [(1, 3, 64, 64)])
    assert arch.features["flops"] == counter.get_total_flops()


def test_large_network_costs_little() -> None:
    script = (
        "import resource, sys, time; sys.path.insert(0, sys.argv[1])\n"
        "import networks_for_tests as n\n"
        "from graphwright.tasks.nas.tracing.from_module import from_module\n"
        "before, start = resource.getrusage(0).ru_maxrss, time.perf_counter()\n"
        "arch = from_module(n.resnet_like)\n"
        "print(resource.getrusage(0).ru_maxrss - before, time.perf_counter() - start)\n"
        "print(arch.features['params'], arch.ops.count('Conv2d'))\n"
    )
    folder = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script, folder], capture_output=True, text=True, check=True
    )
    kilobytes, seconds, params, convolutions = map(float, done.stdout.split())
    assert kilobytes < 50_000
    assert seconds < 10  # 0.3 s on an idle machine
    assert (params, convolutions) == (25_557_032, 53)


def test_ready_module_is_neither_copied_nor_changed() -> None:
    module = nn.Sequential(nn.Linear(4000, 4000), nn.BatchNorm1d(4000), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    peak, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    arch = from_module(module, [(2, 4000)])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000
    assert time.perf_counter() - start < 30
    assert arch.ops == ("input", "Linear", "BatchNorm1d", "Dropout", "output")
    assert module.training
    assert module[0].weight.device.type == "cpu"
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_builder_returns_example_inputs() -> None:
    def build() -> tuple[nn.Module, Any]:
        return networks.Recurrent(), [torch.zeros(1, 3, dtype=torch.long)]

    arch = from_module(build)
    assert arch.features["flops"] > 0
    assert "flops" in from_module(build, [torch.zeros(2, 9, dtype=torch.long)]).features


@pytest.mark.parametrize(
    ("build", "inputs", "inside"),
    [
        (lambda: nn.Conv2d(3, 4, 3), 1, "Conv2d"),
        (lambda: nn.MultiheadAttention(8, 2), 3, "MultiheadAttention"),
        (lambda: nn.Transformer(16, 2, 1, 1, 32), 2, "MultiheadAttention"),
        (lambda: nn.TransformerEncoderLayer(8, 2, 16, norm_first=True), 1, "LayerNorm"),
    ],
)
def test_parts_of_torch_by_themselves(build: Any, inputs: int, inside: str) -> None:
    arch = from_module(build)
    assert arch.ops.count("input") == inputs
    assert inside in arch.ops


class OwnConv(nn.Conv2d):
    """A subclass that computes as its parent does."""


class Rest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = OwnConv(3, 4, 3, padding_mode="reflect", padding=1)
        self.upsample = nn.Upsample(scale_factor=2, mode="bilinear")
        self.norm = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.identity = nn.Identity()
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor, y: Tensor | None = None, scale: float = 2.0) -> Tensor:
        self.unused(x)
        z = self.upsample(self.conv(x)) * scale
        if y is not None:
            z = z - y
        values, _ = self.identity(z).mean((2, 3), keepdim=True).max(dim=1)
        return self.norm(values.transpose(1, 2))


def test_words_subclasses_defaults_and_dead_ends() -> None:
    arch = from_module(Rest)
    kinds = ("Conv2d", "Upsample", "function:mul", "function:mean", "function:max")
    assert arch.ops[:6] == ("input", *kinds)
    assert arch.attributes[1]["padding_mode=reflect"] == 1
    assert arch.attributes[2] == {"scale_factor": 2, "mode=bilinear": 1}
    assert arch.attributes[3] == {"other": 2}
    assert arch.attributes[4] == {"dim_0": 2, "dim_1": 3, "keepdim": 1}
    assert arch.ops[-2:] == ("Linear", "output")  # neither its parametrisation nor `unused`
    assert arch.ops.count("Linear") == 1


def test_written_in_place_is_what_comes_after() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            y.add_(1)
            y.clamp_(max=3.0)
            return y

    arch = from_module(InPlace)
    assert arch.ops == ("input", "function:mul", "function:add", "function:clamp", "output")
    assert arch.attributes[2:4] == ({"other": 1}, {"max": 3})


def test_errors_for_people() -> None:
    with pytest.raises(DataError, match="does not take example inputs of shape"):
        from_module(networks.plain, [(2, 4, 16, 16)])
    with pytest.raises(DataError, match="is 'a', not a shape or a tensor"):
        from_module(networks.plain, ["a"])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"LazyLinear\) does not know its sizes"):
        from_module(lambda: nn.Sequential(nn.LazyLinear(3)))
    with pytest.raises(DataError, match="raised ZeroDivisionError: division by zero"):
        from_module(lambda: 1 / 0)
    with pytest.raises(DataError, match="returned int, not a"):
        from_module(lambda: 3)
    with pytest.raises(DataError, match="raised RuntimeError") as error:
        from_module(lambda: nn.Linear(int(torch.ones(1).item()), 2))
    assert "plain Python" in str(error.value.fix)


def test_flops_that_need_values_are_absent() -> None:
    class Chosen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[x.nonzero()[:, 0]] @ x

    arch = from_module(Chosen, [(3, 3)])
    assert "function:nonzero" in arch.ops
    assert "flops" not in arch.features
