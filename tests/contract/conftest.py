"""Every check of the battery is given every variant of every contract."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from contract_battery import CONTRACTS
from contract_case import Case
from rank_pair import RankPair, rank_pair

from graphwright.training.feed import Feed

_VARIANTS = [(contract, variant) for contract in CONTRACTS for variant in contract.variants]


@pytest.fixture(
    scope="session", params=_VARIANTS, ids=[f"{c.preset}-{variant}" for c, variant in _VARIANTS]
)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One variant; pytest runs all checks of one before it goes on to the next."""
    contract, variant = request.param
    return Case(contract, variant, tmp_path_factory.mktemp("contract"))


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Arrange for a real SIGTERM to this process after so many training steps."""
    advance = Feed.advance

    def arrange(steps: int) -> None:
        left = steps

        def counting(feed: Feed) -> None:
            nonlocal left
            advance(feed)
            left -= 1
            if left == 0:
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(Feed, "advance", counting)

    return arrange


@pytest.fixture(scope="session")
def pair() -> Iterator[RankPair]:
    """Two processes that train together."""
    with rank_pair() as found:
        yield found
