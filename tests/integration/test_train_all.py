"""`train all` on a real stack: predictions reach PostgreSQL by the sink, and the same run twice changes nothing."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from sinks.postgres.partitions import DayPartitions
from streams.commands import train as command
from streams.forecast import data, training
from tapewatch import cli
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.integration.postgres_kept import keep, query, superuser

CHEAP = {"mean": "tests.unit.fake_forecaster"}


def folder_of(path: Path) -> Path:
    """A random walk of two instruments."""
    random = np.random.default_rng(3)
    path.mkdir()
    for name in ("AAA", "BBB"):
        close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, 60)))
        days = np.datetime64("2024-01-01") + np.arange(60)
        rows = (f"{day},{value},{value},{value},{value},5" for day, value in zip(days, close, strict=True))
        (path / f"{name}.csv").write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(rows))
    return path


def train(settings: Settings, *words: str) -> int:
    """Run the command with these settings."""
    args = cli.parser_for("train").parse_args(["train", "all", *words])
    return command.run(args, settings)


def count(settings: Settings) -> int:
    """Records of the topic."""
    found: list[bytes] = []
    kafka.read_all(settings, topics.PREDICTIONS, lambda message: found.append(message.value() or b""))
    return len([each for each in found if b"XTRAINALL" in each])


def test_predictions_are_kept_and_the_same_run_twice_changes_nothing(
    ours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(training.MODELS, "mean", CHEAP["mean"])
    words: tuple[str, ...] = ("--daily", str(folder_of(tmp_path / "bars")), "--as-of", "2024-02-15", "--models", "mean")
    words = (*words, "--venue", "XTRAINALL", "--json")
    assert train(ours, *words) == 0
    first = msgspec.json.decode(capsys.readouterr().out)
    assert (first["predictions"], first["published"]) == (2, True)
    keep(ours)
    rows = query(ours, "SELECT instrument, as_of::text, horizon, target, name, model, value FROM v_predictions")
    rows = sorted(row for row in rows if row[0].endswith("XTRAINALL"))
    assert [row[0] for row in rows] == ["AAA.XTRAINALL", "BBB.XTRAINALL"]
    # Nothing of the day after the one asked for was used: its bars are complete at midnight.
    assert rows[0][1].startswith("2024-02-16 00:00:00")
    assert rows[0][5] == first["models"][0]["model"]
    sent = count(ours)
    assert train(ours, *words) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == first
    keep(ours)
    assert count(ours) == sent == 2
    again = query(ours, "SELECT instrument, as_of::text, horizon, target, name, model, value FROM v_predictions")
    assert sorted(row for row in again if row[0].endswith("XTRAINALL")) == rows


def test_daily_bars_and_factors_of_postgresql_are_a_panel_of_what_was_known(ours: Settings) -> None:
    day, begin = 86_400 * 10**9, 1_700_006_400 * 10**9
    with superuser(ours) as cursor:
        DayPartitions(cursor.connection).ensure(("bars", (begin + number * day) // day) for number in range(3))
        cursor.execute("INSERT INTO instruments (name) VALUES ('AAA.XPAN'), ('SPX.XPAN'), ('BBB.XPAN') RETURNING id")
        own, index, priced = (row[0] for row in cursor.fetchall())
        cursor.execute("UPDATE instruments SET kind = 'index' WHERE id = %s", (index,))
        for number in range(3):
            closes = begin + number * day
            cursor.execute(
                "INSERT INTO bars (instrument_id, ts_ns, ts_open_ns, interval_s, open, high, low, close, volume, "
                "trades, origin, log_id, log_offset) VALUES (%s, %s, %s, 86400, 1, 3, 1, %s, 5, 1, 1, 1, %s)",
                (own, closes, closes - day, 2 + number, number),
            )
        for name, who, published in (
            ("foreign_net_buy", own, 0), ("close", index, 1), ("open", index, 1), ("open", priced, 1),
            ("close", priced, 1), ("margin_balance", priced, 0),
        ):  # fmt: skip
            cursor.execute(
                "INSERT INTO factors (id, source, series, instrument_id, period, published_ns, received_ns, value, "
                "unit, revision) VALUES (%s, 'x', %s, %s, '2023-11-15', %s, 0, 7, '', 0)",
                (f"{name}{who}", name, who, begin + published * day),
            )
    # The first bar closes at the midnight before 2023-11-15.
    panel, where = data.panel_of(ours, [], "2023-11-15")
    assert where == "postgresql"
    assert panel.series["AAA.XPAN"].close.tolist() == [2.0, 3.0]
    assert {(one.series, one.instrument) for one in panel.readings} == {
        ("foreign_net_buy", "AAA.XPAN"),
        ("SPX.XPAN:close", ""),
        ("margin_balance", "BBB.XPAN"),
    }
    # An instrument whose day comes as factors: complete once its close was published.
    daily = panel.series["BBB.XPAN"]
    assert (daily.open.tolist(), daily.close.tolist(), daily.at.tolist()) == ([7.0], [7.0], [begin + day])
    assert np.isnan(daily.volume).all()
    earlier, _ = data.panel_of(ours, [], "2023-11-14")
    assert earlier.series["AAA.XPAN"].close.tolist() == [2.0]
    assert {one.series for one in earlier.readings} == {"foreign_net_buy"}
