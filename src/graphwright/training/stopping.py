"""The best monitored value so far, and when to give up waiting for a better one."""

from __future__ import annotations

from typing import Any

__all__ = ["BestSoFar"]


class BestSoFar:
    """Early stopping and best-checkpoint selection.

    Args:
        higher_is_better: direction of the monitored value.
        patience: validations without improvement before `exhausted`; 0 never.
    """

    def __init__(self, higher_is_better: bool, patience: int) -> None:
        self._sign = -1.0 if higher_is_better else 1.0
        self._patience = patience
        self.value: float | None = None
        self.epoch = -1
        self._waited = 0

    def update(self, value: float, epoch: int) -> bool:
        """Note a validation; true if it is the best so far."""
        if self.value is None or self._sign * value < self._sign * self.value:
            self.value, self.epoch, self._waited = value, epoch, 0
            return True
        self._waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Patience is at its end."""
        return self._patience > 0 and self._waited >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"value": self.value, "epoch": self.epoch, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.value, self.epoch = state["value"], state["epoch"]
        self._waited = state["waited"]
