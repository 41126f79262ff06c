"""The table in the package, and the tool that made it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from scipy import stats

from graphwright.tasks.nas.spaces import get_space
from graphwright.tasks.nas.spaces.tiny_cells import flops, params
from graphwright.tasks.nas.tiny import table_path

TOOL = Path(__file__).parents[3] / "tools" / "make_tiny_nas_table.py"
COLUMNS = ["arch", "acc_seed0", "acc_seed1", "val_acc", "params", "macs", "train_seconds"]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    options = csv.ConvertOptions(column_types={"arch": pa.string()})
    return csv.read_csv(table_path(), convert_options=options)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tiny_nas_table", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def column(table: pa.Table, name: str) -> np.ndarray:
    return table.column(name).to_numpy()


def test_columns_and_rows_are_those_of_the_readme(table: pa.Table) -> None:
    assert table.column_names == COLUMNS
    stated = re.search(r"([\d,]+) cells", table_path().with_name("README.md").read_text())
    assert stated is not None
    assert table.num_rows == int(stated[1].replace(",", "")) >= 1500
    assert table_path().stat().st_size < 120_000


def test_cells_are_distinct_and_the_ones_that_the_seed_draws(
    table: pa.Table, tool: ModuleType
) -> None:
    archs = table.column("arch").to_pylist()
    assert all(re.fullmatch("[0-4]{6}", arch) for arch in archs)
    assert len(set(archs)) == len(archs)
    assert archs == tool.sample(len(archs))


def test_accuracies_are_shares_spread_wide_and_not_saturated(table: pa.Table) -> None:
    both = np.stack([column(table, "acc_seed0"), column(table, "acc_seed1")])
    mean = column(table, "val_acc")
    np.testing.assert_allclose(mean, both.mean(0), atol=1e-5)
    assert 0.05 < both.min() < 0.2  # cells without a path learn nothing and stay in the table
    assert 0.7 < mean.max() < 0.97
    low, high = np.quantile(mean, [0.1, 0.9])
    assert high - low > 0.25
    assert np.all(column(table, "train_seconds") > 0)


def test_two_trainings_of_a_cell_agree(table: pa.Table) -> None:
    tau = stats.kendalltau(column(table, "acc_seed0"), column(table, "acc_seed1")).statistic
    assert 0.78 < tau < 0.95  # the noise ceiling of one training


@pytest.mark.parametrize("row", [0, 700, -1])
def test_params_and_macs_are_those_of_the_network(
    row: int, table: pa.Table, tool: ModuleType
) -> None:
    values = table.slice(row % table.num_rows, 1).to_pylist()[0]
    network = tool.build(values["arch"])
    assert values["params"] == sum(part.numel() for part in network.parameters())
    assert values["macs"] == tool.macs(values["arch"])


def test_cell_without_a_path_gives_zeros(tool: ModuleType) -> None:
    import torch

    x_BCHW = torch.randn(2, tool.CHANNELS, 4, 4)
    assert not tool.Cell("330000", 1)(x_BCHW).any()
    assert torch.equal(tool.Cell("000100", 1)(x_BCHW), x_BCHW)
    assert torch.equal(tool.Cell("101001", 1)(x_BCHW), x_BCHW)  # 0 to 1 to 2 to 3


def test_packing_gives_equal_bytes_and_leaves_out_a_line_cut_off(
    tmp_path: Path, tool: ModuleType
) -> None:
    work, cells = tmp_path / "work.csv", tool.sample(3)
    lines = [f"{arch},0.50000,0.60000,0.10\n" for arch in cells]
    work.write_text(lines[1] + lines[0] + lines[2][:-4])
    written = []
    for name in ("a", "b"):
        assert tool.pack(cells, 2, work, tmp_path / name) == 2
        written.append((tmp_path / name / "table.csv.gz").read_bytes())
    assert written[0] == written[1]
    options = csv.ConvertOptions(column_types={"arch": pa.string()})
    table = csv.read_csv(tmp_path / "a" / "table.csv.gz", convert_options=options)
    assert table.column("arch").to_pylist() == cells[:2]
    assert table.column("val_acc").to_pylist() == [0.55, 0.55]


def test_costs_are_computed_as_the_table_has_them(table: pa.Table) -> None:
    cells, bad = get_space("tiny_cells").encode(column(table, "arch").tolist())
    assert not bad
    np.testing.assert_array_equal(params(cells), column(table, "params"))
    np.testing.assert_array_equal(flops(cells), column(table, "macs"))
