"""What a predictor gives: values of every ensemble member, and what some losses need besides.

M = members, B = architectures, T = targets (one more with a feasibility logit), D = features.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Predicted"]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Outputs of one batch.

    Attributes:
        values_MBT: predictions in the transformed unit of the labels; the last of T is the logit of
            "this training succeeds" where the configuration asks for it.
        forward_MBD, reverse_MBD: embeddings of the two encoders of a bidirectional model, for
            relation losses (`losses.irg`); None otherwise.
    """

    values_MBT: Tensor
    forward_MBD: Tensor | None = None
    reverse_MBD: Tensor | None = None
