"""An act of a transaction from which the client does not come back is given up; one that ends is waited for."""

import threading

import pytest

from tapewatch.runtime import kafka


def test_act_that_never_ends_is_given_up_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "STUCK_S", 1)
    release = threading.Event()

    def stuck() -> None:
        release.wait()

    try:
        with pytest.raises(kafka.StuckError, match="not come back") as given_up:
            kafka.in_time(stuck)
    finally:
        release.set()
    assert "Start the process again" in given_up.value.hint


def test_act_that_ends_is_waited_for_and_its_error_is_its_own() -> None:
    done: list[int] = []
    kafka.in_time(lambda: done.append(1))
    assert done == [1]

    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kafka.in_time(fails)
