"""Networks from files: npz, STRING, lists of edges."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from graphwright.errors import DataError
from graphwright.tasks.genes.data_config import NetworksConfig
from graphwright.tasks.genes.network_readers import from_npz, from_string_files, open_networks

SHARED = Path(__file__).parents[4] / "shared" / "data" / "genes" / "networks"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
DIRECTED = {
    "string9.1_neighborhood": 91220,
    "string9.1_fusion": 2722,
    "string9.1_cooccurence": 5328,
    "string9.1_database": 66972,
    "bionic_Costanzo-2016": 63898,
    "bionic_Hu-2007": 29652,
    "bionic_Krogan-2006": 14148,
    "kisr_biogrid_physical": 116478,
    "string11act_binding": 208966,
    "string11act_reaction": 116990,
    "string11act_catalysis": 100740,
    "string11act_activation": 18482,
}


@needs_data
def test_twelve_real_networks() -> None:
    graph = from_npz(SHARED / "graphs_on_string_genes.npz", SHARED / "yeast_string_genes.txt")
    assert len(graph.genes) == 6400
    assert {network.name: network.num_edges for network in graph.networks} == DIRECTED
    # the same four channels, from STRING's own files
    config = NetworksConfig(
        format="string", path=str(SHARED), genes=str(SHARED / "yeast_string_genes.txt")
    )
    own = open_networks(config)
    assert len(own.networks) == 4
    for channel in ("neighborhood", "fusion", "cooccurence", "database"):
        one, other = own[f"yeast_string_{channel}_adjacency"], graph[f"string9.1_{channel}"]
        assert np.array_equal(one.indptr, other.indptr)
        assert np.array_equal(one.indices, other.indices)


@needs_data
def test_threshold_and_one_way_storage() -> None:
    config = NetworksConfig(
        format="string",
        path=str(SHARED),
        genes=str(SHARED / "yeast_string_genes.txt"),
        names=("yeast_string_database_adjacency",),
        min_score=0.4,
        storage="compat",
    )
    (network,) = open_networks(config).networks
    counts = network.counts
    assert counts["given"] == 66972
    kept = counts["given"] - counts["below_min_score"]
    # every edge is in the file in both directions, so half of them are left, and 6,400 loops
    assert network.num_edges == kept // 2 + 6400 == counts["stored"]


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_proteins_of_string_and_several_channels(tmp_path: Path) -> None:
    text = "protein1 protein2 fusion combined\n4932.YA 4932.YB 0 700\n4932.YB 4932.YC 300 200\n"
    path = write(tmp_path / "links.txt.gz", text)
    graph = from_string_files({"s": path})
    assert graph.genes == ("YA", "YB", "YC")
    assert {n.name: n.num_edges for n in graph.networks} == {"s_fusion": 2, "s_combined": 4}
    strong = from_string_files({"s": path}, ["YB", "YA"], min_score=250)
    assert strong["s_combined"].edge_index().tolist() == [[1, 0], [0, 1]]
    assert strong["s_combined"].counts["below_min_score"] == 1
    assert strong["s_fusion"].counts["outside_the_gene_list"] == 1


def test_edges_by_name(tmp_path: Path) -> None:
    write(tmp_path / "physical.tsv", "A\tB\nB\tC\nC\tC\n")
    write(tmp_path / "genetic.csv", "A,C,0.5\nC,A,0.5\n")
    graph = open_networks(NetworksConfig(format="edges", path=str(tmp_path)))
    assert {n.name: n.num_edges for n in graph.networks} == {"genetic": 2, "physical": 4}
    chosen = NetworksConfig(format="edges", path=str(tmp_path), names=("physical",))
    assert [n.name for n in open_networks(chosen).networks] == ["physical"]
    wrong = NetworksConfig(format="edges", path=str(tmp_path), names=("physicl",))
    with pytest.raises(DataError, match="did you mean physical"):
        open_networks(wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\t2\tx\n", "cannot be read"),
        ("1\t2\t0.1\n1\t9\t0.1\n", "gene 9"),
        ("0\t2\t0.1\n", "numbered from 1"),
        ("1\t2\t0.1\n1\t2\n", "cannot be read"),
        ("1\t2\t\n", "no number"),
        ("1\n", "two genes"),
        ("", "two genes"),
        ("1\t\t0.3\n", "less than two"),
    ],
)
def test_malformed_string_files_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path / "net.txt", text)
    with pytest.raises(DataError, match=told) as error:
        from_string_files({"net": path}, ["A", "B"])
    assert "net.txt" in str(error.value)


def test_numbers_need_a_list_of_genes(tmp_path: Path) -> None:
    path = write(tmp_path / "net.txt", "1\t2\t0.5\n")
    with pytest.raises(DataError, match="without their list"):
        from_string_files({"net": path})


def test_npz_that_does_not_fit(tmp_path: Path) -> None:
    path, genes = tmp_path / "nets.npz", ["A", "B"]
    np.savez(path, x__indptr=np.array([0, 1, 2]), x__indices=np.array([1, 0]))
    assert from_npz(path, genes)["x"].num_edges == 2
    with pytest.raises(DataError, match="pointer"):
        from_npz(path, ["A", "B", "C"])
    with pytest.raises(DataError, match="did you mean x"):
        from_npz(path, genes, names=["xx"])
    np.savez(path, x__indptr=np.array([0, 1, 2]))
    with pytest.raises(DataError):
        from_npz(path, genes)
    np.savez(path, x__indptr=np.array([0, 1, 2]), x__indices=np.array([1, 2]))
    with pytest.raises(DataError, match=r"outside 0\.\.1"):
        from_npz(path, genes)
    path.write_bytes(b"no npz at all")
    with pytest.raises(DataError, match="cannot be read"):
        from_npz(path, genes)
    with pytest.raises(DataError, match="cannot be read"):
        from_npz(tmp_path / "none.npz", genes)
    with pytest.raises(DataError, match=r"data\.networks\.genes"):
        from_npz(path, tmp_path / "none.txt")
    with pytest.raises(DataError, match=r"data\.networks\.path"):
        open_networks(NetworksConfig(format="edges", path=str(tmp_path / "none")))
