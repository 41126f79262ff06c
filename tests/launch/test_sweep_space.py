"""What a search varies is read from words, and refused where it makes no sense."""

from __future__ import annotations

import pytest

from graphwright.errors import ConfigError
from graphwright.launch.search.objective import find_objective
from graphwright.launch.search.plan import SearchPlan, goes_on, plan_search
from graphwright.launch.search.space import Choice, Numbers, read_space

LR = "training.optimizer.lr"


def test_every_form() -> None:
    space = read_space(
        "geometry/tiny",
        (
            "training.epochs=2",
            f"{LR}=log(1e-4, 1e-1)",
            "model.hidden_dim=interval(8,64)",
            "training.gradient_clip=interval(0,2)",
            "model.num_layers=range(1,6,2)",
            "model=painn,egnn",
            "loss=choice(mae,mse)",
            "loading.batch_size=choice(8)",
        ),
    )
    assert space.fixed == ("training.epochs=2", "loading.batch_size=8")
    assert space.dimensions == (
        Numbers(LR, 1e-4, 1e-1, whole=False, log=True),
        Numbers("model.hidden_dim", 8, 64, whole=True),
        Numbers("training.gradient_clip", 0, 2, whole=False),
        Numbers("model.num_layers", 1, 5, whole=True, step=2),
        Choice("model", ("painn", "egnn")),
        Choice("loss", ("mae", "mse")),
    )
    values = {LR: 0.1 + 0.2, "model.hidden_dim": 16, "training.gradient_clip": 1,
              "model.num_layers": 3, "model": "egnn", "loss": "mse"}  # fmt: skip
    config = space.config(space.overrides(values))
    assert config.training.optimizer.lr == 0.1 + 0.2  # every digit arrives
    assert config.training.gradient_clip == 1.0
    assert (config.model.name, config.model.num_layers, config.loss) == ("egnn", 3, "mse")


def test_what_is_written_reads_back() -> None:
    words = (f"{LR}=tag(log,interval(1e-4,1e-1))", "model.num_layers=range(1,4)", "loss=mae,mse")
    space = read_space("geometry/tiny", words)
    again = tuple(dim.text() for dim in space.dimensions)
    assert again[0] == f"{LR}=log(0.0001,0.1)"
    # a range ends before its stop, an end is included: 1, 2, 3
    assert read_space("geometry/tiny", again).dimensions == space.dimensions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("training.epochs=5",), "nothing to search"),
        (("training.optimizer.lrr=log(1e-4,1e-1)",), r"did you mean training\.optimizer\.lr"),
        ((f"{LR}=log(0,1)",), "a logarithm needs numbers above 0"),
        ((f"{LR}=interval(1,1)",), "nothing between"),
        (("model.hidden_dim=interval(8.1,8.9)",), "valid integer"),
        ((f"{LR}=interval(1)",), "two numbers"),
        ((f"{LR}=interval(a,b)",), "two numbers"),
        ((f"{LR}=interval(-1,1)",), "greater than 0"),
        (("model=painn,egn",), "did you mean egnn"),
        ((f"{LR}=log(1e-4,1e-1)", f"{LR}=0.1,0.2"), "varied twice"),
        (("training.epochs=range(1,2)", f"{LR}=1e-3,1e-2"), "fewer than two"),
    ],
)
def test_a_space_that_makes_no_sense(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_space("geometry/tiny", words)


def test_the_test_split_is_no_objective() -> None:
    with pytest.raises(ConfigError, match="never at the test split"):
        find_objective("geometry", "test_mae", "")


def test_a_plan_that_makes_no_sense() -> None:
    plan = SearchPlan(name="x", preset="geometry/tiny", overrides=("loss=mae,mse",), sampler="tpee")
    with pytest.raises(ConfigError, match="did you mean tpe"):
        plan_search(plan)


def test_a_search_may_only_grow() -> None:
    old = {"preset": "a", "search": {"trials": 5, "seed": 0}}
    assert goes_on(old, {"preset": "a", "search": {"trials": 9, "seed": 0}})
    assert not goes_on(old, {"preset": "a", "search": {"trials": 4, "seed": 0}})
    assert not goes_on(old, {"preset": "a", "search": {"trials": 9, "seed": 1}})
    assert not goes_on({"preset": "a", "runs": []}, old)
