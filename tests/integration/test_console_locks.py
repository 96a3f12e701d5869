"""Locks of names and addresses, at the very nanosecond and against the rules of docs/console.md in plain Python."""

import random
from collections.abc import Iterator
from typing import ClassVar

import pytest
import sqlalchemy as sa

from console.accounts import attempts
from tapewatch.clock import NANOS
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import undone

T = 1_700_000_000 * NANOS
DAY = 86_400 * NANOS
LOCKS_S = (15, 30, 60, 120, 240, 480, 900, 900, 900)
"""After the last failure that is free, and after each further one."""


class Desk:
    """Logins at times of the test's own; each is a transaction, as in the console."""

    def __init__(self, session: sa.Connection) -> None:
        self.session = session

    def tried(self, name: str, address: str, at: int) -> int:
        """Count a login as failed; the seconds told where it is locked out, else 0."""
        try:
            with self.session.begin_nested():
                attempts.count(self.session, name, address, at)
        except attempts.LockedError as locked:
            assert locked.seconds > 0
            return locked.seconds
        return 0

    def entered(self, name: str, address: str, at: int) -> bool:
        """A login with the right password; whether it was let in."""
        if self.tried(name, address, at):
            return False
        attempts.forgive(self.session, name, address, at)
        return True

    def kept(self) -> list[str]:
        return list(self.session.execute(sa.text("SELECT key FROM login_attempts")).scalars())


@pytest.fixture
def desk(stack: Addresses) -> Iterator[Desk]:
    with undone(stack.postgres_url) as session:
        yield Desk(session)


def failed(desk: Desk, count: int, at: int, name: str = "ann", address: str = "here", apart: int = NANOS) -> None:
    """So many failures, the last of them at `at`; `#` in a name or an address becomes a number. apart : ns"""
    for left in reversed(range(count)):
        assert not desk.tried(name.replace("#", str(left)), address.replace("#", str(left)), at - left * apart)


def check_locks(desk: Desk, name: str, address: str) -> None:
    """Locked from the failure at T on: each lock lasts as long as it says, and the next is as long as it should be."""
    at = T
    for number, seconds in enumerate(LOCKS_S):
        end = at + seconds * NANOS
        for moment in (at, at + 1, (at + end) // 2, end - 1):
            assert desk.tried(name.replace("#", f"in {number}"), address.replace("#", f"in {number}"), moment)
        assert not desk.tried(name.replace("#", f"at {number}"), address.replace("#", f"at {number}"), end)
        at = end


def test_the_fifth_failure_of_a_name_locks_it_and_each_further_one_twice_as_long_up_to_15_minutes(desk: Desk) -> None:
    failed(desk, 5, T, address="address #")
    check_locks(desk, "ann", "address #")


def test_the_25th_failure_of_an_address_locks_it_and_each_further_one_twice_as_long_up_to_15_minutes(
    desk: Desk,
) -> None:
    failed(desk, 25, T, name="name #")
    check_locks(desk, "name #", "here")


def test_a_lock_is_of_its_name_and_its_address_alone(desk: Desk) -> None:
    failed(desk, 5, T)
    assert desk.tried("Ann", "elsewhere", T + 1), "a name is the same in capitals"
    assert not desk.tried("bob", "here", T + 1)
    assert not desk.tried("here", "ann", T + 1), "a name that is called like an address is none"


@pytest.mark.parametrize(
    ("before_the_end", "told"),
    [
        (15 * NANOS, 15),
        (15 * NANOS - 1, 15),
        (14 * NANOS + 1, 15),
        (14 * NANOS, 14),
        (NANOS + 1, 2),
        (NANOS, 1),
        (1, 1),
    ],
)
def test_who_waits_as_long_as_was_told_is_let_in(desk: Desk, before_the_end: int, told: int) -> None:
    failed(desk, 5, T)
    at = T + 15 * NANOS - before_the_end
    assert desk.tried("ann", "here", at) == told
    assert desk.entered("ann", "here", at + told * NANOS)


@pytest.mark.parametrize(("of_name", "of_address"), [(7, 25), (5, 27)])
def test_of_two_locks_the_longer_one_is_told(desk: Desk, of_name: int, of_address: int) -> None:
    later = 1000 * NANOS
    failed(desk, of_name, T, address="address #", apart=later)
    failed(desk, of_address, T, name="name #", apart=later)
    # The seventh failure of a name, and the 27th of an address, lock for a minute; the fifth and the 25th for 15 s.
    assert desk.tried("ann", "here", T + NANOS) == 59
    assert desk.tried("ann", "here", T + 60 * NANOS - 1) == 1
    assert desk.entered("ann", "here", T + 60 * NANOS)


def test_tries_while_a_lock_lasts_are_counted_for_neither_the_name_nor_the_address(desk: Desk) -> None:
    failed(desk, 5, T)
    for number in range(60):
        assert desk.tried("ann", "here", T + number)
    assert desk.tried("ann", "here", T + 15 * NANOS - 1)
    assert not desk.tried("ann", "here", T + 15 * NANOS), "the sixth failure"
    failed(desk, 18, T + 40 * NANOS, name="name #")
    assert not desk.tried("eve", "here", T + 41 * NANOS), "the 25th of the address"
    assert desk.tried("bob", "here", T + 42 * NANOS)


def test_a_good_login_lets_the_name_begin_anew(desk: Desk) -> None:
    failed(desk, 4, T)
    assert desk.entered("ann", "here", T + 1), "the fifth try is free, whichever way it ends"
    failed(desk, 4, T + 10 * NANOS)
    assert not desk.tried("ann", "here", T + 11 * NANOS)
    assert desk.tried("ann", "here", T + 11 * NANOS + 1) == 15


def test_a_good_login_gives_the_address_back_no_more_than_itself(desk: Desk) -> None:
    failed(desk, 24, T, name="name #")
    assert desk.entered("ann", "here", T + 1)
    assert desk.entered("ann", "here", T + 2)
    assert not desk.tried("bob", "here", T + 3), "the 25th failure"
    assert desk.tried("ann", "here", T + 4) == 15
    assert desk.entered("ann", "here", T + 3 + 15 * NANOS)
    assert not desk.tried("bob", "here", T + 4 + 15 * NANOS), "the 26th"
    assert desk.tried("ann", "here", T + 4 + 45 * NANOS - 1) == 1
    assert desk.entered("ann", "here", T + 4 + 45 * NANOS)


def test_an_address_that_only_ever_let_people_in_may_fail_25_times(desk: Desk) -> None:
    assert desk.entered("ann", "here", T)
    assert desk.entered("ann", "here", T + 1)
    failed(desk, 25, T + 60 * NANOS, name="name #")
    assert desk.tried("ann", "here", T + 60 * NANOS + 1) == 15


@pytest.mark.parametrize(("name", "address", "free"), [("ann", "address #", 5), ("name #", "here", 25)])
def test_failures_are_remembered_for_a_day(desk: Desk, name: str, address: str, free: int) -> None:
    failed(desk, free - 1, T, name, address)
    assert not desk.tried(name, address, T + DAY)
    assert desk.tried(name, address, T + DAY + 1) == 15


@pytest.mark.parametrize(("name", "address", "free"), [("ann", "address #", 5), ("name #", "here", 25)])
def test_after_more_than_a_day_failures_are_counted_from_one(desk: Desk, name: str, address: str, free: int) -> None:
    failed(desk, free - 1, T, name, address)
    assert not desk.tried(name, address, T + DAY + 1)
    failed(desk, free - 1, T + DAY + 60 * NANOS, name, address)
    assert desk.tried(name, address, T + DAY + 60 * NANOS + 1) == 15


def test_a_good_login_sweeps_out_what_is_older_than_a_day(desk: Desk) -> None:
    failed(desk, 1, T, name="older", address="older address")
    failed(desk, 1, T + 1, name="a day old", address="address of that day")
    assert len(desk.kept()) == 4
    assert desk.entered("ann", "here", T + 1 + DAY)
    assert len(desk.kept()) == 3, "both of that day, and the address here"


def test_what_was_typed_as_a_name_does_not_lie_in_the_table(desk: Desk) -> None:
    failed(desk, 1, T, name="my-password-by-mistake", address="192.0.2.7")
    assert [len(key) for key in desk.kept()] == [64, 64]
    assert not any("password" in key or "192.0.2.7" in key for key in desk.kept())


class Rules:
    """Who is locked out, said over the failures in a row of each name and each address."""

    FREE: ClassVar = {"name": 5, "address": 25}

    def __init__(self) -> None:
        self.failures: dict[tuple[str, str], list[int]] = {}
        self.last_try: dict[tuple[str, str], int] = {}

    def locked_until(self, key: tuple[str, str]) -> int:
        run, free = self.failures.get(key, []), self.FREE[key[0]]
        return run[-1] + LOCKS_S[min(len(run) - free, 6)] * NANOS if len(run) >= free else 0

    def login(self, name: str, address: str, at: int, *, good: bool) -> bool:
        """Whether it is let through to the password."""
        keys = (("name", name), ("address", address))
        if any(at < self.locked_until(key) for key in keys):
            return False
        for key in keys:
            if at - self.last_try.get(key, at) > DAY:
                self.failures[key] = []
            self.last_try[key] = at
            if not good:
                self.failures.setdefault(key, []).append(at)
        if good:
            self.failures[keys[0]] = []
        return True


@pytest.mark.parametrize("seed", range(3))
def test_any_run_of_logins_and_waits_is_judged_as_the_rules_say(desk: Desk, seed: int) -> None:
    rng, rules, at = random.Random(seed), Rules(), T
    names, addresses = ("ann", "bob"), ("here", "there")
    let_in = {True: 0, False: 0}
    for _ in range(500):
        name, address, good = rng.choice(names), rng.choice(addresses), rng.random() < 0.1
        end = max(rules.locked_until(("name", name)), rules.locked_until(("address", address)))
        waits = [1, NANOS, 30 * NANOS] + [end - at + step for step in (-1, 0, 1)]
        at += max(0, rng.choice([DAY, DAY + 1]) if rng.random() < 0.02 else rng.choice(waits))
        expected = rules.login(name, address, at, good=good)
        tried = desk.entered(name, address, at) if good else not desk.tried(name, address, at)
        assert tried == expected, (name, address, at - T, good)
        let_in[tried] += 1
    assert min(let_in.values()) > 50, "both happen"
