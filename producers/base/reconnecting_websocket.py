"""One websocket that stays: connected anew when it breaks, watched for silence, replaced before the venue cuts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from producers.base.backoff import Backoff
from producers.base.decoder import Decoder
from producers.base.feed_session import FeedSession
from producers.base.http import TokenBucket, checked_address

STABLE_S = 30.0
"""A connection that held this long begins back-off anew."""
LOOKS = 8
"""How often within its limit silence is looked for."""
MESSAGE_LIMIT = 16 << 20
TURN_NS = 2_000_000
"""A connection with much to read lets others do their work after that time."""
_DATA = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class WebSocketError(Exception):
    """A connection that did not come about, or broke; `args[0]` says why."""


class ReconnectingWebSocket:
    """Brings a venue's pushed messages to a decoder, one connection at a time and two while one replaces the other.

    url : wss://, or ws:// on this machine; symbols : what it carries; subscribe : messages that ask for them
    pace : the venue's limit of messages we send; connects : its limit of connections, shared by all links
    quiet_s : silence of data, pings aside, after which the connection is given up; 0 is never
    ping : the venue's own ping message, sent beside websocket pings
    opened : called when a connection carries the subscription, with the receipt time
    one_left : called when, of two connections, only one is read any more: whether it is the newer one, and the time
    The decoder must drop what comes twice, and hears `lost` when nobody was listening for a while, or may not have
    been: an old connection that ends before the new one has run beside it for its time.
    """

    def __init__(
        self,
        station: FeedSession,
        name: str,
        url: str,
        decoder: Decoder,
        symbols: Collection[str],
        subscribe: Sequence[str],
        *,
        pace: TokenBucket | None = None,
        connects: TokenBucket | None = None,
        quiet_s: float = 0.0,
        ping: str = "",
        opened: Callable[[int], None] | None = None,
        one_left: Callable[[bool, int], None] | None = None,
    ) -> None:
        self.name, self.symbols = name, set(symbols)
        self.connections = self.losses = 0
        self._station, self._decoder = station, decoder
        self._url = checked_address(url)
        self._subscribe = list(subscribe)
        self._pace = pace or TokenBucket(0.0, 1.0)
        self._connects = connects or TokenBucket(0.0, 1.0)
        self._quiet_s, self._ping, self._opened, self._one_left = quiet_s, ping, opened, one_left
        self._backoff = Backoff(station.produce.backoff_first_s, station.produce.backoff_cap_s)
        self._log = station.log.bind(link=name)
        self._standing: dict[asyncio.Task[str], _Connection] = {}
        station.links.append(self)

    @property
    def is_up(self) -> bool:
        """Whether a connection stands."""
        return bool(self._standing)

    async def run(self) -> None:
        """Carry messages until cancelled."""
        loop = asyncio.get_running_loop()
        heard = False
        while True:
            # A connection that could not be read would only be closed again.
            await self._station.gate.wait()
            begun = loop.time()
            try:
                connection = await self._connect()
                heard = True
                reason = await self._carry(connection)
            except WebSocketError as error:
                reason = str(error)
            if heard:
                # Before the first connection nothing was there to be lost.
                heard = False
                self.losses += 1
                self._lose(reason)
            if loop.time() - begun > STABLE_S:
                self._backoff.reset()
            wait_s = self._backoff.next()
            self._log.warning("connection lost", reason=reason, wait_s=round(wait_s, 3))
            await asyncio.sleep(wait_s)

    async def change(self, symbols: Collection[str], subscribe: Sequence[str], now: Sequence[str]) -> None:
        """Carry other symbols from now on. subscribe : for later connections; now : what tells those that stand

        A connection that breaks meanwhile says everything again when it is back. One that is subscribing brings every
        symbol's state with that, and is begun anew only where it has to carry others.
        """
        self.symbols, self._subscribe = set(symbols), list(subscribe)
        # Of two, either may be the one that is left.
        for connection in reversed(list(self._standing.values())):
            with suppress(WebSocketError):
                await self._say(connection, now)

    async def restart(self, reason: str) -> None:
        """Give what stands up, so that the next connection begins with a snapshot."""
        for connection in list(self._standing.values()):
            await connection.give_up(reason)

    def _lose(self, reason: str) -> None:
        at = self._station.now()
        symbols = sorted(self.symbols)
        self._station.tape_lost(self.name, symbols, reason, at)
        self._decoder.lost(symbols, f"{self.name}: {reason}", at)

    async def _carry(self, connection: _Connection) -> str:
        """Read until the connection breaks; replace it in time. Returns why it broke."""
        produce = self._station.produce
        reader, due_s = self._read(connection), produce.link_max_age_s
        try:
            while True:
                await asyncio.wait({reader}, timeout=max(0.0, due_s - connection.age_s))
                if reader.done():
                    return reader.result()
                try:
                    following = await self._connect()
                except WebSocketError as error:
                    due_s = connection.age_s + self._backoff.next()
                    self._log.warning("renewal failed, trying again", reason=str(error))
                    continue
                successor = self._read(following)
                await self._overlap(reader, successor, following)
                if reader.done():
                    # Whether the new one had begun to carry everything by then, nobody can tell.
                    return reader.result()
                if successor.done():
                    due_s = connection.age_s + self._backoff.next()
                    await self._stop(successor)
                    self._say_left(newer=False)
                    await following.close()
                    self._log.warning("renewal broke, trying again", reason=successor.result())
                    continue
                await self._stop(reader)
                self._say_left(newer=True)
                await connection.close()
                connection, reader, due_s = following, successor, produce.link_max_age_s
                self._log.info("connection renewed")
        finally:
            left = list(self._standing.values())
            await self._stop(*self._standing)
            for each in left:
                await each.close()

    def _read(self, connection: _Connection) -> asyncio.Task[str]:
        """A task that reads it; while that stands, changes are told to it."""
        reader = asyncio.create_task(connection.read(), name=f"{self.name} reader")
        self._standing[reader] = connection
        return reader

    async def _stop(self, *readers: asyncio.Task[str]) -> None:
        for reader in readers:
            del self._standing[reader]
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def _overlap(self, reader: asyncio.Task[str], successor: asyncio.Task[str], following: _Connection) -> None:
        """Let both run side by side from the new one's first message on, as long as both last."""
        produce, first = self._station.produce, asyncio.FIRST_COMPLETED
        heard = asyncio.create_task(following.heard.wait(), name=f"{self.name} renewal")
        try:
            await asyncio.wait({reader, successor, heard}, timeout=produce.connect_timeout_s, return_when=first)
        finally:
            heard.cancel()
        await asyncio.wait({reader, successor}, timeout=produce.overlap_s, return_when=first)

    def _say_left(self, *, newer: bool) -> None:
        if self._one_left is not None:
            self._one_left(newer, self._station.now())

    async def _connect(self) -> _Connection:
        """A connection that has subscribed; LinkError where there is none."""
        produce = self._station.produce
        await self._connects.take()
        try:
            socket = await asyncio.wait_for(
                self._station.session().ws_connect(
                    self._url, autoping=False, max_msg_size=MESSAGE_LIMIT, compress=0, decode_text=False
                ),
                produce.connect_timeout_s,
            )
        except TimeoutError:
            raise WebSocketError("no connection in time") from None
        except aiohttp.WSServerHandshakeError as error:
            raise WebSocketError(f"handshake refused with HTTP {error.status}") from None
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError):
            raise WebSocketError("tls: the certificate is not to be trusted") from None
        except (aiohttp.ClientError, OSError) as error:
            raise WebSocketError(f"no connection: {getattr(error, 'strerror', '') or type(error).__name__}") from None
        self.connections += 1
        connection = _Connection(self._station, self.name, socket, self._decoder, self._quiet_s, self._ping)
        carried = self.symbols
        try:
            await self._say(connection, self._subscribe)
            if carried != self.symbols:
                raise WebSocketError("what it has to carry changed while it subscribed")
        except WebSocketError as error:
            await connection.give_up(str(error))
            raise
        if self._opened is not None:
            at = self._station.now()
            self._station.tape_opened(self.name, sorted(self.symbols), at)
            self._opened(at)
        return connection

    async def _say(self, connection: _Connection, texts: Sequence[str]) -> None:
        """Send messages at the venue's pace."""
        for text in texts:
            await self._pace.take()
            try:
                await connection.socket.send_str(text)
            except (aiohttp.ClientError, ConnectionError, RuntimeError):
                raise WebSocketError("broke while subscribing") from None


class _Connection:
    """One websocket, read until it breaks."""

    def __init__(
        self,
        station: FeedSession,
        name: str,
        socket: aiohttp.ClientWebSocketResponse[Any],
        decoder: Decoder,
        quiet_s: float,
        ping: str,
    ) -> None:
        self.socket = socket
        self._station, self._name, self._decoder = station, name, decoder
        self._quiet_s, self._ping = quiet_s, ping
        self._loop = asyncio.get_running_loop()
        self._begun = self._heard = self._data_at = self._loop.time()
        self._reason = ""
        self.heard = asyncio.Event()

    @property
    def age_s(self) -> float:
        """Seconds since it was opened."""
        return self._loop.time() - self._begun

    async def close(self) -> None:
        """Say goodbye; do not wait for a server that does not answer."""
        try:
            await asyncio.wait_for(self.socket.close(), 1.0)
        except (TimeoutError, aiohttp.ClientError, ConnectionError):
            await self.give_up("closed")

    async def give_up(self, reason: str) -> None:
        """Break the connection at once."""
        self._reason = self._reason or reason
        response = getattr(self.socket, "_response", None)
        if response is not None:
            response.close()

    async def read(self) -> str:
        """Hand on messages until the connection breaks; returns why."""
        watch = asyncio.create_task(self._watch(), name=f"{self._name} watch")
        try:
            return self._reason or await self._messages()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _messages(self) -> str:
        receive, now, time = self.socket.receive, self._station.now, self._loop.time
        take, record, name, gate = self._decoder.message, self._station.tape_message, self._name, self._station.gate
        may_read = self._station.may_read
        yielded = 0
        while True:
            try:
                message = await receive()
            except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
                return self._reason or f"broke: {type(error).__name__}"
            kind = message.type
            if kind in _DATA:
                received = now()
                self._heard = self._data_at = time()
                if record is not None:
                    record(name, message.data, received)
                take(message.data, received)
                self.heard.set()
                if not gate.is_set() and not await may_read():
                    return self._reason or f"not read for {self._station.produce.hold_s:g} s: Kafka did not keep up"
                if received - yielded > TURN_NS:
                    # What is buffered comes without a pause: others must have their turn.
                    yielded = received
                    await asyncio.sleep(0)
            elif kind is aiohttp.WSMsgType.PING:
                self._heard = time()
                await self.socket.pong(message.data)
            elif kind is aiohttp.WSMsgType.PONG:
                self._heard = time()
            else:
                return self._reason or self._ended(message)

    def _ended(self, message: aiohttp.WSMessage) -> str:
        if message.type is aiohttp.WSMsgType.ERROR:
            return f"broke: {type(message.data).__name__}"
        code = self.socket.close_code
        return f"closed by the venue with code {code}" if code else "closed by the venue"

    async def _watch(self) -> None:
        """Ping, and give the connection up when nothing comes any more."""
        produce = self._station.produce
        step_s = min(produce.ping_s, produce.stale_s / LOOKS, (self._quiet_s or produce.stale_s) / LOOKS)
        pinged = looked = self._loop.time()
        while True:
            await asyncio.sleep(step_s)
            time = self._loop.time()
            late, looked = time - looked - step_s, time
            if not self._station.gate.is_set():
                # We are the ones who do not read.
                self._heard = self._data_at = time
            elif late > produce.hold_s:
                await self.give_up(f"this process stood still for {late:.0f} s")
                return
            elif late > step_s:
                # This process stood still, and could not hear anything.
                self._heard, self._data_at = min(time, self._heard + late), min(time, self._data_at + late)
            if time - self._heard > produce.stale_s:
                await self.give_up(f"silent for {time - self._heard:.1f} s")
                return
            if self._quiet_s and time - self._data_at > self._quiet_s:
                await self.give_up(f"no data for {time - self._data_at:.1f} s")
                return
            if time - pinged >= produce.ping_s:
                pinged = time
                try:
                    await self.socket.ping()
                    if self._ping:
                        await self.socket.send_str(self._ping)
                except (aiohttp.ClientError, ConnectionError, RuntimeError):
                    return
