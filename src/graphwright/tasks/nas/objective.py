"""The loss of a batch: what the configuration asks for, summed over members and metrics."""

from __future__ import annotations

from torch import Tensor

from graphwright.data.batch import GraphBatch
from graphwright.nn.across_ranks import gather_rows
from graphwright.tasks.nas import losses
from graphwright.tasks.nas.config import LossConfig, NasConfig
from graphwright.tasks.nas.models.predicted import Predicted

__all__ = ["objective"]


def objective(predicted: Predicted, batch: GraphBatch, config: NasConfig) -> Tensor:
    """Scalar: the members do not share weights, so the sum trains each by its own loss.

    With a relation of weight λ: (1 − λ) · loss + λ · MSE(D_f, D_r), or, as the FR-NAS paper has it,
    loss + λ · IRG (arXiv 2404.15622, eq. 6).

    Rankings and relations are between all architectures of a batch: where several processes share
    it, each computes the loss of the whole.
    """
    target_BT, valid_BT = (gather_rows(batch.graphs[name]) for name in ("target", "valid"))
    values_MBT, targets = gather_rows(predicted.values_MBT, dim=1), target_BT.shape[1]
    parts = []
    for i in range(targets):
        labels = (values_MBT[:, :, i], target_BT[:, i], valid_BT[:, i])
        parts.append(_loss(config.loss, *labels))
        if config.loss.anchor:
            parts.append(config.loss.anchor * losses.mse(*labels))
    total_M = sum(parts[1:], parts[0])
    if config.loss.relation:
        total_M = _with_relation(total_M, predicted, config.loss)
    if config.data.labels.feasibility:
        total_M = total_M + losses.feasibility(values_MBT[:, :, -1], valid_BT[:, 0])
    return total_M.sum()


def _loss(config: LossConfig, predicted_MB: Tensor, label_B: Tensor, valid_B: Tensor) -> Tensor:
    if config.name == "mse":
        return losses.mse(predicted_MB, label_B, valid_B)
    if config.name == "list_mle":
        return losses.list_mle(predicted_MB, label_B, valid_B)
    ranking = losses.warp if config.name == "warp" else losses.pairwise_hinge
    return ranking(predicted_MB, label_B, valid_B, config.margin)


def _with_relation(total_M: Tensor, predicted: Predicted, config: LossConfig) -> Tensor:
    weight = config.relation
    assert predicted.forward_MBD is not None
    assert predicted.reverse_MBD is not None
    pair = (gather_rows(predicted.forward_MBD, dim=1), gather_rows(predicted.reverse_MBD, dim=1))
    if config.relation_kind == "instance_graph":
        return total_M + weight * losses.instance_relation(*pair)
    return (1 - weight) * total_M + weight * losses.distance_relation(*pair)
