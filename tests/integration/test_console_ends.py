"""How long sessions and API tokens last, at the very nanosecond and against the rules of docs/console.md."""

import random
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from console.accounts import sessions, store, tokens
from console.identity import Account
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.settings.stack import Addresses
from tests.integration.console_at_work import undone

T = 1_700_000_000 * NANOS
MINUTE = 60 * NANOS
HOUR = 60 * MINUTE
LONG = 1e6
"""Minutes or hours that no test waits for."""


@pytest.fixture
def session(stack: Addresses) -> Iterator[sa.Connection]:
    """A database in which ann is an analyst and bob sees what is his own."""
    with undone(stack.postgres_url) as found:
        store.add(found, "ann", "analyst", T)
        store.add(found, "bob", "viewer", T)
        store.change(found, "bob", {"pages": ["tape"], "instruments": ["*.XTAI", "AAA.*"]}, T)
        yield found


def begun(session: sa.Connection, account: str = "ann", at: int = T, hours: float = LONG) -> str:
    return sessions.begin(session, account, at, hours, "192.0.2.1", "a browser")


def sight(session: sa.Connection) -> int:
    """When ann's one session was seen, as it is written."""
    return int(session.execute(sa.text("SELECT seen_ns FROM sessions WHERE account = 'ann'")).scalar_one())


@pytest.mark.parametrize(("hours", "lasts"), [(12.0, 12 * HOUR), (0.25, 15 * MINUTE), (0.001, 3_600_000_000)])
def test_a_session_ends_at_its_age_however_busy_it_is(session: sa.Connection, hours: float, lasts: int) -> None:
    cookie = begun(session, hours=hours)
    for part in range(10):
        assert sessions.find(session, cookie, T + part * lasts // 10, LONG) is not None
    assert sessions.find(session, cookie, T + lasts - 1, LONG) is not None
    assert len(sessions.of(session, "ann", T + lasts - 1, LONG)) == 1
    assert sessions.find(session, cookie, T + lasts, LONG) is None
    assert sessions.of(session, "ann", T + lasts, LONG) == []


@pytest.mark.parametrize(("minutes", "idle"), [(60.0, HOUR), (10.0, 10 * MINUTE), (0.5, 30 * NANOS)])
def test_a_session_without_a_call_ends_when_it_has_been_idle_for_so_long(
    session: sa.Connection, minutes: float, idle: int
) -> None:
    cookie, other = begun(session), begun(session, "bob")
    assert len(sessions.of(session, "ann", T + idle - 1, minutes)) == 1
    assert sessions.find(session, cookie, T + idle - 1, minutes) is not None
    assert sessions.find(session, other, T + idle, minutes) is None
    assert sessions.of(session, "bob", T + idle, minutes) == []
    assert sessions.find(session, cookie, T + 2 * idle - 2, minutes) is not None, "the call began the idle time anew"
    assert sessions.find(session, cookie, T + 3 * idle - 2, minutes) is None


@pytest.mark.parametrize("minutes", [60.0, 600.0])
def test_a_call_is_noted_where_the_last_one_is_more_than_a_minute_old(session: sa.Connection, minutes: float) -> None:
    cookie = begun(session)
    for call, noted in ((1, 0), (MINUTE, 0), (MINUTE + 1, MINUTE + 1), (2 * MINUTE + 1, MINUTE + 1)):
        assert sessions.find(session, cookie, T + call, minutes) is not None
        assert sight(session) == T + noted
    assert sessions.of(session, "ann", T + HOUR, minutes)[0].seen_ns == T + MINUTE + 1


def test_where_idle_time_is_short_calls_are_noted_by_its_sixtieth(session: sa.Connection) -> None:
    cookie = begun(session)
    for call, noted in ((NANOS // 2, 0), (NANOS // 2 + 1, NANOS // 2 + 1)):
        assert sessions.find(session, cookie, T + call, 0.5) is not None
        assert sight(session) == T + noted


@pytest.mark.parametrize("minutes", [0.1, 0.5, 1.0, 1.5, 60.0])
def test_calls_keep_a_session_open_whatever_the_idle_time(session: sa.Connection, minutes: float) -> None:
    cookie, idle = begun(session), int(minutes * MINUTE)
    for number in range(1, 100):
        assert sessions.find(session, cookie, T + number * idle // 7, minutes) is not None, number


@pytest.mark.parametrize("seed", range(3))
def test_any_run_of_calls_and_waits_ends_as_the_rules_say(session: sa.Connection, seed: int) -> None:
    rng, ends = random.Random(seed), {"age": 0, "idle": 0}
    for _ in range(20):
        at = begin = T + rng.randrange(HOUR)
        cookie, minutes = begun(session, at=at, hours=2.0), rng.choice([5.0, 30.0])
        idle, called = int(minutes * MINUTE), at
        while True:
            waits = [1, NANOS, MINUTE - 1, MINUTE, MINUTE + 1, idle // 2, idle - MINUTE - 1]
            at += idle if rng.random() < 0.02 else rng.choice(waits)
            found = sessions.find(session, cookie, at, minutes)
            if at >= begin + 2 * HOUR or at - called >= idle:
                ends["idle" if at - called >= idle else "age"] += 1
                assert found is None
                break
            if found is None:
                assert at - called >= idle - MINUTE, "what is noted of the last call lies a minute back at most"
                break
            called = at
    assert all(ends.values()), "both happen"


def test_a_session_gives_the_accounts_rights_and_a_name_that_is_no_key(session: sa.Connection) -> None:
    cookie = begun(session)
    found = sessions.find(session, cookie, T, 60.0)
    of_role = session.execute(sa.text("SELECT pages FROM seats WHERE role = 'analyst'")).scalar_one()
    assert found == Account(
        "ann", "analyst", ("*",), tuple(of_role), proof=sessions.proof(cookie), session=sessions.digest(cookie)[:16]
    )
    his = sessions.find(session, begun(session, "bob"), T, 60.0)
    assert his is not None and (his.pages, his.instruments) == (("tape",), ("*.XTAI", "AAA.*"))
    assert not his.by_token
    assert sessions.find(session, cookie[:-1], T, 60.0) is None
    assert sessions.find(session, sessions.digest(cookie), T, 60.0) is None, "what lies in the table opens nothing"


def test_hash_and_proof_of_a_cookie_are_sha_256_and_its_hmac() -> None:
    # printf cookie | sha256sum; printf 'tapewatch csrf' | openssl dgst -sha256 -hmac cookie
    assert sessions.digest("cookie") == "d7e83e28a04b537e64424546b14caf9b67bad2f28dabce68116e0d372319fa00"
    assert sessions.proof("cookie") == "4f5b84bda81248a1ef5e03a3830d1156e37b4a92ea2aa0fcb759d8e57c977037"


def test_a_disabled_account_has_neither_session_nor_token(session: sa.Connection) -> None:
    cookie, (_, secret) = begun(session, "bob"), tokens.make(session, "bob", "nightly", ["read"], T, T + HOUR)
    session.execute(sa.text("UPDATE accounts SET disabled = true WHERE name = 'bob'"))
    assert sessions.find(session, cookie, T, 60.0) is None
    assert tokens.find(session, secret, T) is None


def test_the_next_login_of_anybody_sweeps_out_sessions_that_are_over(session: sa.Connection) -> None:
    for lasts in (1.0, 1.0 + 1 / 3600, 2.0):
        begun(session, hours=lasts)
    begun(session, "bob", at=T + HOUR)
    left = session.execute(sa.text("SELECT expires_ns FROM sessions WHERE account = 'ann' ORDER BY 1")).scalars()
    assert list(left) == [T + HOUR + NANOS, T + 2 * HOUR]


def test_open_sessions_are_listed_newest_first_with_what_is_known_of_them(session: sa.Connection) -> None:
    begun(session, "bob")
    for number in (1, 3, 2):
        sessions.begin(session, "ann", T + number, 1.0, "a" * 65, "b" * 201)
    found = sessions.of(session, "ann", T + 5, 60.0)
    assert [each.created_ns for each in found] == [T + 3, T + 2, T + 1]
    assert [(each.seen_ns, each.expires_ns - HOUR) for each in found] == [(T + n, T + n) for n in (3, 2, 1)]
    assert {(each.address, each.agent, len(each.id)) for each in found} == {("a" * 64, "b" * 200, 16)}


def test_ending_sessions_ends_the_accounts_own_and_no_others(session: sa.Connection) -> None:
    cookies = [begun(session) for _ in range(3)]
    his = begun(session, "bob")

    def alive() -> list[bool]:
        return [sessions.find(session, cookie, T, 60.0) is not None for cookie in (*cookies, his)]

    assert sessions.end(session, "ann", sessions.digest(his)[:16]) == 0
    assert sessions.end(session, "ann", sessions.digest(cookies[1])[:16]) == 1
    assert alive() == [True, False, True, True]
    sessions.end_cookie(session, cookies[0])
    assert alive() == [False, False, True, True]
    begun(session)
    assert sessions.end(session, "ann") == 2
    assert alive() == [False, False, False, True]


def test_a_token_ends_at_its_time_and_is_used_to_the_minute(session: sa.Connection) -> None:
    _, secret = tokens.make(session, "bob", "nightly", ["write", "read", "write"], T, T + HOUR)
    for call, noted in ((0, 0), (MINUTE, 0), (MINUTE + 1, MINUTE + 1), (2 * MINUTE + 1, MINUTE + 1)):
        found = tokens.find(session, secret, T + call)
        assert tokens.of(session, "bob")[0].used_ns == T + noted
    assert found == Account("bob", "viewer", ("*.XTAI", "AAA.*"), ("tape",), ("read", "write"), by_token=True)
    assert tokens.find(session, secret, T + HOUR - 1) is not None
    assert tokens.find(session, secret, T + HOUR) is None
    assert tokens.find(session, secret[:-1], T) is None


def test_tokens_are_kept_by_hash_and_listed_newest_first(session: sa.Connection) -> None:
    made = [tokens.make(session, "ann", f"of {n}", ["read"], T + n // 2, T + HOUR) for n in range(4)]
    tokens.make(session, "bob", "his", ["read"], T + 9, T + HOUR)
    hers = tokens.of(session, "ann")
    assert [(-each.created_ns, each.id) for each in hers] == sorted((-T - n // 2, made[n][0]) for n in range(4))
    assert hers[0].used_ns is None
    assert [each.account for each in tokens.of(session, "")] == ["bob", *["ann"] * 4]
    kept = session.execute(sa.text("SELECT id, hash FROM api_tokens WHERE account = 'ann'"))
    assert {tuple(row) for row in kept} == {(number, sessions.digest(secret)) for number, secret in made}
    assert all(secret.startswith("tw_") and (len(number), len(secret)) == (16, 46) for number, secret in made)


def test_an_account_has_50_tokens_and_no_more(session: sa.Connection) -> None:
    numbers = [tokens.make(session, "ann", str(n), ["read"], T, T + HOUR)[0] for n in range(50)]
    with pytest.raises(TapewatchError, match="the account has 50 tokens"):
        tokens.make(session, "ann", "one more", ["read"], T, T + HOUR)
    tokens.make(session, "bob", "his first", ["read"], T, T + HOUR)
    tokens.revoke(session, "ann", numbers[7])
    tokens.make(session, "ann", "one more", ["read"], T, T + HOUR)


@pytest.mark.parametrize("scopes", [[], ["all"], ["read", "all"]])
def test_a_token_without_scopes_or_with_unknown_ones_is_not_made(session: sa.Connection, scopes: list[str]) -> None:
    with pytest.raises(TapewatchError, match="a token needs scopes"):
        tokens.make(session, "ann", "odd", scopes, T, T + HOUR)
    assert tokens.of(session, "ann") == []


def test_a_token_is_revoked_by_its_account_or_in_the_name_of_all(session: sa.Connection) -> None:
    (first, secret), (second, other) = (tokens.make(session, "ann", "x", ["read"], T, T + HOUR) for _ in range(2))
    for account, number in (("bob", first), ("ann", "0" * 16), ("", "0" * 16)):
        with pytest.raises(TapewatchError, match="there is no such token"):
            tokens.revoke(session, account, number)
    tokens.revoke(session, "ann", first)
    assert tokens.find(session, secret, T) is None
    assert tokens.find(session, other, T) is not None
    tokens.revoke(session, "", second)
    assert tokens.find(session, other, T) is None
