"""Losses of interaction scores: pure elementwise functions, and the one that the task minimises.

Legend: B = gene sets of a batch. Predictions and labels have the same shape and unit.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from graphwright.errors import DataError
from graphwright.nn.across_ranks import gather_rows
from graphwright.tasks.genes.model_configs import LossConfig

__all__ = ["absolute", "distribution_distance", "gene_loss", "log_cosh", "squared"]

_LN2 = math.log(2.0)


def log_cosh(predicted: Tensor, label: Tensor) -> Tensor:
    """log cosh(x) of each error x, as |x| + softplus(-2 |x|) - ln 2: no overflow at any x.

    Near 0 it is x² / 2, far from it |x| - ln 2; its derivative is tanh(x).
    """
    size = (predicted - label).abs()
    return size + softplus(-2 * size) - _LN2


def squared(predicted: Tensor, label: Tensor) -> Tensor:
    """x² of each error x."""
    return (predicted - label).square()


def absolute(predicted: Tensor, label: Tensor) -> Tensor:
    """|x| of each error x."""
    return (predicted - label).abs()


def distribution_distance(predicted_B: Tensor, label_B: Tensor) -> Tensor:
    """mean_k (p_(k) - y_(k))²: the sorted predictions against the sorted labels, a scalar.

    The squared 2-Wasserstein distance between the two empirical distributions. A squared error
    alone draws all predictions to the mean; this one minds only their spread. After Nie et al.,
    "Dist Loss", ICLR 2025, https://arxiv.org/abs/2411.15216, with the labels of the batch in place
    of a density estimate.
    """
    return (predicted_B.sort().values - label_B.sort().values).square().mean()


def gene_loss(predicted_B1: Tensor, label_B: Tensor, config: LossConfig) -> Tensor:
    """Mean over the batch of what the configuration asks for: a scalar.

    Args:
        predicted_B1: `GeneOutput.gene_interaction`.
        label_B: standardised labels.
        config: which loss, and the weight of the distribution term.

    Raises:
        DataError: shapes that do not fit (broadcasting would compare every set with every label).
    """
    if predicted_B1.shape != (len(label_B), 1) or label_B.dim() != 1:
        raise DataError(
            f"predictions [B, 1] and labels [B] do not fit: {list(predicted_B1.shape)} and "
            f"{list(label_B.shape)}"
        )
    predicted_B = predicted_B1.squeeze(1)
    error = {"log_cosh": log_cosh, "mse": squared, "mae": absolute}[config.name]
    loss = error(predicted_B, label_B).mean()
    if config.distribution:
        both = gather_rows(predicted_B), gather_rows(label_B)  # the order is one of the whole batch
        loss = loss + config.distribution * distribution_distance(*both)
    return loss
