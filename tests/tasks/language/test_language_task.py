"""The task as the floor sees it: data, steps, evaluation, raw input, proof, resume."""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graphwright.config.presets import resolve_preset
from graphwright.errors import ConfigError, DataError
from graphwright.launch.local import resume, train
from graphwright.runs.events import read_events
from graphwright.runs.folder import RunFolder
from graphwright.tasks.language.models.model import token_losses
from graphwright.tasks.language.proof import proof_of_causality
from graphwright.tasks.language.task import LanguageTask
from graphwright.tasks.language.token_windows import windows_of_epoch
from graphwright.training.feed import Feed
from graphwright.training.infer import over_source
from graphwright.training.task import TaskData

SMALL = (
    "data.source.max_bytes=20000",
    "data.length=16",
    "loading.batch_size=64",
    "training.epochs=2",
    "tracking.mlflow=off",
)


def tiny(*overrides: str) -> Any:
    return resolve_preset("language/tiny", [*SMALL, "training.threads=1", *overrides])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def made(root: Path, *overrides: str) -> tuple[LanguageTask, TaskData, nn.Module]:
    task = LanguageTask(tiny(*overrides), root)
    data = task.split(task.load())
    torch.manual_seed(0)
    model = task.build_model(data.state)
    for parameter in model.parameters():  # a fresh model says the same of all tokens
        nn.init.normal_(parameter, std=0.3)
    return task, data, model.eval()


def rows(data: TaskData, split: str, index: Sequence[int]) -> Any:
    return data.sources[split].batch(np.array(index))


def test_the_loss_is_the_mean_of_what_counts(root: Path) -> None:
    task, data, model = made(root)
    last = len(data.sources["val"]) - 1
    batch = rows(data, "val", [0, last])  # the last window is not full
    nats, _ = token_losses(model, batch.tokens)
    output = task.step(model, batch, "val")
    assert output.weight == int(batch.mask.sum()) < batch.mask.numel()
    torch.testing.assert_close(output.loss, nats[batch.mask].mean())
    torch.testing.assert_close(output.samples["nats"].sum(), nats[batch.mask].double().sum())


def test_load_balance_is_for_training_alone(root: Path) -> None:
    task, data, model = made(root, "model=gnn", "model.top_k=2", "model.balance_weight=0.5")
    batch = rows(data, "train", [0, 1, 2])
    trained, judged = (task.step(model, batch, stage) for stage in ("train", "val"))
    assert trained.metrics["balance"] > 0
    expected = judged.loss + 0.5 * trained.metrics["balance"]
    torch.testing.assert_close(trained.loss, expected)


def test_evaluation_is_what_a_hand_computes(root: Path) -> None:
    task, data, model = made(root)
    found = task.evaluate(over_source(task, model, batch_size=8), data, "test")
    source = data.sources["test"]
    with torch.no_grad():
        batch = source.batch(np.arange(len(source)))
        nats = float(token_losses(model, batch.tokens)[0][batch.mask].double().sum())
    text = bytes(np.asarray(source.ids).tolist())  # a token is a byte
    metrics = found.report["metrics"]
    assert metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text))
    assert metrics["perplexity"] == pytest.approx(math.exp(nats / len(text)))
    assert metrics["validation_bits_per_byte"] != metrics["bits_per_byte"]
    shown = {row[0]: row[1] for row in found.report["tables"][0]["rows"]}
    assert list(shown) == ["hgnn", "unigrams", "bigrams", "lzma", "zlib"]
    assert shown["lzma"] == 8 * len(lzma.compress(text, preset=9)) / len(text)
    assert shown["zlib"] == 8 * len(zlib.compress(text, 9)) / len(text)
    train = np.bincount(np.asarray(data.sources["train"].ids), minlength=257) + 1
    chances = (train / train.sum())[np.frombuffer(text, np.uint8)]
    assert shown["unigrams"] == pytest.approx(-np.log2(chances).mean())
    assert found.predictions["bytes"].sum() == len(text)


def test_a_stride_gives_every_token_more_context_and_counts_it_once(root: Path) -> None:
    plain, strided = (
        task.evaluate(over_source(task, model, batch_size=64), data, "test").predictions
        for task, data, model in (made(root), made(root, "data.eval_stride=4"))
    )
    assert plain["tokens"].sum() == strided["tokens"].sum()
    assert plain["bytes"].sum() == strided["bytes"].sum()
    assert len(strided["id"]) > 3 * len(plain["id"])
    assert plain["nats"].sum() != strided["nats"].sum()
    with pytest.raises(ConfigError, match="eval_stride"):
        tiny("data.eval_stride=17")


def test_lines_that_are_cut_off_are_a_scheme_of_their_own(root: Path, tmp_path: Path) -> None:
    text = tmp_path / "long.txt"
    text.write_text("short\n\n" + "x" * 500 + "\n")
    config = tiny("data.scheme=per_line_128")
    task = LanguageTask(config, root)
    data = task.split(task.load())
    assert data.state["length"] == 128
    torch.manual_seed(0)
    model = task.build_model(data.state).eval()
    labelled = task.read_labelled(text, data.state)
    columns = over_source(task, model, batch_size=8)(labelled.sources["test"])
    assert columns["tokens"].tolist() == [6, 128]
    report = task.evaluate(over_source(task, model, batch_size=8), data, "val").report
    assert report["metrics"]["bits_per_byte"] > 0


def test_epochs_can_be_shorter_than_the_text(root: Path) -> None:
    task, data, _ = made(root, "data.epoch_windows=300")
    total = len(data.sources["train"])
    select = task.epoch_samples(data)
    epochs = [select(epoch) for epoch in range(2 * total // 300 + 1)]
    assert all(len(epoch) == 300 for epoch in epochs)
    sequence = np.concatenate(epochs)
    assert sorted(sequence[:total]) == sorted(sequence[total : 2 * total]) == list(range(total))
    assert not np.array_equal(sequence[:total], sequence[total : 2 * total])
    np.testing.assert_array_equal(select(1), epochs[1])
    np.testing.assert_array_equal(windows_of_epoch(3, 7, seed=1)(0)[:3].sum(), 3)
    assert LanguageTask(tiny(), root).epoch_samples(data) is None


def test_a_users_text_is_scored_line_by_line(root: Path, tmp_path: Path) -> None:
    task, data, model = made(root)
    path = tmp_path / "mine.txt"
    path.write_bytes(b"one\n\nand a last line that is longer than a window is\n")
    read = task.read_input(path, data.state)
    assert read.names == ["line 1", "line 2", "line 3"]
    columns = over_source(task, model, batch_size=2)(read.source)
    assert columns["bytes"].tolist() == [4, 1, 48]
    bits = columns["nats"] / math.log(2) / columns["bytes"]
    np.testing.assert_allclose(columns["bits_per_byte"], bits)


def test_texts_that_cannot_be_read_are_told(root: Path, tmp_path: Path) -> None:
    task, data, _ = made(root, "data.tokenizer=bpe", "data.tokenizer.vocab_size=300")
    for content, message in ((None, "cannot be read"), (b"", "empty"), (b"a\n\xff\n", "UTF-8")):
        path = tmp_path / "mine.txt"
        if content is not None:
            path.write_bytes(content)
        for read in (task.read_input, task.read_labelled):
            with pytest.raises(DataError, match=message) as caught:
                read(path, data.state)
            assert str(path) in str(caught.value)
    assert "line 2, byte 1" in str(caught.value)


def test_the_proof_holds_and_fails_where_it_must(root: Path) -> None:
    task, data, model = made(root)
    proof = task.proof(model, data)
    assert proof["checks"]["causality"]["holds"]
    assert [m["title"][-1] for m in proof["matrices"]] == ["0", "1"]  # convolutions
    assert np.array(proof["matrices"][0]["values"]).sum(1) == pytest.approx(np.ones(4))

    class Leaky(nn.Module):
        """Tells every position of the mean of all."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = model.embedding

        def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
            hidden, balance = model(tokens)
            return hidden + 0.1 * hidden.mean(1, keepdim=True), balance

    class Deaf(Leaky):
        """Hears nothing at all, which is no proof either."""

        def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
            return torch.zeros(*tokens.shape, 16), torch.zeros(())

    assert not proof_of_causality(Leaky(), data)["holds"]
    assert not proof_of_causality(Deaf(), data)["holds"]


def test_dense_models_have_no_matrices(root: Path) -> None:
    task, data, model = made(root, "model=dense")
    assert set(task.proof(model, data)) == {"checks"}


def test_a_crash_in_the_middle_of_an_epoch_costs_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ("data.epoch_windows=500", "training.checkpoint_every=3", "training.log_every=1")
    config = tiny(*more, "model.dropout=0.1")  # dropout draws from the random state
    whole = train(config, runs_root=tmp_path / "runs", data_root=root)
    advance, steps = Feed.advance, iter(range(100))

    def crashing(feed: Feed) -> None:
        advance(feed)
        if next(steps) == 12:  # of 8 in the first epoch: step 13, saved at 12
            raise RuntimeError("the power is gone")

    monkeypatch.setattr(Feed, "advance", crashing)
    with pytest.raises(RuntimeError, match="power"):
        train(config, runs_root=tmp_path / "runs", data_root=root)
    monkeypatch.undo()
    broken = next(run for run in whole.path.parent.iterdir() if run != whole.path)
    folder = RunFolder.open(broken)
    assert resume(folder, data_root=root) == "finished"
    for name in ("bundle/weights.safetensors", "predictions.parquet", "metrics.json"):
        assert (folder.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    ours, theirs = read_events(folder.events_path), read_events(whole.events_path)
    for name in ("train_loss_step", "val_loss", "val_hyperedge_weight/layer0_conv0/0-1"):
        assert ours.series(name) == theirs.series(name)


def test_settings_without_sense_are_told() -> None:
    for override, message in (
        ("model.num_heads=3", "does not divide"),
        ("model.top_k=9", "of 4 experts"),
        ("model.top_k=1", "nobody to talk to"),
        ("model.num_heads=16", "rotary needs an even"),
    ):
        with pytest.raises(ConfigError, match=message):
            tiny(override)
    with pytest.raises(ConfigError, match="no experts to route"):
        tiny("model=dense", "model.top_k=2")


def test_levels_name_corpus_tokenizer_and_coupler() -> None:
    assert tiny().levels() == ("language", "docstrings", "bytes", "hgnn_all_pairs_learned")
    text = ("data.source=text", "data.source.path=/a/wiki text.txt", "model=dense")
    dense = resolve_preset("language/tiny", text)
    assert dense.levels() == ("language", "wiki_text", "bytes", "dense_parameters")
    custom = tiny("model.hyperedges=[[0,1],[1,2,3]]", "model.learnable_weights=false")
    assert custom.levels()[-1] == "hgnn_custom_fixed"
