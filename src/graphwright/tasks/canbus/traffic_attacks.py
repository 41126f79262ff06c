"""Attacks put into normal traffic, from a seed.

Legend: N = frames, M = frames that are put in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import ConfigError, nearest
from graphwright.tasks.canbus.frames import BYTES, Frames

__all__ = ["ATTACKS", "FRAME_SECONDS", "inject", "sorted_on_bus"]

FRAME_SECONDS = 0.00023  # a frame of 8 bytes at 500 kbit/s
_DOS_GAP, _FUZZ_GAP = 0.0005, 0.002  # s
_OWN_JITTER = 0.0003  # s, of somebody else's clock


def inject(frames: Frames, attack: str, seed: int, start: float, stop: float) -> Frames:
    """The same traffic with an attack in it; frames of the attack are marked.

    - `DoS`: id 0 floods the bus and holds up the others.
    - `fuzzing`: random ids, lengths and payloads.
    - `spoofing`: a forged payload after every frame of one id.
    - `suppress`: the id that is sent most often is silenced. What is missing cannot be marked, so
      the frame that the bus carries in its place is.
    - `replay`: what was on the bus before `start` comes again, between the frames of now.
    - `masquerade`: one id is silenced and sent by somebody else, about as often, with signals that
      jump about and a counter that stands still.

    Args:
        frames: traffic in order of time.
        attack: one of `ATTACKS`, in any case.
        seed: of what is random in it.
        start: begin, in seconds after the first frame.
        stop: end.

    Raises:
        ConfigError: no such attack, or an interval without frames.
    """
    name = next((known for known in _HOW if known.casefold() == attack.casefold()), None)
    if name is None:
        raise ConfigError(
            f"{attack}: no such attack{nearest(attack, _HOW)}", fix=f"one of {', '.join(_HOW)}"
        )
    begin = frames.time[0] if len(frames) else 0.0
    is_within = (frames.time >= begin + start) & (frames.time < begin + stop)
    if not is_within.any():
        raise ConfigError(f"no frames between {start} and {stop} s to attack")
    return _HOW[name](frames, is_within, np.random.default_rng((seed, sorted(_HOW).index(name))))


def sorted_on_bus(frames: Frames, gap: float = FRAME_SECONDS) -> Frames:
    """Frames one after the other as they stand, none before the one ahead of it is through.

    Args:
        frames: in the order they win the bus, with the times they are due.
        gap: seconds that a frame takes.
    """
    k = np.arange(len(frames)) * gap
    return replace(frames, time=np.maximum.accumulate(frames.time - k) + k)


def _dos(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    time = _spaced(frames, is_within, _DOS_GAP, rng)
    added = _added(time, np.zeros(len(time)), np.full(len(time), BYTES), rng, is_empty=True)
    return _merged(frames, added)


def _fuzzing(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    time = _spaced(frames, is_within, _FUZZ_GAP, rng)
    ids, length = rng.integers(0, 0x800, len(time)), rng.integers(0, BYTES + 1, len(time))
    return _merged(frames, _added(time, ids, length, rng))


def _spoofing(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    rows = _of_one_id(frames, is_within, rng)
    forged = _marked(_take(frames, rows))
    _forge(forged, rng)
    return _merged(frames, replace(forged, time=forged.time + rng.uniform(4e-4, 1e-3, len(rows))))


def _suppress(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    rows = _of_one_id(frames, is_within, rng, most=True)
    attack = frames.attack.copy()
    left = np.setdiff1d(np.arange(len(frames)), rows)
    behind = np.searchsorted(left, rows)  # the first that is left behind each that is missing
    behind = left[behind[behind < len(left)]]
    attack[behind[is_within[behind]]] = 1
    return _take(replace(frames, attack=attack), left)


def _replay(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    inside = np.flatnonzero(is_within)
    begin, last = frames.time[inside[0]], frames.time[inside[-1]]
    back = min(last - begin, begin - frames.time[0])
    before = np.flatnonzero((frames.time >= begin - back) & (frames.time < begin))
    if not len(before):
        raise ConfigError("nothing to replay: the attack starts with the first frame")
    shift = back + float(rng.uniform(0.0, 0.001))
    again = _marked(_take(frames, before))
    return _merged(frames, replace(again, time=again.time + shift))


def _masquerade(frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator) -> Frames:
    rows = _of_one_id(frames, is_within, rng)
    forged = _marked(_take(frames, rows))
    last = frames.time[is_within][-1]
    time = np.clip(forged.time + rng.normal(0.0, _OWN_JITTER, len(rows)), forged.time[0], last)
    forged.payload[:, :3] = rng.integers(0, 256, (len(rows), 3))
    forged.payload[:, 6] = forged.payload[0, 6]
    forged.payload[:, 7] = np.bitwise_xor.reduce(forged.payload[:, :7].view(np.uint8), axis=1)
    left = _take(frames, np.setdiff1d(np.arange(len(frames)), rows))
    return _merged(left, replace(forged, time=np.sort(time)))


_HOW: dict[str, Callable[[Frames, NDArray[np.bool_], np.random.Generator], Frames]] = {
    "DoS": _dos,
    "fuzzing": _fuzzing,
    "masquerade": _masquerade,
    "replay": _replay,
    "spoofing": _spoofing,
    "suppress": _suppress,
}
ATTACKS = tuple(_HOW)


def _spaced(
    frames: Frames, is_within: NDArray[np.bool_], gap: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    inside = frames.time[is_within]
    time = np.arange(inside[0], inside[-1] + gap, gap)
    spread: NDArray[np.float64] = time + rng.uniform(0.0, 0.2 * gap, len(time))
    return spread


def _of_one_id(
    frames: Frames, is_within: NDArray[np.bool_], rng: np.random.Generator, *, most: bool = False
) -> NDArray[np.int64]:
    """Rows inside of one id that has signals and is sent often, or the `most` often."""
    has_signals = is_within & (frames.length == BYTES) & (frames.attack == 0)
    ids, counts = np.unique(frames.id[has_signals], return_counts=True)
    if not len(ids):
        raise ConfigError("no id with 8 bytes in the interval of the attack")
    # a few frames more or less are chance: ids of one period are sent equally often
    often = ids[counts >= (0.95 * counts.max() if most else np.median(counts))]
    return np.flatnonzero(has_signals & (frames.id == rng.choice(often)))


def _forge(frames: Frames, rng: np.random.Generator) -> None:
    """Other signals in bytes 0 to 2, drifting; byte 7 is mended as an XOR checksum."""
    payload = frames.payload.view(np.uint8)
    old = payload[:, :3].copy()
    drift = np.cumsum(rng.integers(-1, 2, (len(frames), 3)), axis=0)
    payload[:, :3] = (rng.integers(0, 256, 3) + drift) % 256
    payload[:, 7] ^= np.bitwise_xor.reduce(old ^ payload[:, :3], axis=1)


def _added(
    time: NDArray[np.float64],
    ids: NDArray[np.int64] | NDArray[np.float64],
    length: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    is_empty: bool = False,
) -> Frames:
    payload = rng.integers(0, 1 if is_empty else 256, (len(time), BYTES)).astype(np.uint8)
    payload[np.arange(BYTES) >= length[:, None]] = 0
    return Frames(
        time=time,
        id=ids.astype(np.uint32),
        extended=np.zeros(len(time), bool),
        length=length.astype(np.uint8),
        payload=payload,
        attack=np.ones(len(time), np.uint8),
    )


def _merged(frames: Frames, added: Frames) -> Frames:
    joined = Frames.joined([frames, added])
    ordered = _take(joined, np.lexsort((joined.id, joined.time)))
    begin = ordered.time[0]
    # times were rounded to a microsecond: frames that are in turn already must not move again
    found = sorted_on_bus(replace(ordered, time=ordered.time - begin), FRAME_SECONDS - 2e-6)
    return replace(found, time=np.round(begin + found.time, 6))


def _marked(frames: Frames) -> Frames:
    return replace(frames, attack=np.ones(len(frames), np.uint8))


def _take(frames: Frames, rows: NDArray[np.int64]) -> Frames:
    return Frames(**{field.name: getattr(frames, field.name)[rows] for field in fields(Frames)})
