"""Traffic of vehicles that do not exist, from a seed: data to try everything on.

Most ids are periodic with some jitter, and the shorter the period the lower the id, as on real
buses. Payloads hold signals that drift (speed, temperature, …), constants, a counter and an XOR
checksum. A few ids are events. Frames that are due together go on the bus in order of their id.

Legend: N = frames, K = frames of one id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphwright.errors import ConfigError
from graphwright.tasks.canbus.frames import BYTES, Capture, Frames
from graphwright.tasks.canbus.traffic_attacks import inject, sorted_on_bus

__all__ = ["TrafficConfig", "generate_dataset", "generate_traffic"]

_BEGIN = 1672531200.0  # every capture begins at the same second, as those of can-train-and-test
_PERIODS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # s
_IDS_OF_PERIOD = ((7, 10), (7, 10), (6, 9), (5, 9), (3, 6), (2, 5), (2, 4))
_SLOT = 0.0005  # s; frames due in the same slot compete for the bus
_SIGNALS = 12
_STEP = 0.1  # s between the points of a signal
_KNOWN = ("DoS", "fuzzing", "spoofing")
_UNKNOWN = ("replay",)


@dataclass(frozen=True, kw_only=True)
class TrafficConfig:
    """How large a generated data set is.

    Attributes:
        seconds: length of a capture; there are about 1,500 frames a second.
        repeats: captures of each kind with other seeds.
    """

    seconds: float = 10.0
    repeats: int = 1

    def __post_init__(self) -> None:
        if not 1.0 <= self.seconds < 1e6 or self.repeats < 1:
            raise ConfigError(
                f"a capture needs 1 to 1e6 seconds and 1 repeat (not {self.seconds}, "
                f"{self.repeats})"
            )


@dataclass(frozen=True)
class _Ident:
    """What a vehicle sends under one id; `period` is the mean gap of an event."""

    id: int
    period: float
    is_event: bool
    length: int
    signals: tuple[int, int]
    constant: tuple[int, int]
    is_checked: bool


def generate_traffic(seconds: float, seed: int, *, vehicle: int = 0) -> Frames:
    """Normal traffic of one drive.

    Args:
        seconds: length of the drive.
        seed: of everything that differs between drives of a vehicle.
        vehicle: which vehicle; each has its own ids, periods and payload layouts.
    """
    if not seconds > 0:
        raise ConfigError(f"seconds must be above 0, not {seconds}")
    rng = np.random.default_rng((seed, vehicle))
    grid = np.arange(0.0, seconds + 2 * _STEP, _STEP)
    signals = _drifting(rng, len(grid))
    parts = [_sent(ident, seconds, grid, signals, rng) for ident in _idents(vehicle)]
    joined = Frames.joined(parts)
    order = np.lexsort((joined.id, np.floor(joined.time / _SLOT)))
    ordered = Frames(**{field.name: getattr(joined, field.name)[order] for field in fields(Frames)})
    frames = sorted_on_bus(ordered)
    frames.time[:] = np.round(_BEGIN + frames.time, 6)
    return frames


def generate_dataset(
    seed: int, config: TrafficConfig | None = None, *, root: str | Path = "generated"
) -> list[tuple[Capture, Frames]]:
    """A small labelled set in the folders of can-train-and-test, in memory.

    Vehicles 0 and 1 and three attacks are known to the training folders; vehicle 2, and replay,
    suppress and masquerade, are only in test folders.

    Args:
        seed: of everything.
        config: sizes.
        root: what the paths of the captures begin with; nothing is written.
    """
    config = config or TrafficConfig()
    found = []
    counts: dict[tuple[str, str], int] = {}
    for number, (folder, vehicle, attack) in enumerate(_plan(config.repeats)):
        count = counts[folder, attack] = counts.get((folder, attack), 0) + 1
        frames = generate_traffic(config.seconds, _mixed(seed, number), vehicle=vehicle)
        if attack != "attack-free":
            for begin in (0.3, 0.65):
                start, stop = begin * config.seconds, (begin + 0.15) * config.seconds
                frames = inject(frames, attack, _mixed(seed, number), start, stop)
        name = f"{attack}-{count}"
        capture = Capture(
            path=Path(root) / folder / f"{name}.csv",
            folder=folder,
            name=name,
            attack=attack,
            sha256=_digest(frames),
        )
        found.append((capture, frames))
    return found


def _plan(repeats: int) -> list[tuple[str, int, str]]:
    """Folder, vehicle and attack of every capture."""
    plan = [("train_01_attack_free", vehicle, "attack-free") for vehicle in (0, 1)]
    plan += [("train_02_with_attacks", v, attack) for v in (0, 1) for attack in _KNOWN]
    plan += [("test_01_known_vehicle_known_attack", 0, attack) for attack in _KNOWN]
    plan += [("test_02_unknown_vehicle_known_attack", 2, attack) for attack in _KNOWN]
    plan += [("test_03_known_vehicle_unknown_attack", 1, attack) for attack in _UNKNOWN]
    plan += [("test_04_unknown_vehicle_unknown_attack", 2, attack) for attack in _UNKNOWN]
    plan += [("test_05_suppress", 0, "suppress"), ("test_06_masquerade", 0, "masquerade")]
    return [one for one in plan for _ in range(repeats)]


def _idents(vehicle: int) -> list[_Ident]:
    rng = np.random.default_rng((7, vehicle))
    counts = [int(rng.integers(low, high)) for low, high in _IDS_OF_PERIOD]
    events = int(rng.integers(3, 6))
    periods = np.repeat(_PERIODS, counts)
    ids = np.sort(rng.choice(np.arange(0x050, 0x7F0), len(periods) + events, replace=False))
    event_places = set(rng.choice(len(ids), events, replace=False).tolist())
    rest = iter(periods.tolist())
    return [
        _Ident(
            id=int(number),
            period=float(rng.uniform(0.5, 3.0)) if place in event_places else next(rest),
            is_event=place in event_places,
            length=int(rng.choice([8, 8, 8, 8, 6, 4, 2])),
            signals=(int(rng.integers(_SIGNALS)), int(rng.integers(_SIGNALS))),
            constant=(int(rng.integers(256)), int(rng.integers(256))),
            is_checked=bool(rng.random() < 0.7),
        )
        for place, number in enumerate(ids)
    ]


def _drifting(rng: np.random.Generator, points: int) -> NDArray[np.float64]:
    """`[signals, points]` values from 0 to 1 that walk about, some fast, some slowly."""
    size = rng.uniform(0.002, 0.05, (_SIGNALS, 1))
    walk = rng.random((_SIGNALS, 1)) * 2 + np.cumsum(
        rng.normal(size=(_SIGNALS, points)) * size, axis=1
    )
    # reflected at 0 and 1
    found: NDArray[np.float64] = 1.0 - np.abs(np.mod(walk, 2.0) - 1.0)
    return found


def _sent(
    ident: _Ident,
    seconds: float,
    grid: NDArray[np.float64],
    signals: NDArray[np.float64],
    rng: np.random.Generator,
) -> Frames:
    time = _due(ident, seconds, rng)
    payload = np.zeros((len(time), BYTES), np.uint8)
    first, second = (np.interp(time, grid, signals[k]) for k in ident.signals)
    wide = (first * 0xFFFF).astype(np.uint16)
    payload[:, 0], payload[:, 1] = wide >> 8, wide & 0xFF
    payload[:, 2] = (second * 0xFF).astype(np.uint8)
    payload[:, 3:5] = ident.constant
    payload[:, 5] = rng.random(len(time)) < 0.01
    payload[:, ident.length :] = 0
    if ident.is_checked and ident.length == BYTES:
        payload[:, 6] = (np.arange(len(time)) + int(rng.integers(16))) % 16
        payload[:, 7] = np.bitwise_xor.reduce(payload[:, :7], axis=1) ^ (ident.id & 0xFF)
    return Frames(
        time=time,
        id=np.full(len(time), ident.id, np.uint32),
        extended=np.zeros(len(time), bool),
        length=np.full(len(time), ident.length, np.uint8),
        payload=payload,
        attack=np.zeros(len(time), np.uint8),
    )


def _due(ident: _Ident, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    if not ident.is_event:
        ideal = np.arange(rng.random() * ident.period, seconds, ident.period)
        return np.abs(ideal + rng.normal(0.0, 0.01 * ident.period, len(ideal)))
    begins = rng.uniform(0.0, seconds, rng.poisson(seconds / ident.period))
    # an event is repeated a few times
    return (begins[:, None] + 0.02 * np.arange(3)).reshape(-1)


def _mixed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _digest(frames: Frames) -> str:
    digest = hashlib.sha256()
    for field in fields(Frames):
        digest.update(np.ascontiguousarray(getattr(frames, field.name)).tobytes())
    return digest.hexdigest()
