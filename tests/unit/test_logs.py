"""Structured logs: fields, levels, and text that tries to forge lines or steer the terminal."""

import io
import json

import pytest

from tapewatch import logs
from tapewatch.errors import SettingsError
from tapewatch.settings import LogSettings


def configured(format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(LogSettings(level=level, format=format), stream)
    return stream


def test_json_line_carries_event_and_fields() -> None:
    stream = configured("json")
    logs.get("engine", partition=3).info("committed", rows=7)
    event = json.loads(stream.getvalue())
    assert event["event"] == "committed"
    assert (event["component"], event["level"], event["partition"], event["rows"]) == ("engine", "info", 3, 7)
    assert event["at"].endswith("Z")


@pytest.mark.parametrize("format", ["json", "text"])
def test_hostile_text_stays_on_one_line_without_control_characters(format: str) -> None:
    stream = configured(format)
    hostile = "AAPL\n2024 error forged: yes\x1b[2J\x9b31m\u202eevil\u2028"
    logs.get("feed").warning("refused " + hostile, symbol=hostile)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert not set(text[:-1]) & set("\n\x1b\x9b\u202e\u2028")
    if format == "json":
        assert json.loads(text)["symbol"] == hostile


def test_events_below_the_level_are_silent() -> None:
    stream = configured("text", level="warning")
    logs.get("engine").info("chatter")
    assert stream.getvalue() == ""


def test_bound_fields_go_with_every_event_and_a_clash_hides_nothing() -> None:
    stream = configured("json")
    logs.get("sink").bind(table="quotes").info("merged", event="other")
    event = json.loads(stream.getvalue())
    assert (event["event"], event["field_event"], event["table"]) == ("merged", "other", "quotes")


@pytest.mark.parametrize("format", ["json", "text"])
def test_exception_is_a_field_of_one_line(format: str) -> None:
    stream = configured(format)
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logs.get("engine").exception("failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError" in stream.getvalue()


def test_unknown_level_or_format_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"log\.level"):
        logs.configure(LogSettings(level="loud"))
    with pytest.raises(SettingsError, match=r"log\.format"):
        logs.configure(LogSettings(format="xml"))
