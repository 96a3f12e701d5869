"""A websocket that says nothing: pings, silence of all and of data, and what is this process's own standing still."""

import asyncio

import pytest
from aiohttp import ClientError, WSMsgType

from tests.unit.websocket_scene import Scene, Wire, played, stand_still

# With these a look is taken every 4 s: an eighth of what counts as silence.
LOOKS = {"ping_s": 16.0, "stale_s": 32.0}


def test_pings_go_out_as_often_as_set_the_venues_own_beside_them() -> None:
    async def scene() -> None:
        wire = Wire()
        wire.answers_pings = True
        one = Scene(wire, ping="are you there", **LOOKS)
        await one.at(500.0)
        due = [16.0 * number for number in range(1, 32)]
        assert wire.pings == due
        assert wire.sent[2:] == [(at, "are you there") for at in due]
        assert one.link.losses == 0, "a venue that answers is not silent"
        await one.end()

    played(scene)


def test_without_a_ping_of_the_venues_own_none_is_sent() -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, **LOOKS)
        await one.at(20.0)
        assert wire.pings == [16.0]
        assert [text for _, text in wire.sent] == ["one", "two"]
        await one.end()

    played(scene)


@pytest.mark.parametrize("error", [ClientError(), ConnectionResetError(), RuntimeError()])
def test_a_ping_that_fails_leaves_the_reason_to_who_reads(error: Exception) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, **LOOKS)
        await one.at(1.0)
        wire.send_fails = error
        await one.at(30.0)
        wire.breaks(1006)
        await one.at(30.0)
        assert one.decoder.losses == [(30.0, ["A", "B"], "l: closed by the venue with code 1006")]
        await one.end()

    played(scene)


@pytest.mark.parametrize(
    ("settings", "quiet_s", "given_up_at", "reason"),
    [
        ({"ping_s": 16.0, "stale_s": 32.0}, 0.0, 36.0, "silent for 36.0 s"),
        ({"ping_s": 1.0, "stale_s": 32.0}, 0.0, 33.0, "silent for 33.0 s"),
        ({"ping_s": 60.0, "stale_s": 8.0}, 0.0, 9.0, "silent for 9.0 s"),
        ({"ping_s": 60.0, "stale_s": 32.0}, 24.0, 27.0, "no data for 27.0 s"),
        ({"ping_s": 60.0, "stale_s": 32.0}, 400.0, 36.0, "silent for 36.0 s"),
    ],
)
def test_silence_is_given_up_at_the_first_look_after_its_limit(
    settings: dict[str, float], quiet_s: float, given_up_at: float, reason: str
) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, quiet_s=quiet_s, **settings)
        await one.at(given_up_at - 0.1)
        assert wire.cuts == []
        await one.at(given_up_at)
        assert wire.cuts == [given_up_at]
        assert one.decoder.losses == [(given_up_at, ["A", "B"], f"l: {reason}")]
        await one.end()

    played(scene)


@pytest.mark.parametrize("kind", [WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG])
def test_whatever_comes_is_no_silence(kind: WSMsgType) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, **LOOKS)
        await one.at(10.0)
        wire.tell(kind, b"x")
        # The look at 40 s finds 30 s of it, the next one 34 s.
        await one.at(43.9)
        assert wire.cuts == []
        await one.at(44.0)
        assert one.decoder.losses == [(44.0, ["A", "B"], "l: silent for 34.0 s")]
        await one.end()

    played(scene)


@pytest.mark.parametrize(
    ("kind", "is_data"), [(WSMsgType.TEXT, True), (WSMsgType.PING, False), (WSMsgType.PONG, False)]
)
def test_pings_and_pongs_are_no_data(kind: WSMsgType, is_data: bool) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, quiet_s=16.0, ping_s=60.0, stale_s=32.0)
        await one.at(5.0)
        wire.tell(kind, b"x")
        await one.at(30.0)
        # A look every 2 s: the first that finds more than 16 s of it.
        at, silent_s = (22.0, 17.0) if is_data else (18.0, 18.0)
        assert wire.cuts == [at]
        assert one.decoder.losses == [(at, ["A", "B"], f"l: no data for {silent_s} s")]
        await one.end()

    played(scene)


@pytest.mark.parametrize(("quiet_s", "reason"), [(0.0, "silent"), (32.0, "no data")])
@pytest.mark.parametrize(
    ("still_s", "given_up_at", "silent_s"),
    [
        # From 5 s on: the look due at 8 s comes so much later, and what is left of silence counts on from there.
        (2.0, 36.0, 36.0),
        (7.0, 36.0, 36.0),  # at 12 s, 4 late: as long as from one look to the next
        (9.0, 42.0, 36.0),  # at 14 s, 6 late
        (13.0, 46.0, 36.0),  # at 18 s, 10 late: as long as it may be
    ],
)
def test_time_in_which_this_process_stood_still_is_not_the_venues_silence(
    still_s: float, given_up_at: float, silent_s: float, quiet_s: float, reason: str
) -> None:
    async def scene() -> None:
        wire = Wire()
        stale = {"ping_s": 60.0, "stale_s": 32.0} if not quiet_s else {"ping_s": 4.0, "stale_s": 320.0}
        one = Scene(wire, quiet_s=quiet_s, **stale)
        await one.at(5.0)
        stand_still(still_s)
        await one.at(given_up_at - 0.1)
        assert wire.cuts == []
        await one.at(given_up_at)
        assert [told for _, _, told in one.decoder.losses] == [f"l: {reason} for {silent_s:.1f} s"]
        await one.end()

    played(scene)


@pytest.mark.parametrize(("still_s", "said"), [(13.5, "10"), (14.0, "11"), (100.0, "97")])
def test_a_connection_that_nobody_read_for_too_long_is_given_up(still_s: float, said: str) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, **LOOKS)
        await one.at(5.0)
        stand_still(still_s)
        await one.at(5.0 + still_s)
        assert one.decoder.losses == [(5.0 + still_s, ["A", "B"], f"l: this process stood still for {said} s")]
        await one.end()

    played(scene)


@pytest.mark.parametrize(("quiet_s", "reason"), [(0.0, "silent"), (32.0, "no data")])
def test_what_was_waiting_when_it_went_on_was_heard_then_and_no_later(quiet_s: float, reason: str) -> None:
    async def scene() -> None:
        wire = Wire()
        stale = {"ping_s": 60.0, "stale_s": 32.0} if not quiet_s else {"ping_s": 4.0, "stale_s": 320.0}
        one = Scene(wire, quiet_s=quiet_s, **stale)
        await one.at(5.0)
        wire.say("waiting")
        stand_still(9.0)
        await one.at(49.9)
        assert wire.cuts == []
        await one.at(50.0)
        # Heard at 14 s; a look at 46 s finds 32 s, the next one more.
        assert [told for _, _, told in one.decoder.losses] == [f"l: {reason} for 36.0 s"]
        await one.end()

    played(scene)


@pytest.mark.parametrize(("quiet_s", "reason"), [(0.0, "silent"), (32.0, "no data")])
def test_while_kafka_does_not_keep_up_nothing_is_silence(quiet_s: float, reason: str) -> None:
    async def scene() -> None:
        wire = Wire()
        stale = {"ping_s": 60.0, "stale_s": 32.0} if not quiet_s else {"ping_s": 4.0, "stale_s": 320.0}
        one = Scene(wire, quiet_s=quiet_s, **stale)
        await one.at(1.0)
        one.station.gate.clear()
        await one.at(101.0)
        stand_still(30.0)
        await one.at(140.0)
        assert wire.cuts == []
        one.station.gate.set()
        # Looks at 131 s, when it went on, and every 4 s from then on.
        await one.at(174.9)
        assert wire.cuts == []
        await one.at(175.0)
        assert [told for _, _, told in one.decoder.losses] == [f"l: {reason} for 36.0 s"]
        await one.end()

    played(scene)


def test_a_connection_given_up_twice_ends_for_the_first_reason() -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire)
        await one.at(1.0)
        await asyncio.gather(one.link.restart("the first"), one.link.restart("the second"))
        await one.at(1.0)
        assert one.decoder.losses == [(1.0, ["A", "B"], "l: the first")]
        await one.end()

    played(scene)


def test_one_that_was_given_up_ends_for_that_reason_however_its_socket_fails() -> None:
    async def scene() -> None:
        wire = Wire()
        wire.cut_fails = RuntimeError("closed")
        one = Scene(wire, **LOOKS)
        await one.at(36.0)
        assert one.decoder.losses == [(36.0, ["A", "B"], "l: silent for 36.0 s")]
        await one.end()

    played(scene)


def test_one_that_was_given_up_while_it_could_not_be_read_ends_for_that_reason() -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, **LOOKS)
        await one.at(1.0)
        one.station.gate.clear()
        wire.say("the last one read")
        await one.at(5.0)
        await one.link.restart("a snapshot is wanted")
        await one.at(11.0)
        assert one.decoder.losses == [(11.0, ["A", "B"], "l: a snapshot is wanted")]
        await one.end()

    played(scene)
