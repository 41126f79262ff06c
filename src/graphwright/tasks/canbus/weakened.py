"""Attacks of the training captures once more, with fewer injected frames.

Captures for training hold floods; one frame a window is what an attacker needs. A detector
that has only seen floods misses the single frame. Of each training capture with an attack, injected
frames are left out at random until about `level` remain in each attacked window, the windows are
cut anew, and those that still hold an attack join the training. Benign frames are never changed,
and a window whose frames reach into those of another split is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from graphwright.data.rejects import KeptRejects
from graphwright.data.source import IndexArray, SampleSource, Subset
from graphwright.tasks.canbus.capture_source import open_captures
from graphwright.tasks.canbus.data_config import CanbusData
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.loaded import Loaded
from graphwright.tasks.canbus.raw_input import pack_windows
from graphwright.tasks.canbus.windows import window_graphs

__all__ = ["thinned_frames", "weakened_sources"]

Index = NDArray[np.int64]
_SALT = 0x7714  # other random numbers than those of whatever else has the run's seed


def weakened_sources(
    loaded: Loaded, data: CanbusData, rows: IndexArray, levels: Sequence[float], seed: int
) -> list[SampleSource]:
    """Attack windows with fewer injected frames, cut from the frames of some windows.

    Args:
        loaded: the windows and the table of their captures.
        data: what they were made from; its captures with attacks are read again.
        rows: of the store; only frames that lie in these windows are used.
        levels: about how many injected frames remain in an attacked window, a set of windows each.
        seed: of what is left out.

    Raises:
        DataError: a capture cannot be read any more.
    """
    capture_G = loaded.store.column("capture").numpy()[rows]
    position_G = loaded.store.column("position").numpy()[rows]
    wanted = {c.sha256: n for n, c in enumerate(loaded.captures) if c.attack_frames}
    found: list[SampleSource] = []
    for source in open_captures(data.source).sources if levels else ():
        number = wanted.pop(source.sha256, None)
        if number is None or number not in capture_G:
            continue
        frames = Frames.joined(list(source.pieces(KeptRejects())))
        usable = _covered(position_G[capture_G == number], data.window.size, len(frames))
        for place, level in enumerate(levels):
            rng = np.random.default_rng([seed, _SALT, number, place])
            kept = thinned_frames(frames.attack, level, data.window.size, rng)
            found += _windows(loaded, data, frames, kept, usable)
    return found


def thinned_frames(
    attack: NDArray[np.uint8], level: float, size: int, rng: np.random.Generator
) -> Index:
    """Places of the frames that stay: all benign ones, of the injected ones a random share.

    Args:
        attack: `[N]` 1 for injected frames.
        level: about how many of them are to remain in each `size` frames that hold any.
        size: frames of a window.
        rng: of what is left out.
    """
    injected = attack > 0
    window = np.arange(len(attack)) // size
    there = np.bincount(window, injected)[window]
    stays = rng.random(len(attack)) * there < level
    return np.flatnonzero(~injected | stays)


def _covered(position: Index, size: int, count: int) -> NDArray[np.bool_]:
    """`[count]` which frames of a capture lie in windows that start at these positions."""
    change = np.zeros(count + 1, np.int64)
    np.add.at(change, position, 1)
    np.add.at(change, position + size, -1)
    return np.asarray(np.cumsum(change)[:-1] > 0)


def _windows(
    loaded: Loaded, data: CanbusData, frames: Frames, kept: Index, usable: NDArray[np.bool_]
) -> Iterator[SampleSource]:
    """The attack windows of a thinned capture whose frames all lie where they may."""
    attacked = np.flatnonzero(frames.attack[kept])
    if not len(attacked):
        return
    # nothing is asked of the long benign stretches before and behind the attack
    near = kept[max(0, attacked[0] - data.window.size) : attacked[-1] + data.window.size]
    thinned = Frames(**{field.name: getattr(frames, field.name)[near] for field in fields(Frames)})
    graphs = window_graphs(thinned, data.window)
    if not len(graphs):
        return
    first, last = near[graphs.start], near[graphs.end - 1]
    total = np.concatenate(([0], np.cumsum(usable)))
    inside = total[last + 1] - total[first] == last + 1 - first
    chosen = np.flatnonzero(inside & (graphs.attack_frames > 0))
    if len(chosen):
        store = pack_windows(graphs, data.window, int(loaded.store.attributes["fields"]))
        yield Subset(store, chosen)
