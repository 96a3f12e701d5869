"""Training every model: what is finished stays, what fails does not stop the others, the schedule makes up one day."""

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from detectors import registry
from detectors.forecast.series import Forecast, Panel, Reading, Series, hash_of
from streams.forecast import data, training
from streams.forecast.publishing import instrument_id, instrument_ids, predictions
from streams.forecast.schedule import ExchangeSessions, Schedule
from streams.forecast.tracking import Run, RunDescription, Step, alone
from streams.forecast.training import StoppedError, Work, train_one, trained
from tapewatch.cli import main
from tapewatch.clock import NANOS, ManualClock
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

FAKE = "tests.unit.fake_forecaster"
HOUR = 3600 * NANOS


def series(name: str, rows: int = 5) -> Series:
    """A few bars."""
    close = np.linspace(10.0, 12.0, rows)
    return Series(name, (np.arange(rows, dtype=np.int64) + 1) * 24 * HOUR, close, close, close, close, close)


def panel(*names: str) -> Panel:
    return Panel({name: series(name) for name in names or ("A.X",)})


def run_of(tmp_path: Path, found: Panel) -> Run:
    return Run(tmp_path / "runs", RunDescription("2024-03-15", "here", hash_of(found), 1, "b" * 16))


def silent(_: str) -> None:
    """Say nothing."""


def test_finished_model_is_not_trained_again_and_its_record_is_whole(tmp_path: Path) -> None:
    found = panel()
    run = run_of(tmp_path, found)
    said: list[str] = []
    work = Work(found, {"mean": FAKE, "other": FAKE}, 2, tmp_path / "models")
    # In processes of their own, as always.
    steps = trained(work, run, said.append)
    assert [step.state for step in steps.values()] == ["trained", "trained"]
    step = steps["mean"]
    assert Path(step.file).is_file()
    assert (step.forecasts[0].instrument, step.forecasts[0].value) == ("A.X", 11.0)
    events = [msgspec.json.decode(line)["event"] for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert sorted(events) == ["begun", "begun", "trained", "trained"]
    said.clear()
    again = trained(work, run_of(tmp_path, found), said.append)
    assert said == ["mean: trained before", "other: trained before"]
    assert again == steps


def test_model_whose_file_is_gone_is_trained_again(tmp_path: Path) -> None:
    found = panel()
    run = run_of(tmp_path, found)
    train_one("mean", FAKE, found, run, tmp_path / "models")
    step = run.step("mean")
    assert step is not None
    Path(step.file).unlink()
    assert run.step("mean") is None


def test_kill_in_the_middle_of_a_step_loses_that_step_alone(tmp_path: Path) -> None:
    found = panel()
    run = run_of(tmp_path, found)
    train_one("first", FAKE, found, run, tmp_path / "models")
    # Died between the model's file and the record: a half-written record has another name.
    (run.folder / "steps" / f".second.json.{os.getpid()}.new").write_bytes(b'{"name":"sec')
    said: list[str] = []
    steps = trained(Work(found, {"first": FAKE, "second": FAKE}, 1, tmp_path / "models"), run, said.append)
    assert said[0] == "first: trained before"
    assert steps["first"].model == steps["second"].model


def test_other_data_seed_or_program_are_another_run(tmp_path: Path) -> None:
    one, other = panel(), Panel({"A.X": series("A.X")}, (Reading("flow", "", "2024-01-02", 5, 1.0),))
    assert hash_of(one) != hash_of(other)
    described = RunDescription("2024-03-15", "here", "0" * 16, 1, "b" * 16)
    assert len({described.id, msgspec.structs.replace(described, seed=2).id}) == 2
    assert described.id == msgspec.structs.replace(described, data="there").id


def test_too_little_data_and_failure_leave_the_others_alone(tmp_path: Path) -> None:
    registry = tmp_path / "models"
    for name, state, reason in (
        ("SHORT.X", "left_out", "too few bars"),
        ("FAILS.X", "failed", "it needs what is not here. Install it."),
    ):
        found = panel(name)
        run = run_of(tmp_path, found)
        train_one("mean", FAKE, found, run, registry)
        step = run.step("mean")
        assert step is not None
        assert (step.state, step.reason) == (state, reason)
    run = run_of(tmp_path, panel())
    steps = trained(Work(panel(), {"absent": "tests.unit.no_such", "mean": FAKE}, 2, registry), run, silent)
    assert (steps["absent"].state, steps["mean"].state) == ("failed", "trained")


def test_stop_ends_the_process_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    found, stop = panel("SLOW.X"), threading.Event()
    run = run_of(tmp_path, found)
    threading.Timer(1.0, stop.set).start()
    with pytest.raises(StoppedError):
        trained(Work(found, {"mean": FAKE}, 1, tmp_path / "models"), run, silent, stop)
    assert run.step("mean") is None


def test_one_process_at_a_time_trains(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(TapewatchError, match="another"), alone(tmp_path):
        pass


def test_predictions_have_the_same_id_for_the_same_question(tmp_path: Path) -> None:
    found = panel("A.X", "v1_kospi")
    run = run_of(tmp_path, found)
    train_one("mean", FAKE, found, run, tmp_path / "models")
    step = run.step("mean")
    assert step is not None
    one, other = (predictions({"mean": step}, "XKRX", data.newest(found)) for _ in range(2))
    assert [each.id for each in one] == [each.id for each in other]
    assert {each.instrument for each in one} == {"A-X.XKRX", "V1_KOSPI.XKRX"}
    assert one[0].reference == 12.0
    assert predictions({"none": Step("none", "left_out")}, "XKRX", 0) == []


def test_prediction_is_as_of_the_last_that_the_model_could_know() -> None:
    bars = series("A.X")
    known = int(bars.at[-1]) + 15 * HOUR
    found = Panel({"A.X": bars, "B.X": bars[:3]}, (Reading("flow", "", "2024-01-02", known, 1.0),))
    assert data.newest(found) == known
    forecasts = tuple(Forecast(name, int(one.at[-1]), "1d", "close", 1.0) for name, one in found.series.items())
    step = Step("mean", "trained", model="m", forecasts=forecasts)
    assert {each.as_of for each in predictions({"mean": step}, "XTAI", known)} == {to_rfc3339(known)}
    # An instrument without a bar for a week is not forecast.
    assert len(predictions({"mean": step}, "XTAI", known + 6 * 24 * HOUR)) == 1


def test_name_without_a_venue_takes_the_one_given() -> None:
    assert instrument_id("2330.XTAI", "FILE") == "2330.XTAI"
    assert instrument_id("2330.TW_close_2000_2025", "XTAI") == "2330-TW_CLOSE_2000_2025.XTAI"
    with pytest.raises(TapewatchError, match="no instrument id"):
        instrument_id("a", "lower")


def test_two_names_that_are_one_instrument_id_are_refused() -> None:
    assert instrument_ids(["AAPL", "2330.XTAI"], "XNAS") == {"AAPL": "AAPL.XNAS", "2330.XTAI": "2330.XTAI"}
    with pytest.raises(TapewatchError, match=r"a b and A-B are both A-B\.XNAS"):
        instrument_ids(["a b", "A-B"], "XNAS")


def test_jobs_below_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("Date,Close\n2024-01-02,10\n")
    assert main(["--data", str(tmp_path / "data"), "train", "all", "--daily", str(tmp_path), "--jobs", "-1"]) == 1


@pytest.mark.parametrize("day", ["9999-12-31", "2500-01-01", "0001-01-01"])
def test_day_beyond_what_nanoseconds_tell_is_refused(day: str) -> None:
    with pytest.raises(TapewatchError, match=day):
        data.end_of(day)


def test_data_end_with_the_day(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("Date,Close\n2024-01-02,10\n2024-01-03,11\n2024-01-04,12\n")
    found, where = data.panel_of(Settings(), [tmp_path], "2024-01-03")
    assert found.series["A"].close.tolist() == [10.0, 11.0]
    assert where == tmp_path.name
    with pytest.raises(TapewatchError, match="no daily bars up to"):
        data.panel_of(Settings(), [tmp_path], "2024-01-01")
    with pytest.raises(TapewatchError, match="is no day"):
        data.panel_of(Settings(), [tmp_path], "tomorrow")


def test_unknown_model_is_refused() -> None:
    with pytest.raises(TapewatchError, match="no model crystal_ball"):
        training.chosen(["crystal_ball"])
    assert list(training.chosen(["boosted", "lstm"])) == ["lstm", "boosted"]


def test_dry_run_says_what_would_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "A.csv").write_text("Date,Close\n2024-01-02,10\n")
    words = ["train", "all", "--daily", str(tmp_path), "--as-of", "2024-01-02", "--models", "lstm", "--dry-run"]
    assert main(["--data", str(tmp_path / "data"), *words, "--json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["models"] == {"lstm": "to train"}
    assert not (tmp_path / "data").exists()


class Weekdays:
    """Sessions that close at 05:30 UTC, Monday to Friday."""

    def closes(self, begin: int, end: int) -> Sequence[tuple[str, int]]:
        """Day and close of each session that closes between two times, UTC nanoseconds, in order."""
        day = datetime.fromtimestamp(begin // NANOS, UTC).replace(hour=5, minute=30, second=0)
        found = []
        while (at := int(day.timestamp()) * NANOS) < end:
            if at >= begin and day.weekday() < 5:
                found.append((f"{day:%Y-%m-%d}", at))
            day += timedelta(days=1)
        return found


class Days:
    """Counts training, and stops the schedule after some."""

    def __init__(self, clock: ManualClock, most: int, fails: Sequence[str] = ()) -> None:
        self.stop = threading.Event()
        self.seen: list[tuple[str, str]] = []
        self._clock, self._most, self._fails = clock, most, fails

    def __call__(self, day: str) -> bool:
        """Train a day."""
        now = datetime.fromtimestamp(self._clock.now() // NANOS, UTC)
        self.seen.append((day, f"{now:%m-%d %H:%M}"))
        if len(self.seen) == self._most:
            self.stop.set()
        return day not in self._fails


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOS


def test_schedule_trains_an_hour_after_each_close_and_not_at_the_weekend(tmp_path: Path) -> None:
    clock = ManualClock(at("2024-03-14T06:29"))  # a Thursday, a minute before it is due
    days = Days(clock, 3)
    state = tmp_path / "schedule.json"
    state.write_bytes(b'{"day":"2024-03-13"}')
    Schedule(Weekdays(), HOUR, state, days, clock).run(days.stop, silent)
    assert days.seen == [
        ("2024-03-14", "03-14 06:30"),
        ("2024-03-15", "03-15 06:30"),
        ("2024-03-18", "03-18 06:30"),
    ]
    assert msgspec.json.decode(state.read_bytes()) == {"day": "2024-03-18"}


def test_missed_days_are_made_up_once_by_the_newest(tmp_path: Path) -> None:
    clock = ManualClock(at("2024-03-15T20:00"))
    days = Days(clock, 2)
    state = tmp_path / "schedule.json"
    state.write_bytes(b'{"day":"2024-03-12"}')
    Schedule(Weekdays(), HOUR, state, days, clock).run(days.stop, silent)
    assert days.seen == [("2024-03-15", "03-15 20:00"), ("2024-03-18", "03-18 06:30")]


def test_day_that_fails_is_tried_again_by_the_next_start_alone(tmp_path: Path) -> None:
    clock = ManualClock(at("2024-03-15T20:00"))
    days = Days(clock, 2, fails=["2024-03-15"])
    state = tmp_path / "schedule.json"
    Schedule(Weekdays(), HOUR, state, days, clock).run(days.stop, silent)
    assert [day for day, _ in days.seen] == ["2024-03-15", "2024-03-18"]
    failing = Days(clock, 1, fails=["2024-03-18"])
    state.write_bytes(b'{"day":"2024-03-15"}')
    Schedule(Weekdays(), HOUR, state, failing, clock).run(failing.stop, silent)
    assert [day for day, _ in failing.seen] == ["2024-03-18"]
    assert msgspec.json.decode(state.read_bytes()) == {"day": "2024-03-15"}


@pytest.mark.filterwarnings("ignore:Series.values returning")
def test_exchange_sessions_leave_out_holidays_and_know_half_days() -> None:
    pytest.importorskip("exchange_calendars")
    found = ExchangeSessions("XNYS").closes(at("2023-11-22T00:00"), at("2023-11-27T00:00"))
    assert found == [("2023-11-22", at("2023-11-22T21:00")), ("2023-11-24", at("2023-11-24T18:00"))]


@pytest.mark.parametrize("name", training.MODELS)
def test_every_model_gives_what_the_pipeline_asks_and_is_known_to_the_registry(name: str) -> None:
    module = training.loaded(training.MODELS[name])
    assert name == module.NAME
    assert all(callable(getattr(module, each)) for each in ("train", "predict", "decode", "summary"))
    assert name in registry.KINDS
