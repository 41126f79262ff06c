"""A service says of every task's input what `graphwright predict` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from contract_case import Case

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from graphwright.launch.serve import ServeOptions, create_app
from graphwright.launch.use import predict


@pytest.fixture(scope="session")
def client(case: Case) -> Iterator[TestClient]:
    """A service of this run, which needs nothing but the bundle."""
    app = create_app(case.run.bundle, ServeOptions(), data_root=Path("no_data_here"))
    with TestClient(app) as found:
        yield found


def test_a_file_is_answered_as_by_predict(case: Case, client: TestClient, tmp_path: Path) -> None:
    sample = case.contract.sample(tmp_path)
    expected = predict(case.run.path, sample, data_root=case.data_root)
    content = sample.read_bytes()
    response = client.post("/predict", params={"file": sample.name}, content=content)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert [row["id"] for row in answer["rows"]] == expected.names
    assert answer["rejected_count"] == len(expected.rejected)
    for name, values in expected.columns.items():
        found = [row[name] for row in answer["rows"]]
        np.testing.assert_array_equal(found, values, err_msg=name)
    assert answer["model"]["task"] == case.config.task


def test_the_example_is_answered(client: TestClient) -> None:
    about = client.get("/about").json()
    response = client.post("/predict", json=about["input"]["example"])
    assert response.status_code == 200, response.text
    rows = response.json()["rows"]
    assert list(rows[0]) == about["columns"]
    assert all(isinstance(value, int | float) for value in list(rows[0].values())[1:])
    assert about["batching"]["shared"]


def test_requests_that_share_a_call_get_what_they_get_alone(
    case: Case, client: TestClient, tmp_path: Path
) -> None:
    model = client.app.state.service.model  # type: ignore[attr-defined]
    task, state = model.bundle.task, model.bundle.state
    sources = [
        task.read_input(raw, state).source
        for raw in (model.form.from_json(model.form.example), case.contract.sample(tmp_path))
    ]
    batches = [source.batch(np.arange(len(source))) for source in sources]
    together = model.predict(type(batches[0]).joined([*batches, batches[0]]))
    first, second = map(model.predict, batches)
    for name, rows in together.items():
        alone = np.concatenate([first[name], second[name], first[name]])
        scale = max(1.0, float(np.abs(alone).max()))
        np.testing.assert_allclose(rows, alone, rtol=0, atol=2e-5 * scale, err_msg=name)


def test_damaged_input_is_refused_and_harms_nobody(
    case: Case, client: TestClient, tmp_path: Path
) -> None:
    sample = case.contract.sample(tmp_path)
    whole = sample.read_bytes()
    case.contract.damage(sample)
    content = sample.read_bytes()
    response = client.post("/predict", params={"file": sample.name}, content=content)
    assert response.status_code == 422, response.text
    assert "/graphwright-serve" not in response.text
    again = client.post("/predict", params={"file": sample.name}, content=whole)
    assert again.status_code == 200
