"""A websocket that stays: connecting, back-off, what is said and heard, and what a break is to others."""

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientError, WSMsgType
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from producers.base.http import TokenBucket
from producers.base.reconnecting_websocket import ReconnectingWebSocket
from tapewatch.errors import SettingsError
from tests.unit.websocket_scene import Scene, Wire, played

KEY = ConnectionKey("localhost", 443, True, True, None, None, None)
ASKED = RequestInfo(URL("ws://localhost/x"), "GET", CIMultiDictProxy(CIMultiDict()), URL("ws://localhost/x"))


def broken_at(scene: Scene, wire: Wire, second: float, code: int | None = 1006) -> None:
    """The venue will end it then."""
    asyncio.get_running_loop().call_at(second, wire.breaks, code)


def test_it_connects_subscribes_and_hands_on_what_is_pushed() -> None:
    async def scene() -> None:
        opened: list[int] = []
        wire = Wire("first", connect_s=0.5)
        one = Scene(wire, opened=opened.append)
        assert not one.link.is_up
        await one.at(2.0)
        wire.tell(WSMsgType.BINARY, b"second")
        wire.tell(WSMsgType.PING, b"are you there")
        await one.at(3.0)
        ((_, url, options),) = one.venue.calls
        assert url == "ws://localhost/x"
        assert options == {"autoping": False, "max_msg_size": 16 * 1024 * 1024, "compress": 0, "decode_text": False}
        assert wire.sent == [(0.5, "one"), (0.5, "two")]
        assert [at - one.station.now() + 3_000_000_000 for at in opened] == [500_000_000]
        assert one.decoder.messages == [(0.5, "first"), (2.0, "second")]
        assert one.tape.kept == [
            ("opened", "l", ["A", "B"], 0.5),
            ("message", "l", b"first", 0.5),
            ("message", "l", b"second", 2.0),
        ]
        assert wire.pongs == [b"are you there"]
        assert (one.link.is_up, one.link.connections, one.link.losses) == (True, 1, 0)
        await one.end()
        assert wire.goodbyes == [3.0]
        assert not one.link.is_up

    played(scene)


def test_nobody_is_told_of_an_opening_who_did_not_ask() -> None:
    async def scene() -> None:
        one = Scene(Wire())
        await one.at(1.0)
        assert one.tape.kept == []
        await one.end()

    played(scene)


def test_without_a_tape_messages_reach_the_decoder() -> None:
    async def scene() -> None:
        one = Scene(Wire("first"))
        one.station.tape_message = None
        await one.at(1.0)
        assert one.decoder.texts == ["first"]
        assert one.tape.kept == []
        await one.end()

    played(scene)


def test_a_break_is_told_with_symbols_reason_and_time_and_the_wait_doubles_until_it_holds() -> None:
    async def scene() -> None:
        wires = [Wire() for _ in range(6)]
        one = Scene(*wires, backoff_first_s=0.5, backoff_cap_s=4.0)
        for wire in wires:
            wire.breaks(1001)
        await one.at(15.0)
        starts = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5]
        assert one.venue.connects[:6] == starts
        reason = "closed by the venue with code 1001"
        assert one.decoder.losses == [(at, ["A", "B"], f"l: {reason}") for at in starts]
        assert one.tape.kept == [("lost", "l", ["A", "B"], reason, at) for at in starts]
        assert one.log.waits() == [(reason, wait) for wait in (0.5, 1.0, 2.0, 4.0, 4.0, 4.0)]
        assert (one.link.connections, one.link.losses) == (6, 6)
        await one.end()

    played(scene)


def test_before_the_first_connection_nothing_is_lost_and_later_only_once_a_break() -> None:
    async def scene() -> None:
        refused = [ConnectionRefusedError() for _ in range(2)]
        wire = Wire()
        one = Scene(*refused, wire, *refused)
        broken_at(one, wire, 5.0)
        await one.at(29.0)
        assert one.venue.connects == [0.0, 1.0, 3.0, 9.0, 17.0, 25.0]
        assert [at for at, _, _ in one.decoder.losses] == [5.0]
        assert (one.link.connections, one.link.losses) == (1, 1)
        await one.end()

    played(scene)


@pytest.mark.parametrize(("held_s", "wait_s"), [(30.0, 2.0), (30.5, 1.0)])
def test_a_connection_that_held_more_than_30_seconds_begins_back_off_anew(held_s: float, wait_s: float) -> None:
    async def scene() -> None:
        first, second = Wire(), Wire(connect_s=0.5)
        one = Scene(first, second, ping_s=5.0)
        second.answers_pings = True
        first.breaks()
        # Connecting counts: it began at second 1.
        broken_at(one, second, 1.0 + held_s)
        await one.at(40.0)
        assert one.log.waits()[1] == ("closed by the venue with code 1006", wait_s)
        assert one.venue.connects[2] == 1.0 + held_s + wait_s
        await one.end()

    played(scene)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "no connection in time"),
        (aiohttp.WSServerHandshakeError(ASKED, (), status=429), "handshake refused with HTTP 429"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLError("x")),
            "tls: the certificate is not to be trusted",
        ),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("x")), "tls: the certificate is not to be trusted"),
        (ConnectionRefusedError(111, "Connection refused"), "no connection: Connection refused"),
        (ConnectionResetError(), "no connection: ConnectionResetError"),
        (aiohttp.ServerDisconnectedError(), "no connection: ServerDisconnectedError"),
    ],
)
def test_why_there_is_no_connection_is_said(error: Exception, reason: str) -> None:
    async def scene() -> None:
        one = Scene(error)
        await one.at(0.5)
        assert one.log.waits() == [(reason, 1.0)]
        assert one.link.connections == 0
        await one.end()

    played(scene)


@pytest.mark.parametrize(("takes_s", "connections"), [(9.9, 1), (10.1, 0)])
def test_a_connection_that_does_not_come_about_in_time_is_not_waited_for(takes_s: float, connections: int) -> None:
    async def scene() -> None:
        one = Scene(Wire(connect_s=takes_s))
        await one.at(10.5)
        assert one.link.connections == connections
        assert one.log.waits() == ([] if connections else [("no connection in time", 1.0)])
        await one.end()

    played(scene)


@pytest.mark.parametrize(
    ("kind", "data", "code", "reason"),
    [
        (WSMsgType.CLOSED, None, None, "closed by the venue"),
        (WSMsgType.CLOSING, None, 1000, "closed by the venue with code 1000"),
        (WSMsgType.CLOSE, 1013, 1013, "closed by the venue with code 1013"),
        (WSMsgType.ERROR, ValueError("x"), 1009, "broke: ValueError"),
    ],
)
def test_how_a_connection_ended_is_said(kind: WSMsgType, data: Any, code: int | None, reason: str) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire)
        wire.close_code = code
        wire.tell(kind, data)
        await one.at(0.5)
        assert [told for _, _, told in one.decoder.losses] == [f"l: {reason}"]
        assert wire.goodbyes == [0.0]
        await one.end()

    played(scene)


@pytest.mark.parametrize("error", [ClientError(), ConnectionResetError(), RuntimeError()])
def test_a_socket_that_fails_while_it_is_read_is_a_break(error: Exception) -> None:
    async def scene() -> None:
        wire = Wire()
        one = Scene(wire, Wire())
        wire.fails(error)
        await one.at(2.0)
        assert [told for _, _, told in one.decoder.losses] == [f"l: broke: {type(error).__name__}"]
        assert one.link.connections == 2
        await one.end()

    played(scene)


@pytest.mark.parametrize("error", [ClientError(), ConnectionResetError(), RuntimeError()])
def test_one_that_breaks_while_it_subscribes_is_cut_and_tried_again(error: Exception) -> None:
    async def scene() -> None:
        opened: list[int] = []
        wire, again = Wire(), Wire()
        wire.send_fails = error
        one = Scene(wire, again, opened=opened.append)
        await one.at(1.5)
        assert one.log.waits() == [("broke while subscribing", 1.0)]
        assert wire.cuts == [0.0]
        assert [text for _, text in again.sent] == ["one", "two"]
        assert one.decoder.losses == [], "it never carried anything"
        assert len(opened) == 1
        await one.end()

    played(scene)


def test_what_it_says_and_how_often_it_connects_keep_to_the_venues_limits() -> None:
    async def scene() -> None:
        wires = [Wire(), Wire()]
        one = Scene(*wires, pace=TokenBucket(0.5, 1.0), connects=TokenBucket(0.1, 1.0))
        wires[0].breaks()
        await one.at(20.0)
        # The wait of a second is over long before the venue lets anybody connect anew.
        assert one.venue.connects == [0.0, 10.0]
        assert wires[0].sent == [(0.0, "one"), (2.0, "two")]
        assert wires[1].sent == [(10.0, "one"), (12.0, "two")]
        await one.end()

    played(scene)


def test_nothing_is_connected_while_kafka_does_not_keep_up() -> None:
    async def scene() -> None:
        one = Scene(Wire())
        one.station.gate.clear()
        await one.at(60.0)
        assert one.venue.connects == []
        one.station.gate.set()
        await one.at(60.0)
        assert one.venue.connects == [60.0]
        await one.end()

    played(scene)


@pytest.mark.parametrize(("stall_s", "losses"), [(9.5, 0), (10.5, 1)])
def test_a_socket_that_was_not_read_for_too_long_is_closed_and_a_shorter_stop_is_none(
    stall_s: float, losses: int
) -> None:
    async def scene() -> None:
        wire = Wire("first", "second")
        one = Scene(wire, Wire(), ping_s=1.0)
        one.station.gate.set()
        await asyncio.sleep(0)
        one.station.gate.clear()
        await one.at(stall_s)
        assert one.decoder.texts == ["first"], "one message, and no more are read"
        one.station.gate.set()
        await one.at(stall_s)
        assert one.link.losses == losses
        if losses:
            ((at, _, reason),) = one.decoder.losses
            assert (at, reason) == (10.0, "l: not read for 10 s: Kafka did not keep up")
        else:
            assert one.decoder.texts == ["first", "second"]
        await one.end()

    played(scene)


def test_one_with_much_to_read_lets_others_have_their_turn_every_two_milliseconds() -> None:
    async def scene() -> None:
        turns: list[int] = []
        wire = Wire(*(f"{number}" for number in range(12)))
        one = Scene(wire)
        read, began = one.decoder.texts, one.station.now()
        one.station.now = lambda: began + 1_000_000 * len(one.decoder.texts)
        assert read == []
        while len(one.decoder.texts) < 12:
            turns.append(len(one.decoder.texts))
            await asyncio.sleep(0)
        # The first message is later than any turn before it; from then on each third one is more than 2 ms later.
        assert [each for each in dict.fromkeys(turns) if each] == [1, 4, 7, 10]
        await one.end()

    played(scene)


def test_an_address_that_is_not_encrypted_is_refused() -> None:
    async def scene() -> None:
        one = Scene()
        await one.end()
        with pytest.raises(SettingsError):
            ReconnectingWebSocket(one.station, "l", "ws://192.0.2.1", one.decoder, {"A"}, [])  # type: ignore[arg-type]

    played(scene)
