"""Every model as an ONNX file: does it say what the model says, and how fast is it?

Ours is a call of onnxruntime, the peer one of `Task.predict` (language: of the model) with torch's
own kernels, both from the same inputs in memory and with the same threads; a file is made, loaded
and compared on batches of several sizes before anything is timed. Weights are random: that changes
no time. `note` says how large the timed batch is, how far apart both are (relative to the scale of
the output, over all batches) and what an export took.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _harness import Case, interleaved, report
from graphwright.config import io
from graphwright.config.presets import resolve_preset, task_module
from graphwright.tasks.nas.labels import Labels
from graphwright.training.bundle import Bundle
from graphwright.training.engine import prepare
from graphwright.training.export import export_onnx, form_of
from graphwright.training.export_check import BOUND, session_of
from graphwright.training.phases import Phases

TRAFFIC = "canbus/automotive_traffic"
MODELS: dict[str, tuple[str, str]] = {
    "geometry/painn": ("geometry/scans", "data.source.count=60"),
    "geometry/egnn": ("geometry/scans", "data.source.count=60 model=egnn"),
    "geometry/gcn": ("geometry/scans", "data.source.count=60 model=gcn"),
    "geometry/tfn": ("geometry/scans", "data.source.count=60 model=tfn"),
    "nas/dag_ensemble": ("nas/tiny", ""),
    "nas/fr_nas": ("nas/tiny", "model=fr_nas"),
    "nas/neural_predictor": ("nas/tiny", "model=neural_predictor"),
    "nas/simple_gcn": ("nas/tiny", "model=simple_gcn"),
    "nas/simple_gcn_gat": ("nas/tiny", "model=simple_gcn model.conv=gat"),
    "nas/combined_gcn": ("nas/tiny", "model=combined_gcn"),
    "nas/combined_gcn_sage": ("nas/tiny", "model=combined_gcn model.conv=sage"),
    "nas/hierarchical": ("nas/nasbench_macro_hierarchical", ""),
    "canbus/gat": (f"{TRAFFIC}_classifier_gat_student_no_all_samples", ""),
    "canbus/gat_lstm": (
        f"{TRAFFIC}_classifier_gat_student_no_all_samples",
        "model.jumping=lstm model.self_loops=true model.pool=mean_max",
    ),
    "canbus/vgae": (f"{TRAFFIC}_unsupervised_vgae_student_no_normals_only", ""),
    **{
        f"canbus/fusion_{head}": (f"{TRAFFIC}_fusion_{head}_student_no_all_samples", "")
        for head in ("mlp", "dqn", "bandit", "average", "max")
    },
    "genes/local": ("genes/tiny", "model.hidden_dim=64 model.combination=local"),
    "genes/pairs_overlap": (
        "genes/tiny",
        "model.hidden_dim=64 model.combination=local model.local_head=pairs model.base=ridge "
        "model.overlap=true",
    ),
    "genes/gating": ("genes/tiny", "model.hidden_dim=64 model.combination=gating"),
    "genes/gatv2_mean": (
        "genes/tiny",
        "model.hidden_dim=64 model.combination=concat model.conv=gatv2 model.aggregator=mean",
    ),
    "genes/cross_attention": (
        "genes/tiny",
        "model.hidden_dim=64 model.combination=global model.aggregator=cross_attention",
    ),
    "genes/pairwise_interaction": (
        "genes/tiny",
        "model.hidden_dim=64 model.combination=global model.aggregator=pairwise_interaction",
    ),
    "language/gnn": ("language/tiny", "model=gnn"),
    "language/gnn_routed": ("language/tiny", "model=gnn model.num_experts=4 model.top_k=2"),
    "language/hgnn": ("language/tiny", "model=hgnn model.position=learned"),
    "language/mean": ("language/tiny", "model=mean"),
    "language/static": ("language/tiny", "model=static"),
    "language/dense": ("language/tiny", "model=dense model.tie_head=false"),
}
DATA = {
    "nas": "data.split.train=80 data.split.val=20 data.split.test=60",
    "canbus": "data.source.seconds=4",
    "language": "data.source.max_bytes=20000",
}
BATCH = {"language": 4, "genes": 8}


def bundle_of(preset: str, overrides: str, data_root: Path) -> tuple[Bundle, Any]:
    """A model with random weights in all places, and its test split."""
    task_name = preset.split("/")[0]
    words = [*DATA.get(task_name, "").split(), *overrides.split()]
    config = resolve_preset(preset, ("tracking.mlflow=off", *words))
    task = task_module(config.task, "task").TASK(config, data_root)
    torch.manual_seed(0)
    if "_fusion_" in preset:
        return fusion_of(task, preset, data_root)
    if preset.endswith("_hierarchical"):
        return hierarchical_of(task)
    prepared = prepare(task, Phases())
    model = shaken(prepared.model)
    return Bundle(task, model, prepared.data.state, {}), prepared.data.sources["test"]


def fusion_of(task: Any, preset: str, data_root: Path) -> tuple[Bundle, Any]:
    """A fusion of two untrained parts, without the runs that it would be made of."""
    sizes = preset.split("_")[4]
    state: dict[str, Any] = {}
    for role, kind in (("vgae", "unsupervised_vgae"), ("gat", "classifier_gat")):
        part, source = bundle_of(f"{TRAFFIC}_{kind}_{sizes}_no_all_samples", "", data_root)
        config = io.to_dict(part.task.config)["model"]
        state |= {**part.state, "parts": {**state.get("parts", {})}}
        state["parts"][role] = {"config": config, "state": part.state}
    return Bundle(task, shaken(task.build_model(state)), state, {}), source


def hierarchical_of(task: Any) -> tuple[Bundle, Any]:
    """A predictor for architectures of two levels, without the table of its preset."""
    labels = Labels.fit(np.linspace(80, 95, 50)[:, None], ("mean_acc",), task.config.data.labels)
    state = {"vocabulary": ["?", "a", "b", "c"], "labels": labels.to_json()}
    bundle = Bundle(task, shaken(task.build_model(state)), state, {})
    return bundle, form_of(bundle).examples[-1]


def shaken(model: torch.nn.Module) -> torch.nn.Module:
    """No weight keeps a start of zero or one; statistics of normalisations neither."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def measured(name: str, folder: Path, options: Any) -> Case:
    """One model: exported, compared, timed."""
    bundle, source = bundle_of(*MODELS[name], folder / "data")
    start = time.process_time()
    done = export_onnx(bundle, folder / f"{name.replace('/', '_')}.onnx")
    seconds = time.process_time() - start
    assert done.checked is not None, "onnxruntime is not installed"
    session, form = session_of(done.model, options.threads), done.form
    batch = source
    if hasattr(source, "batch"):
        size = min(BATCH.get(name.split("/")[0], 32), len(source))
        batch = source.batch(np.arange(size))
    arrays, cast = form.arrays(batch), batch.to("cpu", dtype=torch.float32)
    worst = max(*done.checked.differences.values(), real_difference(form, session, batch))
    runs: list[Callable[[], object]] = [
        lambda: session.run(None, arrays),
        lambda: form.expected(cast),
    ]
    ours, peer = interleaved(runs, repeats=options.repeats)
    shapes = " ".join(f"{key}{list(value.shape)}" for key, value in arrays.items())
    note = f"{shapes}; apart {worst:.1e}; exported in {seconds:.0f} CPU s"
    return Case(name, "s", ours, peer, worst <= BOUND, note=note)


def real_difference(form: Any, session: Any, batch: Any) -> float:
    """On the timed batch, of the test split."""
    found = session.run([port.name for port in form.outputs], form.arrays(batch))
    apart = []
    for port, want, got in zip(form.outputs, form.expected(batch), found, strict=True):
        wanted = want.double().numpy()
        scale = max(float(np.abs(wanted).max()), port.scale)
        apart.append(float(np.abs(wanted - got).max()) / scale)
    return max(apart)


def cases(folder: Path, options: Any) -> Iterator[Case]:
    """All models whose name holds `--only`."""
    for name in MODELS:
        if options.only in name:
            case = measured(name, folder, options)
            print(f"{name}: {case.ours:.2g} s, {case.peer:.2g} s, {case.note}", flush=True)
            yield case


def main() -> None:
    """See the module."""
    import argparse

    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--only", default="", help="names that hold this")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="graphwright-") as folder:
        report("export", list(cases(Path(folder), options)), options)


if __name__ == "__main__":
    main()
