"""One websocket that stays: connected anew when it breaks, watched for silence, replaced before the venue cuts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp

from producers.base.addresses import checked_address
from producers.base.backoff import Backoff
from producers.base.buckets import TokenBucket
from producers.base.decoder import Decoder

if TYPE_CHECKING:
    from producers.base.station import Station

STABLE_S = 30.0
"""A connection that held this long begins back-off anew."""
LOOKS = 8
"""How often within its limit silence is looked for."""
MESSAGE_LIMIT = 16 << 20
TURN_NS = 2_000_000
"""A connection with much to read lets others do their work after that time."""
_DATA = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class LinkError(Exception):
    """A connection that did not come about, or broke; `args[0]` says why."""


class Link:
    """Brings a venue's pushed messages to a decoder, one connection at a time and two while one replaces the other.

    url : wss://, or ws:// on this machine; symbols : what it carries; subscribe : messages that ask for them
    pace : the venue's limit of messages we send; connects : its limit of connections, shared by all links
    quiet_s : silence of data, pings aside, after which the connection is given up; 0 is never
    ping : the venue's own ping message, sent beside websocket pings
    opened : called when a connection carries the subscription, with the receipt time
    The decoder must drop what comes twice, and hears `lost` when nobody was listening for a while.
    """

    def __init__(
        self,
        station: Station,
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
    ) -> None:
        self.name, self.symbols = name, set(symbols)
        self.connections = self.losses = 0
        self._station, self._decoder = station, decoder
        self._url = checked_address(url)
        self._subscribe = list(subscribe)
        self._pace = pace or TokenBucket(0.0, 1.0)
        self._connects = connects or TokenBucket(0.0, 1.0)
        self._quiet_s, self._ping, self._opened = quiet_s, ping, opened
        self._backoff = Backoff(station.produce.backoff_first_s, station.produce.backoff_cap_s)
        self._log = station.log.bind(link=name)
        self._current: _Connection | None = None
        self._changes = 0

    @property
    def is_up(self) -> bool:
        """Whether a connection stands."""
        return self._current is not None

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
            except LinkError as error:
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
        """Carry other symbols from now on. subscribe : for later connections; now : what tells the present one"""
        self.symbols, self._subscribe = set(symbols), list(subscribe)
        self._changes += 1
        if self._current is not None:
            await self._say(self._current, now)

    async def restart(self, reason: str) -> None:
        """Give the present connection up, so that the next one begins with a snapshot."""
        if self._current is not None:
            await self._current.give_up(reason)

    def _lose(self, reason: str) -> None:
        at = self._station.now()
        symbols = sorted(self.symbols)
        self._station.tape_lost(self.name, symbols, reason, at)
        self._decoder.lost(symbols, f"{self.name}: {reason}", at)

    async def _carry(self, connection: _Connection) -> str:
        """Read until the connection breaks; replace it in time. Returns why it broke."""
        produce = self._station.produce
        reader = asyncio.create_task(connection.read(), name=f"{self.name} reader")
        due_s = produce.link_max_age_s
        try:
            while True:
                await asyncio.wait({reader}, timeout=max(0.0, due_s - connection.age_s))
                if reader.done():
                    return reader.result()
                try:
                    following = await self._connect()
                except LinkError as error:
                    due_s = connection.age_s + self._backoff.next()
                    self._log.warning("renewal failed, trying again", reason=str(error))
                    continue
                successor = asyncio.create_task(following.read(), name=f"{self.name} reader")
                heard = asyncio.create_task(following.heard.wait(), name=f"{self.name} renewal")
                await asyncio.wait(
                    {successor, heard}, timeout=produce.connect_timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
                heard.cancel()
                await asyncio.wait({successor}, timeout=produce.overlap_s)
                if successor.done():
                    due_s = connection.age_s + self._backoff.next()
                    continue
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                await connection.close()
                connection, reader, due_s = following, successor, produce.link_max_age_s
                self._log.info("connection renewed")
        finally:
            self._current = None
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await connection.close()

    async def _connect(self) -> _Connection:
        """A connection that has subscribed; LinkError where there is none."""
        produce = self._station.produce
        await self._connects.take()
        changes = self._changes
        try:
            socket = await asyncio.wait_for(
                self._station.session().ws_connect(
                    self._url, autoping=False, max_msg_size=MESSAGE_LIMIT, compress=0, decode_text=False
                ),
                produce.connect_timeout_s,
            )
        except TimeoutError:
            raise LinkError("no connection in time") from None
        except aiohttp.WSServerHandshakeError as error:
            raise LinkError(f"handshake refused with HTTP {error.status}") from None
        except (aiohttp.ClientSSLError, aiohttp.ClientConnectorCertificateError):
            raise LinkError("tls: the certificate is not to be trusted") from None
        except (aiohttp.ClientError, OSError) as error:
            raise LinkError(f"no connection: {getattr(error, 'strerror', '') or type(error).__name__}") from None
        self.connections += 1
        connection = _Connection(self._station, self.name, socket, self._decoder, self._quiet_s, self._ping)
        await self._say(connection, self._subscribe)
        if changes != self._changes:
            await self._say(connection, self._subscribe)
        self._current = connection
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
                raise LinkError("broke while subscribing") from None


class _Connection:
    """One websocket, read until it breaks."""

    def __init__(
        self,
        station: Station,
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
        pinged = self._loop.time()
        while True:
            await asyncio.sleep(step_s)
            time = self._loop.time()
            if not self._station.gate.is_set():
                # We are the ones who do not read.
                self._heard = self._data_at = time
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
