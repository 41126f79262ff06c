"""Scalers: what they fit, how they invert, how they travel."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from graphwright.data.scaling import Standardizer, VectorScale
from graphwright.errors import BundleError, DataError

ROWS = np.random.default_rng(0).normal([1, 100, 7], [2, 0.1, 0], (500, 3))


def test_standardised_columns_have_mean_0_and_deviation_1() -> None:
    scaler = Standardizer.fit(ROWS)
    scaled = scaler.transform(ROWS)
    assert scaled.mean(0) == pytest.approx([0, 0, 0], abs=1e-9)
    assert scaled.std(0)[:2] == pytest.approx([1, 1])
    assert scaler.scale[2] == 1
    assert scaler.inverse(scaled) == pytest.approx(ROWS)


def test_tensors_keep_their_dtype() -> None:
    scaler = Standardizer.fit(torch.from_numpy(ROWS))
    rows = torch.from_numpy(ROWS).float()
    scaled = scaler.transform(rows)
    assert scaled.dtype == torch.float32
    assert scaler.inverse(scaled).numpy() == pytest.approx(ROWS, rel=1e-5)


def test_one_column_as_a_vector() -> None:
    scaler = Standardizer.fit(ROWS[:, 0])
    assert scaler.transform(ROWS[:, 0]).shape == (500,)


def test_a_constant_of_rounding_noise_is_constant() -> None:
    assert Standardizer.fit(np.full(1000, 0.1) * 3e7).scale == (1.0,)


def test_vectors_are_scaled_by_one_number() -> None:
    vectors = torch.from_numpy(ROWS)
    scale = VectorScale.fit(vectors)
    assert scale.transform(vectors).square().mean().item() == pytest.approx(1)
    turned = vectors @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    assert VectorScale.fit(turned).rms == pytest.approx(scale.rms)
    assert torch.allclose(scale.inverse(scale.transform(turned)), turned)
    assert VectorScale.fit(np.zeros((4, 3))).rms == 1


def test_they_travel_as_json() -> None:
    for scaler in (Standardizer.fit(ROWS), VectorScale.fit(ROWS)):
        text = json.dumps(scaler.to_json())
        assert type(scaler).from_json(json.loads(text)) == scaler


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((2, 2, 2)), [[1.0], [np.nan]]])
def test_rows_that_cannot_be_fitted(rows: object) -> None:
    for kind in (Standardizer, VectorScale):
        with pytest.raises(DataError, match="fitted"):
            kind.fit(rows)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"mean": [1], "scale": [0]},
        {"mean": [1], "scale": [1, 2]},
        {"mean": [], "scale": []},
        {"mean": ["a"], "scale": [1]},
        {"mean": ["nan"], "scale": [1]},
    ],
)
def test_broken_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BundleError):
        Standardizer.from_json(data)
    with pytest.raises(BundleError):
        VectorScale.from_json({"rms": data.get("rms", -1)})
    with pytest.raises(BundleError):
        VectorScale.from_json(data)
