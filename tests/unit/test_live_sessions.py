"""Session calendars."""

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from producers.base.sessions import SessionCalendar
from tapewatch.clock import NANOS
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import SettingsError, TapewatchError

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")  # within exchange_calendars

TAIPEI, NEW_YORK, TOKYO = "Asia/Taipei", "America/New_York", "Asia/Tokyo"


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NANOS


def days(calendar: SessionCalendar, start: int, changes: int) -> list[tuple[int, StatusKind]]:
    found = []
    for _ in range(changes):
        change = calendar.next_change(start)
        assert change is not None
        found.append(change)
        start = change[0]
    return found


@pytest.fixture(scope="module")
def taiwan() -> SessionCalendar:
    pytest.importorskip("exchange_calendars", reason="the live extra is not installed")
    return SessionCalendar("XTAI")


@pytest.fixture(scope="module")
def america() -> SessionCalendar:
    pytest.importorskip("exchange_calendars", reason="the live extra is not installed")
    return SessionCalendar("XNYS")


def test_venue_that_never_closes_needs_no_calendar() -> None:
    for code in ("", "24/7"):
        calendar = SessionCalendar(code)
        assert calendar.always_open
        assert calendar.is_open(0)
        assert calendar.next_change(0) is None


def test_session_is_open_from_its_first_moment_to_before_its_close(taiwan: SessionCalendar) -> None:
    opening, closing = at("2024-08-08T09:00:00", TAIPEI), at("2024-08-08T13:30:00", TAIPEI)
    assert not taiwan.is_open(opening - 1)
    assert taiwan.is_open(opening)
    assert taiwan.is_open(closing - 1)
    assert not taiwan.is_open(closing)
    assert taiwan.next_change(opening - 1) == (opening, StatusKind.OPEN)
    assert taiwan.next_change(opening) == (closing, StatusKind.CLOSE)


def test_weekend_and_holiday_are_closed(taiwan: SessionCalendar) -> None:
    friday = at("2024-04-03T13:30:00", TAIPEI)
    tuesday = at("2024-04-08T09:00:00", TAIPEI)  # 4 and 5 April are holidays, then a weekend
    assert taiwan.next_change(friday) == (tuesday, StatusKind.OPEN)


def test_summer_time_moves_the_opening(america: SessionCalendar) -> None:
    friday, monday = at("2024-03-08T09:30:00", NEW_YORK), at("2024-03-11T09:30:00", NEW_YORK)
    assert [change[0] for change in days(america, friday - 1, 3)][::2] == [friday, monday]
    assert monday - friday == (3 * 24 - 1) * 3600 * NANOS


def test_half_day_closes_early(america: SessionCalendar) -> None:
    opening = at("2024-11-29T09:30:00", NEW_YORK)
    assert america.next_change(opening) == (at("2024-11-29T13:00:00", NEW_YORK), StatusKind.CLOSE)


def test_lunch_break_closes_and_opens() -> None:
    pytest.importorskip("exchange_calendars", reason="the live extra is not installed")
    tokyo = SessionCalendar("XTKS")
    changes = days(tokyo, at("2024-08-08T00:00:00", TOKYO), 4)
    hours = ("09:00", "11:30", "12:30", "15:00")
    assert [change[0] for change in changes] == [at(f"2024-08-08T{hour}:00", TOKYO) for hour in hours]
    assert [change[1] for change in changes] == [StatusKind.OPEN, StatusKind.CLOSE] * 2
    assert not tokyo.is_open(at("2024-08-08T12:00:00", TOKYO))


def test_calendar_goes_on_through_the_years(taiwan: SessionCalendar) -> None:
    for year in (2010, 2019, 2025, 2026):
        change = taiwan.next_change(at(f"{year}-06-10T00:00:00", TAIPEI))
        assert change is not None
        assert change[1] is StatusKind.OPEN


def test_unknown_calendar_is_told() -> None:
    pytest.importorskip("exchange_calendars", reason="the live extra is not installed")
    with pytest.raises(SettingsError, match="XTAY"):
        SessionCalendar("XTAY")


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(TapewatchError) as caught:
        SessionCalendar("XTAI")
    assert "tapewatch[live]" in caught.value.hint
