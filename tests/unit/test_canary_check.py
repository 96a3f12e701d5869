"""The check of canaries on the page Health: good, to look at, or bad, and what to do."""

import pytest

from console.health_checks import CanarySnapshot, Check, HealthSnapshot, judged


def check_of(canaries: CanarySnapshot | None) -> Check | None:
    return next((each for each in judged(HealthSnapshot(canaries=canaries)) if each.name == "canaries"), None)


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (CanarySnapshot(12, 12), "good", "found in time"),
        (CanarySnapshot(11, 12), "warn", "found in time"),
        (CanarySnapshot(10, 12, in_a_row=2), "bad", "were missed"),
        (CanarySnapshot(12, 12, absent=("postgres",)), "warn", "did not reach"),
        (CanarySnapshot(12, 12, overdue_s=90.0), "warn", "none injected"),
        (CanarySnapshot(12, 12, unjudged=3), "warn", "were not judged"),
    ],
)
def test_state_follows_what_was_seen(seen: CanarySnapshot, state: str, words: str) -> None:
    check = check_of(seen)
    assert check is not None and check.state == state and words in check.reason
    assert bool(check.next) == (state != "good")


def test_site_without_canaries_has_no_check() -> None:
    assert check_of(None) is None
