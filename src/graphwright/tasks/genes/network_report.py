"""Which networks a model's answers for a user's gene sets rest on.

Legend: S = gene sets, G = networks, L = layers, K = options that an aggregator weighs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphwright.tasks.genes.ranking import load_genes_bundle

__all__ = ["NetworkReport", "report_networks"]

_BATCH = 32
_SHOWN = 3  # networks of one set
_OPTIONS = 8  # options of one layer


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkReport:
    """Effects of the networks, and where the aggregator weighs them its weights.

    Attributes:
        sets: `[S]` names.
        interaction: `[S]`, in the unit of the labels.
        networks: `[G]` names.
        effect: `[S, G]`, the prediction minus that where the network has no edges.
        options: `[K]` names of what the aggregator weighs; empty with sum and mean.
        weight: `[S, L, K]`.
        rejected: (where, reason) of rows that could not be predicted.
    """

    sets: list[str]
    interaction: NDArray[np.float64]
    networks: tuple[str, ...]
    effect: NDArray[np.float64]
    options: tuple[str, ...]
    weight: NDArray[np.float64]
    rejected: list[tuple[str, str]]

    def to_text(self, style: str) -> str:
        """As `text` (a summary and the strongest of each set), `tsv` or `json` (everything)."""
        if style == "json":
            return json.dumps(self.to_json())
        if style == "tsv":
            head = ["set", "interaction", *self.networks]
            rows = np.column_stack([self.interaction, self.effect]).tolist()
            lines = [[name, *row] for name, row in zip(self.sets, rows, strict=True)]
            return "\n".join("\t".join(map(str, line)) for line in [head, *lines])
        return "\n".join(self._lines())

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        sets = [
            {
                "set": name,
                "interaction": float(self.interaction[i]),
                "effects": dict(zip(self.networks, self.effect[i].tolist(), strict=True)),
                "layer_weights": [
                    dict(zip(self.options, layer, strict=True)) for layer in self.weight[i].tolist()
                ],
            }
            for i, name in enumerate(self.sets)
        ]
        rejected = [{"where": where, "reason": reason} for where, reason in self.rejected]
        return {"networks": list(self.networks), "sets": sets, "rejected": rejected}

    def _lines(self) -> list[str]:
        size_G = np.abs(self.effect).mean(0)
        wide = max(map(len, self.networks))
        lines = [f"{'network':<{wide}}  mean |effect|  mean effect"]
        for place in np.argsort(-size_G, kind="stable").tolist():
            mean = self.effect[:, place].mean()
            lines.append(f"{self.networks[place]:<{wide}}  {size_G[place]:13.4g}  {mean:+11.4g}")
        lines.append("")
        lines += [self._set_line(i) for i in range(len(self.sets))]
        for layer in range(self.weight.shape[1]):
            lines += ["", f"mean weights of layer {layer + 1}"]
            lines += _largest(self.options, self.weight[:, layer].mean(0))
        return lines

    def _set_line(self, place: int) -> str:
        effect_G = self.effect[place]
        strongest = np.argsort(-np.abs(effect_G), kind="stable")[:_SHOWN]
        told = ", ".join(f"{self.networks[g]} {effect_G[g]:+.4g}" for g in strongest.tolist())
        return f"{self.sets[place]}  {self.interaction[place]:+.4g}  {told}"


def report_networks(
    run: Path, source: Path | Sequence[Sequence[str]], *, data_root: Path = Path("data")
) -> NetworkReport:
    """Effects and weights for a user's gene sets.

    Args:
        run: a run or bundle.
        source: a file of gene sets, or lists of names.
        data_root: where prepared data are kept.

    Raises:
        BundleError: there is no bundle, or it is of another task.
        DataError: the input is missing, malformed, or has no usable row.
    """
    bundle = load_genes_bundle(run, data_root)
    model, network = bundle.model, bundle.model.network
    raw = bundle.task.read_input(source, bundle.state)
    scores, effects, weights = [], [], []
    with torch.inference_mode():
        for start in range(0, len(raw.source), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(raw.source)))
            batch = raw.source.batch(rows)
            out = model(batch)
            scores.append(model.in_units(out.gene_interaction[:, 0]).numpy())
            effects.append(model.effects(batch).numpy())
            weights.append(_weights(out.layer_aggregation_weights, len(rows)))
    return NetworkReport(
        sets=raw.names,
        interaction=np.concatenate(scores),
        networks=model.names,
        effect=np.concatenate(effects),
        options=tuple(network.option_names),
        weight=np.concatenate(weights),
        rejected=raw.rejected,
    )


def _weights(weight_LBK: torch.Tensor | None, sets: int) -> NDArray[np.float64]:
    """`[B, L, K]`; no layer where the aggregator does not weigh."""
    if weight_LBK is None:
        return np.zeros((sets, 0, 0))
    found: NDArray[np.float64] = weight_LBK.transpose(0, 1).double().numpy()
    return found


def _largest(names: Sequence[str], weight_K: NDArray[np.float64]) -> list[str]:
    order = np.argsort(-weight_K, kind="stable")[:_OPTIONS]
    lines = [f"  {names[k]}  {weight_K[k]:.3f}" for k in order.tolist()]
    left = len(names) - len(lines)
    return [*lines, f"  … and {left} more"] if left > 0 else lines
