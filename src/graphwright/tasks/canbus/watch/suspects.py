"""Which ids of a window look most like the reason for its alarm.

With a VGAE (alone or in a fusion): by how much a node's worst error is above the largest errors of
benign windows, in standard deviations of the logarithm. With a classifier alone: by the node's most
unusual feature, in standard deviations of benign nodes. That is a hint of where to look and not an
explanation of the classifier, whose gradients or occlusions would take longer than the verdict.
Ids that training has not seen come first in both.

Legend: C = windows, N = nodes, K = kinds of errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.tasks.canbus.fusion.model import FusionModel
from graphwright.tasks.canbus.models.inputs import WindowInputs
from graphwright.tasks.canbus.models.vgae import VGAEModel, node_errors

__all__ = ["known_nodes", "node_weights"]


def node_weights(network: Any, batch: GraphBatch) -> NDArray[np.float64]:
    """How conspicuous every node is, `[N]` float64."""
    vgae = _vgae(network)
    with torch.inference_mode():
        weight_N = _unusual(network.inputs, batch) if vgae is None else _errors(vgae, batch)
    return weight_N.double().cpu().numpy()


def known_nodes(network: Any, batch: GraphBatch) -> NDArray[np.bool_]:
    """Which ids `[N]` training had; all where the model does without ids."""
    vgae = _vgae(network)
    inputs = network.inputs if vgae is None else vgae.inputs
    if inputs.table is None:
        return np.ones(batch.num_nodes, np.bool_)
    known: NDArray[np.bool_] = (inputs.table(batch.nodes["id"]) > 0).cpu().numpy()
    return known


def _vgae(network: Any) -> VGAEModel | None:
    found = network.vgae if isinstance(network, FusionModel) else network
    return found if isinstance(found, VGAEModel) else None


def _errors(vgae: VGAEModel, batch: GraphBatch) -> Tensor:
    errors_NK = torch.stack(list(node_errors(vgae(batch)).values()), dim=1)
    kinds = errors_NK.shape[1]
    # the composite has, for each kind, first the windows' means and then their largest errors
    standard_NP = vgae.composite.standardise(errors_NK.repeat(1, 2))
    return standard_NP[:, kinds:].amax(1)


def _unusual(inputs: WindowInputs, batch: GraphBatch) -> Tensor:
    standard_NF: Tensor = inputs.node(batch.nodes["x"])
    return standard_NF.abs().amax(1)
