"""A bundle is the trained model: anywhere, on its own, and deaf to damaged input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from contract_case import Case

from graphwright.cli import main
from graphwright.errors import DataError
from graphwright.launch.use import load_run, predict
from graphwright.training.infer import over_source


@pytest.fixture
def elsewhere(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle alone, in another folder, which is also the working directory."""
    shutil.copytree(case.run.bundle, tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    return Path("shipped")


def test_predicts_as_the_trained_model(case: Case, elsewhere: Path) -> None:
    bundle = load_run(elsewhere, data_root=Path("no_data_here"))
    source = case.prepared.data.sources["test"]
    expected = over_source(case.task(), case.trained, batch_size=8)(source)
    found = over_source(bundle.task, bundle.model, batch_size=8)(source)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_raw_input_is_read_without_a_flag(case: Case, elsewhere: Path, tmp_path: Path) -> None:
    sample = case.contract.sample(tmp_path)
    from_run = predict(case.run.path, sample, data_root=case.data_root)
    shipped = predict(elsewhere, sample, data_root=Path("no_data_here"))
    assert shipped.names == from_run.names
    assert len(shipped.names) > 0
    for name, values in from_run.columns.items():
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(shipped.columns[name], values, err_msg=name)
    assert not Path("no_data_here").exists()


def test_damaged_input_is_refused(
    case: Case, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = case.contract.sample(tmp_path)
    case.contract.damage(sample)
    with pytest.raises(DataError):
        predict(elsewhere, sample)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(elsewhere), str(sample), "-o", "out.csv"])
    assert caught.value.code == 2
    assert str(sample) in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
