"""Calendars of exchanges: the package that knows them, loaded when first asked for."""

from typing import Any

from tapewatch.errors import SettingsError, TapewatchError


def exchange_calendars(code: str) -> Any:
    """The package exchange_calendars, imported here because it takes seconds; it knows the calendar.

    code : an exchange's MIC, such as XTAI; SettingsError where there is no such calendar, TapewatchError without the
    package
    """
    try:
        import exchange_calendars as package
    except ImportError as error:
        raise TapewatchError(
            "session calendars need exchange_calendars", "Install the extra: pip install 'tapewatch[live]'."
        ) from error
    if code not in package.get_calendar_names(include_aliases=True):
        raise SettingsError(f"there is no calendar {code!r}", "Use an exchange's MIC, such as XTAI, XKRX or XNYS.")
    return package
