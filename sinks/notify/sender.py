"""The sender: takes what is due for each subscription that has room, sends it, writes what became of it.

Each subscription has so many messages under way at most, so that a slow or dead receiver delays only itself.

Spans of deliveries: one for each alert of a message and each attempt; the receiver is told which, and may go on.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from sinks.notify import outbox, webhook
from sinks.notify.chat import Chat
from sinks.notify.outbox import ClaimedMessage, DeliveryAttempt, Tally
from sinks.notify.outcome import Outcome, next_due
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.desk.subscription_store import address, one, signing_secrets
from tapewatch.desk.subscriptions import Kind, check_target
from tapewatch.errors import TapewatchError
from tapewatch.runtime import tracing
from tapewatch.runtime.tracing import AlertIdentity, Step, Tracer
from tapewatch.security.guarded_http import GuardedHttpClient
from tapewatch.security.networks import AllowedAddresses
from tapewatch.security.secret_box import SecretBox
from tapewatch.settings.delivery import NotifySettings


class _Data(msgspec.Struct, frozen=True):
    """The data of a message: an alert, or several in a digest."""

    id: str = ""
    revision: int = 0
    scenario: str = ""
    instrument: str = ""
    alerts: list[AlertIdentity] = []


class _Body(msgspec.Struct, frozen=True):
    """A message's body."""

    type: str
    data: _Data


def alerts_of(body: bytes) -> list[AlertIdentity]:
    """The alerts that a message tells of; none where it is about something else, such as a canary."""
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    if not found.type.startswith("alert"):
        return []
    data = found.data
    return data.alerts or ([AlertIdentity(data.id, data.revision, data.scenario, data.instrument)] if data.id else [])


def header(body: bytes, message_id: str, begun_ns: int) -> dict[str, str]:
    """The W3C header of an attempt, of the first alert's trace; empty where the message is of none."""
    alerts = alerts_of(body)
    if not alerts:
        return {}
    first = alerts[0]
    attempt = _attempt(message_id, begun_ns)
    return {"traceparent": tracing.traceparent(first.id, first.revision, tracing.WEBHOOK, attempt)}


def attempted(tracer: Tracer, body: bytes, message_id: str, begun_ns: int, outcome: Outcome) -> None:
    """Send the spans of an attempt that is over."""
    done = WALL.now()
    for alert in alerts_of(body):
        told: dict[str, str | int] = {"tapewatch.message": message_id, "http.response.status_code": outcome.status}
        tracer.send(
            Step(
                tracing.WEBHOOK,
                alert.id,
                alert.revision,
                begun_ns,
                done,
                "CLIENT",
                alert.attributes | told,
                _attempt(message_id, begun_ns),
                outcome.error,
            )
        )


def _attempt(message_id: str, begun_ns: int) -> str:
    """What tells attempts apart."""
    return f"{message_id} {begun_ns}"


PAUSE_S = 0.1
"""How long the outbox is left alone when nothing has ended."""
GATHER_S = 0.005
"""How long to wait for more to end after something has: they are written together."""
TARGET_NS = NANOS
"""How long an address and its secrets are held in clear: a change counts after that."""
LEASE_MARGIN_S = 15.0
ANSWER_LIMIT = 1 << 16
RESOLVERS = 32
CHAT_TIMEOUT_S = 60.0
FORGET_EVERY_NS = 3600 * NANOS

T = TypeVar("T")
_log = logs.get("sink.notify")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a subscription's messages go, in clear. secrets : that sign, for webhooks"""

    kind: Kind
    address: str
    secrets: tuple[str, ...]


class Transports(Protocol):
    """What sends."""

    async def deliver(self, target: Target, message_id: str, body: bytes, now_ns: int) -> Outcome:
        """One attempt; never an exception."""
        ...


class GuardedTransports:
    """Webhooks over guarded requests, mail and chat in guarded threads. traced : webhooks name their span"""

    def __init__(self, settings: NotifySettings, traced: bool = False) -> None:
        self._traced = traced
        self._outgoing = GuardedHttpClient(
            settings.allow_networks,
            plain=settings.allow_http,
            redirects=0,
            timeout_s=settings.timeout_s,
            answer_limit=ANSWER_LIMIT,
        )
        self._chat = Chat(AllowedAddresses(settings.allow_networks))

    async def deliver(self, target: Target, message_id: str, body: bytes, now_ns: int) -> Outcome:
        """One attempt; never an exception."""
        if target.kind == "webhook":
            more = header(body, message_id, now_ns) if self._traced else {}
            way = self._outgoing, target.address, target.secrets
            return await webhook.deliver(*way, message_id, body, now_ns, more)
        try:
            # One that was stored before addresses were looked at so closely.
            check_target(target.kind, target.address)
        except TapewatchError as error:
            return Outcome(0, error.message)
        try:
            async with asyncio.timeout(CHAT_TIMEOUT_S):
                return await self._chat.deliver(target.address, body)
        except TimeoutError:
            return Outcome(0, f"timeout: the service did not take it within {CHAT_TIMEOUT_S:g} s")

    async def close(self) -> None:
        """End all connections."""
        await self._outgoing.close()
        self._chat.close()


class Sender:
    """Sends what the outbox holds, over one database session."""

    def __init__(
        self,
        session: sa.Connection,
        box: SecretBox,
        settings: NotifySettings,
        transports: Transports,
        tally: Tally,
        clock: Clock = WALL,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._session, self._box, self._settings = session, box, settings
        self._transports, self._tally, self._clock = transports, tally, clock
        self._draw: Callable[[], float] = random.SystemRandom().random
        self._under_way: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: list[DeliveryAttempt] = []
        self._something_ended = asyncio.Event()
        self._targets: dict[str, tuple[int, Target]] = {}
        self._forget_at = 0
        self._database = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    async def run(self, stop: threading.Event, is_done: Callable[[], bool] = lambda: False) -> None:
        """Send until `stop`, or until nothing is under way and `is_done`; then finish what is under way."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve"))
        try:
            while not stop.is_set():
                await self.turn()
                if not self._tasks and not self._ended and is_done():
                    break
                await self._pause()
            await self.finish()
        finally:
            for task in self._tasks:
                task.cancel()
            self._database.shutdown(wait=True)

    async def _pause(self) -> None:
        """Until something has ended, or for a while."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._something_ended.wait(), PAUSE_S)
            await asyncio.sleep(GATHER_S)
        self._something_ended.clear()

    async def turn(self) -> None:
        """Write what has ended and take what is due, in one transaction; begin to send it."""
        ended, self._ended = self._ended, []

        def work() -> list[tuple[ClaimedMessage, Target]]:
            self._write(ended)
            return self._claim()

        for message, target in await self._in_database(work):
            self._under_way[message.subscription_id] += 1
            task = asyncio.create_task(self._send(message, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for what is under way, and write what became of it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.timeout_s + 1.0)
        ended, self._ended = self._ended, []
        await self._in_database(partial(self._write, ended))

    async def _in_database(self, work: Callable[[], T]) -> T:
        """A transaction in the database's thread."""

        def transaction() -> T:
            with self._session.begin():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._database, transaction)

    def _write(self, ended: list[DeliveryAttempt]) -> None:
        """Write what has ended since last time."""
        if not ended:
            return
        now = self._clock.now()
        disabled = outbox.settle(self._session, ended, now, self._settings.disable_after_s)
        for key in disabled:
            _log.warning("a subscription was disabled", subscription=key)
        self._tally.add(self._clock.elapsed(), disabled=len(disabled), **_counted(ended))

    def _claim(self) -> list[tuple[ClaimedMessage, Target]]:
        """Take messages for every subscription that has room."""
        now = self._clock.now()
        if self._clock.elapsed() >= self._forget_at:
            outbox.forget(self._session, now - self._settings.keep_days * 86_400 * NANOS)
            self._forget_at = self._clock.elapsed() + FORGET_EVERY_NS
        taken: list[tuple[ClaimedMessage, Target]] = []
        for key in outbox.due(self._session, now):
            target = self._target(key, now)
            if target is None:
                continue
            room = (self._settings.concurrency if target.kind == "webhook" else 1) - self._under_way[key]
            if room > 0:
                lease = int((max(self._settings.timeout_s, CHAT_TIMEOUT_S) + LEASE_MARGIN_S) * NANOS)
                taken += [(message, target) for message in outbox.claim(self._session, key, room, now, lease)]
        return taken

    def _target(self, key: str, now_ns: int) -> Target | None:
        """Where a subscription's messages go; one whose secrets cannot be read is disabled."""
        known = self._targets.get(key)
        if known is not None and self._clock.elapsed() - known[0] < TARGET_NS:
            return known[1]
        try:
            kind = one(self._session, key).kind
            secrets = signing_secrets(self._session, self._box, key, now_ns)
            target = Target(kind, address(self._session, self._box, key), tuple(secrets))
        except TapewatchError as error:
            outbox.disable(self._session, key, error.message, now_ns)
            _log.error("a subscription was disabled", subscription=key, problem=error.message)
            return None
        self._targets[key] = (self._clock.elapsed(), target)
        return target

    async def _send(self, message: ClaimedMessage, target: Target) -> None:
        """One attempt, and what it means."""
        body, begun = message.body.encode(), self._clock.now()
        outcome = await self._transports.deliver(target, message.message_id, body, begun)
        if self._tracer is not None:
            attempted(self._tracer, body, message.message_id, begun, outcome)
        due = None
        if not outcome.delivered:
            attempts = message.attempts + 1
            due = next_due(outcome, attempts, self._clock.now(), self._settings.retry_s, self._draw)
            if due is None and outcome.gone:
                due = self._clock.now()
        self._ended.append(DeliveryAttempt(message, outcome, due))
        self._under_way[message.subscription_id] -= 1
        self._something_ended.set()


def _counted(ended: Iterable[DeliveryAttempt]) -> dict[str, int]:
    """Attempts by how they ended."""
    counts: Counter[str] = Counter()
    for each in ended:
        counts["delivered" if each.outcome.delivered else "failed"] += 1
        counts["dead"] += not each.outcome.delivered and each.due_ns is None
    return dict(counts)
