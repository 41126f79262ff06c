"""Generated traffic: like a bus, seeded, attackable, writable."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.errors import ConfigError, DataError
from graphwright.tasks.canbus.capture_writer import write_capture
from graphwright.tasks.canbus.frames import Frames
from graphwright.tasks.canbus.readers import backward_steps, read_frames
from graphwright.tasks.canbus.traffic import TrafficConfig, generate_dataset, generate_traffic
from graphwright.tasks.canbus.traffic_attacks import ATTACKS, FRAME_SECONDS, inject


def equal(left: Frames, right: Frames) -> bool:
    return all(
        np.array_equal(getattr(left, field.name), getattr(right, field.name))
        and getattr(left, field.name).dtype == getattr(right, field.name).dtype
        for field in fields(Frames)
    )


@pytest.fixture(scope="module")
def calm() -> Frames:
    return generate_traffic(10.0, 5)


@pytest.mark.parametrize("vehicle", range(4))
def test_it_looks_like_a_bus(vehicle: int) -> None:
    frames = generate_traffic(10.0, 3, vehicle=vehicle)
    assert 1_000 <= len(frames) / 10 <= 2_000
    assert 30 <= len(np.unique(frames.id)) <= 60
    assert backward_steps(frames) == 0
    assert np.diff(frames.time).min() > FRAME_SECONDS - 2e-6
    assert not frames.attack.any()
    assert not frames.payload[np.arange(8) >= frames.length[:, None]].any()


def test_ids_are_periodic_with_counters_and_checksums(calm: Frames) -> None:
    ids, counts = np.unique(calm.id, return_counts=True)
    often = ids[counts > 900]
    assert len(often) >= 5
    for ident in often:
        rows = calm.id == ident
        gaps = np.diff(calm.time[rows])
        assert np.isclose(np.median(gaps), 0.01, rtol=0.05)
        payload = calm.payload[rows]
        if calm.length[rows][0] == 8 and payload[:, 6].any():
            assert set(np.diff(payload[:, 6].astype(int)) % 16) == {1}
            xor = np.bitwise_xor.reduce(payload[:, :7], axis=1) ^ np.uint8(ident & 0xFF)
            np.testing.assert_array_equal(xor, payload[:, 7])


def test_seeds_and_vehicles_decide(calm: Frames) -> None:
    assert equal(calm, generate_traffic(10.0, 5))
    assert not equal(calm, generate_traffic(10.0, 6))
    assert set(calm.id) == set(generate_traffic(60.0, 6).id) & set(calm.id)
    other = generate_traffic(10.0, 5, vehicle=2)
    assert len(set(other.id) & set(calm.id)) < len(set(calm.id)) / 2


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_stays_in_its_interval(calm: Frames, attack: str) -> None:
    before = calm.payload.copy()
    attacked = inject(calm, attack.upper(), 1, 4.0, 6.0)
    assert equal(attacked, inject(calm, attack, 1, 4.0, 6.0))
    np.testing.assert_array_equal(calm.payload, before)
    when = attacked.time[attacked.attack == 1] - attacked.time[0]
    assert len(when)
    assert when.min() >= 4.0 - 1e-6
    assert when.max() <= 6.0 + 0.05
    assert backward_steps(attacked) == 0
    quiet = attacked.time - attacked.time[0] < 3.99
    assert equal(attacked.rows(0, int(quiet.sum())), calm.rows(0, int(quiet.sum())))


def test_what_each_attack_does(calm: Frames) -> None:
    did = {attack: inject(calm, attack, 1, 4.0, 6.0) for attack in ATTACKS}
    marked = {attack: frames.attack == 1 for attack, frames in did.items()}
    for attack in ("DoS", "fuzzing", "replay", "spoofing"):
        assert len(did[attack]) == len(calm) + marked[attack].sum()
    assert set(did["DoS"].id[marked["DoS"]]) == {0}
    assert len(set(did["fuzzing"].id[marked["fuzzing"]])) > 500
    assert len(set(did["spoofing"].id[marked["spoofing"]])) == 1
    assert len(set(did["replay"].id[marked["replay"]])) > 20


def victim(calm: Frames, did: Frames) -> int:
    """The id of which frames are missing, or were replaced."""
    counts = {int(i): int((calm.id == i).sum() - (did.id == i).sum()) for i in np.unique(calm.id)}
    return max(counts, key=lambda ident: counts[ident])


def windows_with(did: Frames, ident: int) -> tuple[np.ndarray, np.ndarray]:
    """Of windows of 100 frames: frames of an id, and whether the window is of the attack."""
    count = len(did) // 100 * 100
    attacked = did.attack[:count].reshape(-1, 100).any(1)
    return (did.id[:count].reshape(-1, 100) == ident).sum(1), attacked


@pytest.mark.parametrize("seed", range(3))
def test_an_id_that_is_suppressed_is_missing(calm: Frames, seed: int) -> None:
    did = inject(calm, "suppress", seed, 4.0, 6.0)
    ident = victim(calm, did)
    missing = (calm.id == ident).sum() - (did.id == ident).sum()
    assert len(calm) - len(did) == missing > 150
    counts, attacked = windows_with(did, ident)
    assert 0.15 < attacked.mean() < 0.25
    # but for the two windows at the ends of the attack
    assert (counts[attacked] > 0).sum() <= 2
    assert (counts[~attacked] >= 3).all()


@pytest.mark.parametrize("seed", range(3))
def test_a_masquerade_keeps_times_and_has_payloads_of_its_own(calm: Frames, seed: int) -> None:
    did = inject(calm, "masquerade", seed, 4.0, 6.0)
    assert len(did) == len(calm)
    own = did.attack == 1
    (ident,) = np.unique(did.id[own])
    inside = (calm.id == ident) & (np.abs(calm.time - calm.time[0] - 5.0) < 1.0)
    assert own.sum() == inside.sum()
    before, now = calm.time[inside], did.time[own]
    assert np.abs(before - now).max() < 0.005
    assert not np.array_equal(before, now)
    # nobody else is sent by it, and its signals move as no signal does
    same = (did.id == ident) & ~own
    drift = np.abs(np.diff(did.payload[same, 0].astype(int)))
    jumps = np.abs(np.diff(did.payload[own, 0].astype(int)))
    assert np.median(jumps) > 40 > 10 * np.median(drift)
    assert len(np.unique(did.payload[own, 6])) == 1


def test_the_data_set_has_every_folder_and_both_classes() -> None:
    found = generate_dataset(1, TrafficConfig(seconds=3.0))
    folders = {capture.folder for capture, _ in found}
    assert len(folders) == 8
    assert len({capture.path for capture, _ in found}) == len(found)
    assert len({capture.sha256 for capture, _ in found}) == len(found)
    for capture, frames in found:
        assert frames.attack.any() == (capture.attack != "attack-free")
    known = {c.attack for c, _ in found if c.folder == "train_02_with_attacks"}
    for folder in ("test_03_known_vehicle_unknown_attack", "test_06_masquerade"):
        assert not known & {c.attack for c, _ in found if c.folder == folder}
    again = generate_dataset(1, TrafficConfig(seconds=3.0))
    assert [capture for capture, _ in again] == [capture for capture, _ in found]
    assert len(generate_dataset(1, TrafficConfig(seconds=1.5, repeats=2))) == 2 * len(found)


@pytest.mark.parametrize("name", ["capture.csv", "capture.csv.gz"])
def test_written_captures_are_read_back(calm: Frames, tmp_path: Path, name: str) -> None:
    frames = inject(calm, "fuzzing", 1, 4.0, 6.0)
    extended = frames.extended.copy()
    extended[::7] = True
    frames = Frames(
        time=frames.time,
        id=frames.id,
        extended=extended,
        length=frames.length,
        payload=frames.payload,
        attack=frames.attack,
    )
    rejects = Rejects(None)
    assert equal(read_frames(write_capture(frames, tmp_path / name), rejects=rejects), frames)
    assert rejects.count == 0
    first = (tmp_path / name).read_bytes()
    assert write_capture(frames, tmp_path / name).read_bytes() == first


def test_what_makes_no_sense_is_refused(calm: Frames, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean spoofing"):
        inject(calm, "spofing", 1, 1.0, 2.0)
    with pytest.raises(ConfigError, match="no frames between"):
        inject(calm, "DoS", 1, 100.0, 200.0)
    with pytest.raises(ConfigError, match="nothing to replay"):
        inject(calm, "replay", 1, 0.0, 1.0)
    with pytest.raises(ConfigError, match="seconds"):
        generate_traffic(0.0, 1)
    with pytest.raises(ConfigError, match="repeat"):
        TrafficConfig(repeats=0)
    events = calm.rows(0, 2)
    numbers = Frames(
        time=events.time,
        id=events.id,
        extended=events.extended,
        length=events.length,
        payload=np.zeros((2, 3), np.float32),
        attack=events.attack,
    )
    with pytest.raises(DataError, match="holds bytes"):
        write_capture(numbers, tmp_path / "x.csv")
