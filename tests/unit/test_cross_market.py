"""`evaluate cross-market`: a push and its follower found in stored trades, honest leaders and followers not."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.scenarios import cross
from evaluation import cross_market
from evaluation.changes import with_values
from tapewatch.clock import NANOS
from tapewatch.contract.messages import to_rfc3339
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.unit.stored_trades import stored
from tests.unit.trade_rows import trade_rows

START = 1_750_000_000
NAMES = ("LEAD.SIMX", "TAIL.SIMY", "ELSE.SIMX")
PUSHED_AT = 900


def rows(lag: int = 3, given_back: float = 0.008, taken: float = -0.8, seconds: int = 1100) -> Rows:
    """Three instruments, a trade a side and second; the first is bought up by 1 % in 10 s from PUSHED_AT on and falls
    by `given_back` after that, the second follows by half of it and is then traded with the net share `taken`.
    """
    rng = np.random.default_rng(5)
    made: list[tuple[int, int, float, float, int]] = []
    paths = np.cumsum(rng.normal(0.0, 2e-5, (seconds, 3)), axis=0)
    since = np.arange(seconds) - PUSHED_AT
    paths[:, 0] += 0.01 * np.clip(since / 10, 0, 1) - given_back * np.clip((since - 30) / 20, 0, 1)
    paths[:, 1] += 0.005 * np.clip((since - lag) / 10, 0, 1)
    for second in range(seconds):
        late = 10 + lag <= since[second] < 90
        rushed = 0 <= since[second] < 10
        net = {0: 0.95 if rushed else 0.0, 1: taken if late else 0.0, 2: 0.0}
        size = {0: 200.0 if rushed else 5.0, 1: 25.0 if late else 5.0, 2: 5.0}
        for place in range(3):
            price = 100.0 * float(np.exp(paths[second, place]))
            for side in (1, -1):
                at = (START + second) * NANOS + (2 * place + (side > 0)) * 1_000_000
                made.append((at, place, price, size[place] * (1 + side * net[place]), side))
    made.sort()
    return trade_rows(NAMES, made)


def run(
    folder: Path, made: Rows, capsys: pytest.CaptureFixture[str], *words: str, pairs: Sequence[str] = NAMES[:2]
) -> dict[str, Any]:
    """What the command prints over the rows."""
    market = folder / "market"
    market.mkdir()
    parser = argparse.ArgumentParser()
    cross_market.configure(parser)
    parser.add_argument("--report", type=Path)
    parser.set_defaults(json=True, out=None)
    args = parser.parse_args(["--market", str(stored(market, made)), "--pair", ",".join(pairs), *words])
    assert cross_market.run(args, Settings(data=str(folder))) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.slow
def test_a_push_for_the_sake_of_another_market_is_one_alert_with_its_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(tmp_path, rows(), capsys, "--report", str(tmp_path / "report"))
    (alert,) = found["alerts"]
    assert (alert["pushed"], alert["follower"], alert["closed"]) == (*NAMES[:2], None)
    decided = to_rfc3339((START + PUSHED_AT + 30) * NANOS), to_rfc3339((START + PUSHED_AT + 70) * NANOS)
    assert decided[0] < alert["decided"] < decided[1]
    shown = {each["feature"]: each for each in alert["evidence"]}
    assert shown["push"]["value"] == pytest.approx(0.01, rel=0.05)
    assert shown["lag"]["value"] == pytest.approx(3.0, abs=1.0)
    held = [each for each in alert["evidence"] if each["threshold"] is not None]
    assert len(held) == 7 and all(each["value"] >= each["threshold"] for each in held)
    assert "LEAD.SIMX and TAIL.SIMY: the first was pushed up" in alert["sentence"]
    assert found["seconds"] == dict.fromkeys(NAMES[:2], 1100)
    assert (tmp_path / "report" / "cross-market.html").read_text().count("<img") == 1


@pytest.mark.parametrize(
    ("why", "made", "pairs"),
    [
        ("the leader keeps its price", rows(given_back=0.001), NAMES[:2]),
        ("the follower is traded with its move", rows(taken=0.5), NAMES[:2]),
        ("both move at once", rows(lag=0), NAMES[:2]),
        ("the other does not follow", rows(), (NAMES[0], NAMES[2])),
    ],
)
def test_no_alert_where(
    why: str, made: Rows, pairs: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, made, capsys, pairs=pairs)["alerts"] == []


def test_an_episode_closes_and_parameters_can_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, rows(), capsys, "--set", "cooldown_s=20", "--set", "quiet_s=10")
    (alert,) = found["alerts"]
    assert found["parameters"]["cooldown_s"] == 20.0
    assert alert["closed"] > alert["decided"]


def test_before_the_span_nothing_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = to_rfc3339((START + PUSHED_AT + 100) * NANOS)
    assert run(tmp_path, rows(), capsys, "--from", late)["alerts"] == []


def test_unknown_instrument_parameter_and_pair_are_clear_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TapewatchError, match="no second of GONE"):
        run(tmp_path, rows(seconds=20), capsys, pairs=("LEAD.SIMX", "GONE.SIMX"))
    for said, wrong in (("min_pus=1", "has no key"), ("min_push=much", "no number"), ("min_push=-1", "no number")):
        with pytest.raises(TapewatchError, match=wrong):
            with_values(cross.Parameters(), [said])
    for text in ("A.SIMX", "A.SIMX,A.SIMX", "a b,C.SIMX"):
        with pytest.raises(argparse.ArgumentTypeError, match="no pair"):
            cross_market.pair(text)


def test_chunks_and_one_run_find_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path, rows(), capsys)["alerts"]
    (tmp_path / "parts").mkdir()
    monkeypatch.setattr(cross_market, "_CHUNK_S", 100)
    assert run(tmp_path / "parts", rows(), capsys)["alerts"] == whole
    assert msgspec.structs.asdict(cross.Parameters())["min_push"] == 0.003
