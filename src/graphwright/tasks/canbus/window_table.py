"""What evaluation knows of windows: where they are from, when they were, and their labels.

G = windows. No torch at module level.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphwright.errors import DataError

if TYPE_CHECKING:
    from graphwright.tasks.canbus.loaded import Loaded

__all__ = ["Place", "Windows", "windows_of"]

Array = NDArray[Any]


class Place(NamedTuple):
    """A capture, as the tables name it."""

    folder: str
    name: str
    attack: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Windows of one split: captures one after the other, windows in order of position.

    Attributes:
        places: the captures.
        stride: frames from the start of a window to the start of the next one.
        capture: `[G]` place in `places`.
        position: `[G]` first frame of the window in its capture.
        start_time, end_time: `[G]` seconds, of its first and last frame.
        label: `[G]` 1: any injected frame.
        attack_frames: `[G]` injected frames.
        stats: `[G, 17]` (`window_stats`).
    """

    places: tuple[Place, ...]
    stride: int
    capture: Array
    position: Array
    start_time: Array
    end_time: Array
    label: Array
    attack_frames: Array
    stats: Array

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in _columns()}
        if len(lengths) != 1:
            raise DataError(f"columns of windows have different lengths: {sorted(lengths)}")
        before = (self.capture[:-1], self.position[:-1])
        behind = (self.capture[1:], self.position[1:])
        ordered = (behind[0] > before[0]) | ((behind[0] == before[0]) & (behind[1] > before[1]))
        if not ordered.all():
            raise DataError(
                "windows must come by capture and position: events are found in their order",
                fix="evaluate on ascending rows of the store",
            )

    def __len__(self) -> int:
        return len(self.capture)

    @property
    def attack(self) -> NDArray[np.bool_]:
        """`[G]` which windows hold an attack."""
        return np.asarray(self.label != 0)

    def named(self, what: str) -> NDArray[np.str_]:
        """`[G]` the "folder", "name" or "attack" of each window's capture."""
        names = np.array([getattr(place, what) for place in self.places], dtype=np.str_)
        return np.asarray(names[self.capture])

    def take(self, rows: ArrayLike) -> Windows:
        """The windows at `rows` (a mask, or ascending places)."""
        chosen = np.asarray(rows)
        columns = {name: getattr(self, name)[chosen] for name in _columns()}
        return Windows(places=self.places, stride=self.stride, **columns)

    def follows(self) -> NDArray[np.bool_]:
        """`[G]` whether a window comes right behind the row before it, in the same capture."""
        same = self.capture[1:] == self.capture[:-1]
        near = np.diff(self.position) <= self.stride
        return np.concatenate([np.zeros(min(1, len(self)), np.bool_), same & near])

    def seconds(self) -> NDArray[np.float64]:
        """`[G]` time that each window adds to those before it.

        To the start of the window behind it, at most its own length: windows that overlap share
        their time, a gap between two windows belongs to nobody. 0 where the clock goes backwards.
        """
        length = self.end_time - self.start_time
        step = np.full(len(self), np.inf)
        advance = np.diff(self.start_time)
        step[:-1] = np.where(self.capture[1:] == self.capture[:-1], advance, np.inf)
        return np.asarray(np.maximum(np.minimum(step, length), 0.0))


def windows_of(loaded: Loaded, rows: ArrayLike) -> Windows:
    """Windows of a store.

    Args:
        loaded: the store and its captures.
        rows: of the store, in the order in which they are scored.

    Raises:
        DataError: rows that do not ascend.
    """
    chosen = np.asarray(rows)
    columns = {name: loaded.store.column(name).numpy()[chosen] for name in _columns()}
    return Windows(
        places=tuple(Place(info.folder, info.name, info.attack) for info in loaded.captures),
        stride=int(loaded.store.attributes["window"]["stride"]),
        **columns,
    )


def _columns() -> list[str]:
    return [field.name for field in fields(Windows) if field.name not in ("places", "stride")]
