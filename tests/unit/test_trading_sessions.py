"""Sessions from a market's rows: the engine's features, one tape an instrument, played through to the end."""

import numpy as np
import pytest

from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import Rules, TradingEnvironment
from detectors.trading import state
from detectors.trading.tape import BOOK, QUOTE, TRADE
from evaluation.sessions import sessions_of
from producers.synthetic.config import SyntheticConfig
from producers.synthetic.market import SyntheticMarket
from tapewatch.clock import NANOS

NAMES = ("ret_1s", "ret_10s", "imbalance_60s", "spread_bps")
START_NS = 1_700_000_000 * NANOS


@pytest.fixture(scope="module")
def sessions() -> list[Session]:
    config = SyntheticConfig(instruments=4, sectors=2, rows_per_second=60.0, seconds=150, opening_auction_s=10)
    return sessions_of(SyntheticMarket(config, 3, START_NS), 10_000.0, NAMES, 30)


def test_every_instrument_has_its_features_and_its_tape(sessions: list[Session]) -> None:
    assert len(sessions) == 4
    for session in sessions:
        assert session.features.shape == (len(session.ts), len(NAMES))
        assert set(np.unique(session.tape.kind)) <= {TRADE, QUOTE, BOOK}
        assert np.all(np.diff(session.ts) > 0)
        assert session.unit > 0


def test_a_recorded_market_is_played_to_the_end_without_losing_a_step(sessions: list[Session]) -> None:
    env = TradingEnvironment(sessions, 4, Rules(starts="opening", window=3))
    rng = np.random.default_rng(0)
    _, masks = env.reset(0)
    while len(env.finished) < 4:
        step = env.step(np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1))
        masks = step.masks
        for p, value in zip(env.books, env.unit_value, strict=True):
            start = env.rules.capital_units * value
            assert p[state.CASH] == start - p[state.COST] + p[state.REALISED] - p[state.FEES] - p[state.TAXES]
    assert sum(episode.turnover for episode in env.finished) > 0
    assert all(episode.result < 0 for episode in env.finished if episode.turnover)
