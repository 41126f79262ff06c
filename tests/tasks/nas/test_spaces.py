"""What every search space promises, and the format of a column."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import ConfigError, DataError
from graphwright.tasks.nas.arch import Cells
from graphwright.tasks.nas.spaces import (
    SPACES,
    canonical_of,
    detect,
    get_search_space,
    get_space,
)
from graphwright.tasks.nas.spaces import nasbench_macro as macro

DATA = Path(__file__).parents[4] / "shared" / "data" / "nas"

COLUMNS = {
    "nasbench201": ("nasbench201.csv.gz", lambda row: row["arch_str"]),
    "nasbench101": (
        "nasbench101_20k.csv.gz",
        lambda row: row["adj_upper_bits"] + ":" + row["ops"],
    ),
    "darts": ("nasbench301_surrogate_sample.csv.gz", lambda row: row["compact_darts"]),
    "nats_sss": (
        "nats_sss_32768.csv.gz",
        lambda row: ":".join(row[f"c{stage}"] for stage in range(1, 6)),
    ),
    "nasbench_macro": ("nasbench_macro_cifar10.csv.gz", lambda row: row["arch"]),
    "transnas_micro": ("transnasbench101_micro_sample.csv.gz", lambda row: row["arch"]),
    "transnas_macro": ("transnasbench101_macro_sample.csv.gz", lambda row: row["arch"]),
}


def read(name: str) -> list[dict[str, str]]:
    if not DATA.is_dir():
        pytest.skip("../shared/data is not there")
    with gzip.open(DATA / name, "rt") as file:
        return list(csv.DictReader(file))


def assert_same(first: Cells, second: Cells) -> None:
    for name in ("ops", "node_counts", "edge_counts", "edge_index", "level"):
        a, b = getattr(first, name), getattr(second, name)
        assert (a is None) == (b is None)
        assert a is None or (a.dtype == b.dtype and np.array_equal(a, b)), name


def assert_dags(cells: Cells, ops: tuple[str, ...]) -> None:
    """Topological order, edges sorted by (target, source), input first, output last."""
    source, target = cells.edge_index.astype(np.int64)
    assert cells.ops.dtype == cells.edge_index.dtype == np.uint8
    assert (source < target).all()
    owner = np.repeat(np.arange(len(cells)), cells.edge_counts)
    order = np.lexsort((source, target, owner))
    assert np.array_equal(order, np.arange(len(order)))
    assert (target < cells.node_counts[owner]).all()
    names = np.array(ops)[cells.ops]
    assert (names[cells.node_ptr[:-1]] == "input").all()
    assert (names[cells.node_ptr[1:] - 1] == "output").all()
    inner = np.ones(len(names), bool)
    inner[cells.node_ptr[:-1]] = inner[cells.node_ptr[1:] - 1] = False
    assert not np.isin(names[inner], ["input", "output"]).any()


@pytest.mark.parametrize("name", SPACES)
def test_sampled_architectures_are_dags_and_come_back_from_their_texts(name: str) -> None:
    space = get_search_space(name)
    texts = space.sample(60, np.random.default_rng(1))
    assert len(set(texts)) == 60
    assert texts == space.sample(60, np.random.default_rng(1))

    cells, bad = space.encode(texts)

    assert not bad
    assert len(cells) == 60
    assert_dags(cells, space.ops)
    assert space.decode(cells) == texts
    assert_same(space.encode(space.decode(cells))[0], cells)


@pytest.mark.parametrize("name", SPACES)
def test_a_mutation_is_another_valid_architecture(name: str) -> None:
    space = get_search_space(name)
    rng = np.random.default_rng(2)
    for text in space.sample(15, rng):
        after = [space.mutate(text, rng) for _ in range(4)]
        assert text not in after
        assert not space.encode(after)[1]
    with pytest.raises(DataError, match="nonsense"):
        space.mutate("nonsense", rng)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("nasbench201", 15_625),
        ("tiny_cells", 15_625),
        ("nats_sss", 32_768),
        ("nasbench_macro", 6_561),
        ("transnas_micro", 4_096),
        ("transnas_macro", 3_256),  # the number the paper gives
    ],
)
def test_everything_is_every_architecture_once(name: str, count: int) -> None:
    space = get_search_space(name)
    cells = space.everything()
    assert cells is not None
    assert len(cells) == len(set(space.decode(cells))) == count
    assert_dags(cells, space.ops)
    some = space.sample(count + 3, np.random.default_rng(0))
    assert len(set(some)) == count


@pytest.mark.parametrize("name", ["nasbench101", "darts"])
def test_large_spaces_have_no_everything(name: str) -> None:
    assert get_search_space(name).everything() is None


@pytest.mark.parametrize("name", SPACES)
def test_bad_rows_are_told_with_one_reason_and_do_not_stop_the_good(name: str) -> None:
    space = get_space(name)
    good = get_search_space(name).sample(2, np.random.default_rng(0))
    weird = ["", "ü" * 6, "\0", "{", "(((((", "9" * 400, good[0] + "!", "1.5", "[[", "nan"]

    cells, bad = space.encode([weird[0], good[0], *weird[1:], good[1]])

    assert space.decode(cells) == good
    assert [row for row, _ in bad] == [0, *range(2, 2 + len(weird) - 1)]
    assert len({reason for _, reason in bad}) <= 2
    assert all(len(reason) > 5 for _, reason in bad)
    nothing, bad = space.encode(["?"])
    assert len(nothing) == 0
    assert len(bad) == 1
    assert space.decode(nothing) == []


@pytest.mark.real_data
@pytest.mark.parametrize("name", COLUMNS)
def test_published_tables_are_read_whole(name: str) -> None:
    file, text_of = COLUMNS[name]
    texts = [text_of(row) for row in read(file)]
    space = get_space(name)

    cells, bad = space.encode(texts)

    assert not bad
    assert_dags(cells, space.ops)
    assert_same(space.encode(space.decode(cells))[0], cells)
    if name != "darts":  # whose short form leaves out what the genotype says
        assert space.decode(cells) == texts
    assert detect(texts) == name


def test_detect_overlooks_a_few_bad_values_and_names_the_formats_otherwise() -> None:
    assert detect(["421211", "?", "334131"]) == "nasbench201"
    assert detect(["(1, 0, 0, 2, 1, 0)"]) == "transnas_micro"
    assert detect(["(1, 2, 4, 2, 0, 0)"]) == "transnas_macro"
    assert detect(['{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}']) == "nasbench101"
    for texts in (["model.onnx"] * 3, ["421211", "?", "!"], []):
        with pytest.raises(DataError, match="no format") as told:
            detect(texts)
        assert "nasbench201, nasbench101, darts" in str(told.value)
    with pytest.raises(DataError, match="transnas_micro and as transnas_macro"):
        detect(["(1, 2, 3, 2, 0, 0)"])


def test_spaces_are_found_by_name() -> None:
    assert [get_space(name).name for name in SPACES] == list(SPACES)
    with pytest.raises(ConfigError, match="did you mean nasbench201"):
        get_space("nasbench-201")
    cells, _ = get_space("tiny_cells").encode(["333333", "333333"])
    key = canonical_of("tiny_cells")
    assert key is not None
    assert key(cells)[0] == key(cells)[1]
    assert canonical_of("nats_sss") is None


def test_decode_refuses_graphs_of_another_shape() -> None:
    cells, _ = get_space("nats_sss").encode(["8:8:8:8:8"])
    for name in ("nasbench201", "darts", "transnas_macro"):
        other = get_space("nasbench_macro").encode(["00000000"])[0]
        with pytest.raises(DataError):
            get_space(name).decode(other)
    assert get_space("nats_sss").decode(cells) == ["8:8:8:8:8"]


def test_transnas_reads_the_benchmarks_own_strings() -> None:
    micro, macro_space = get_space("transnas_micro"), get_space("transnas_macro")
    assert micro.decode(micro.encode(["64-41414-1_02_333"])[0]) == ["(1, 0, 2, 3, 3, 3)"]
    assert macro_space.decode(macro_space.encode(["64-1242-basic"])[0]) == ["(1, 2, 4, 2, 0, 0)"]
    reasons = dict(macro_space.encode(["(1, 1, 1, 1)", "(0, 1, 2, 4, 1, 0)", "(1, 2, 4)"])[1])
    assert "halve" in reasons[0]
    assert reasons[1] == reasons[2]


def test_macro_layers_belong_to_stages() -> None:
    space = get_space("nasbench_macro")
    cells, _ = space.encode(["01201201"])
    assert cells.level is not None
    assert cells.level.tolist() == [0] * 9 + [1, 1, 1, 0]
    names = [space.ops[code] for code in cells.ops]
    assert names[1:4] == ["identity", "ir_3x3_t3", "ir_5x5_t6"]
    assert names[9:] == ["cell:stage_1", "cell:stage_2", "cell:stage_3", "output"]
    edges = set(zip(*cells.edge_index.tolist(), strict=True))
    members = {(1 + layer, 9 + stage) for layer, stage in enumerate((0, 0, 1, 1, 1, 2, 2, 2))}
    assert edges == {(i, i + 1) for i in range(8)} | members | {(9, 10), (10, 11), (11, 12)}


@pytest.mark.real_data
def test_macro_parameters_are_those_of_the_benchmark() -> None:
    rows = read("nasbench_macro_cifar10.csv.gz")
    cells, _ = macro.SPACE.encode([row["arch"] for row in rows])
    assert np.array_equal(macro.params(cells), [int(row["params"]) for row in rows])
