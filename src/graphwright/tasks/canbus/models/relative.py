"""Statistics of a window as they read in any vehicle: numbers without a unit.

Four of the 17 statistics of a window (`window_stats`) do not depend on which ids a vehicle has, how
many, or how often it sends them, once they are put in proportion:

    repetition: log(shortest time between two frames of one id / mean cycle time); an injected frame
        comes close behind a genuine one, whatever the vehicle;
    share: log(share of the most frequent id x number of ids);
    evenness: log2(number of ids) - entropy of the ids;
    loops: share of neighbouring frames with the same id.

The mean cycle time is mean gap x number of ids.

Legend: B = windows, S = 17 statistics, R = 4 relative ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphwright.tasks.canbus.models.inputs import Standardise
from graphwright.tasks.canbus.window_stats import STATISTICS

__all__ = ["RELATIVE", "WindowStatistics", "relative_statistics"]

RELATIVE = ("repetition", "share", "evenness", "loops")
_PLACE = {name: place for place, name in enumerate(STATISTICS)}
_LEAST = 1e-9  # keeps a window without any time or id away from a division by zero
_SHORTEST = 1e-3  # of a cycle: repetitions that are closer all count as this


def relative_statistics(stats_BS: Tensor) -> Tensor:
    """`[B, 4]` of raw statistics `[B, 17]`."""
    ids, gap, repeat, share, entropy, loops = (
        stats_BS[:, _PLACE[name]]
        for name in (
            "ids",
            "gap_mean",
            "repeat_min",
            "top_id_share",
            "id_entropy",
            "self_loop_share",
        )
    )
    ids = ids.clamp(min=1)
    cycle_B = (gap * ids).clamp(min=_LEAST)
    repetition_B = (repeat.clamp(min=0) / cycle_B).clamp(max=1 / _SHORTEST)
    columns = (
        (repetition_B + _SHORTEST).log(),
        (share * ids).clamp(min=_LEAST).log(),
        ids.log2() - entropy,
        loops,
    )
    return torch.stack(columns, dim=1)


class WindowStatistics(nn.Module):
    """Both kinds, standardised by benign training windows.

    Args:
        state: "stats_mean", "stats_sd", "relative_mean", "relative_sd".
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        super().__init__()
        self.raw = Standardise(state["stats_mean"], state["stats_sd"])
        self.scale = Standardise(state["relative_mean"], state["relative_sd"])

    @property
    def width(self) -> int:
        """S + R."""
        return self.raw.width + self.scale.width

    def relative(self, stats_BS: Tensor) -> Tensor:
        """`[B, R]`."""
        out: Tensor = self.scale(relative_statistics(stats_BS))
        return out

    def forward(self, stats_BS: Tensor) -> Tensor:
        """`[B, S + R]`."""
        return torch.cat([self.raw(stats_BS), self.relative(stats_BS)], dim=1)
