"""The readers and baselines on the files that users would download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphwright.data.rejects import Rejects
from graphwright.tasks.geometry.baselines import predict_hull_centroid, predict_zero
from graphwright.tasks.geometry.data_config import GraphConfig
from graphwright.tasks.geometry.graphs import build_store
from graphwright.tasks.geometry.metrics import vector_metrics
from graphwright.tasks.geometry.readers import read_structures
from graphwright.tasks.geometry.structures import StructureTable, center_of_mass, point_means

DATA = Path(__file__).parents[4] / "shared" / "data" / "geometry"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no data at {DATA}"),
]


def read(
    name: str, target: str, where: dict[str, float] | None = None, alone: int = 0
) -> StructureTable:
    """A table, of which only `alone` structures (single atoms) are rejected."""
    rejects = Rejects(None)
    table = read_structures(DATA / name, target=target, where=where, rejects=rejects)
    assert rejects.count == alone
    return table


def test_mesh_scans_and_their_baselines(tmp_path: Path) -> None:
    table = read("mesh_scans.npz", "com")
    assert (len(table), table.counts.min(), table.counts.max()) == (998, 35, 256)
    assert table.target is not None
    true = table.target - point_means(table.pos, table.offsets)
    zero = vector_metrics(predict_zero(table.offsets), true)["displacement_mean"]
    hull = predict_hull_centroid(table.pos, table.offsets)
    assert zero == pytest.approx(0.2116, abs=1e-3)
    # the scans of all splits; .0843 was measured before this program was written
    found = vector_metrics(hull.vectors, true)["displacement_mean"]
    assert found == pytest.approx(0.0843, abs=1e-4)
    assert not hull.degenerate.any()
    store = build_store(table, tmp_path / "store", graph=GraphConfig(k=10))
    assert np.allclose(store.column("target").numpy(), true)


def test_qm7_dipoles() -> None:
    table = read("qm7.npz", "dipole_gfn2_au")
    assert (len(table), table.num_points) == (7101, 109_600)
    assert not table.target_is_position
    zero = vector_metrics(predict_zero(table.offsets), table.target, angles=True)  # type: ignore[arg-type]
    assert 0.4 < zero["mae"] < 0.6
    assert zero["angle_count"] < 7101


@pytest.mark.parametrize(
    ("name", "alone"),
    [("qm7.npz", 0), ("qm7x_100_dipole_polar.npz", 0), ("ase_g2.npz", 14), ("ase_s22.npz", 0)],
)
def test_our_masses_give_their_centres_of_mass(name: str, alone: int) -> None:
    table = read(name, "com", alone=alone)
    assert np.allclose(center_of_mass(table), table.target, atol=2e-3)


def test_neutral_conformers_in_groups() -> None:
    table = read("torsion_mp2_dipoles.npz", "dipole_mp2_au", {"charge": 0})
    assert len(table) == 744
    assert table.group is not None
    assert len(np.unique(table.group)) == 31


def test_frames_of_one_molecule() -> None:
    table = read("rmd17/rmd17_ethanol_train_01.npz", "center_of_mass")
    assert (len(table), table.num_points) == (1000, 9000)
    assert table.target_is_position
