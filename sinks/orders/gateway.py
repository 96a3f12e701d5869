"""One gateway: orders in, a venue's orders out, exactly once.

The protocol of an order, and what a death at each step means:

1. Its intent is journalled, in one transaction with the offset it was read at. Before: it is read again.
2. "sent" is journalled, on disk, before the request leaves. After: the venue is asked by client order id.
3. The venue answers. An answer that was not journalled is asked for again.
4. No answer: the venue is asked. It knows the order: that is the answer. It does not, and too much time has passed for
   the request to be accepted any more: back to step 1, under the same client order id.
5. What the venue says is journalled in one transaction with the records to publish. Those are published, then
   forgotten: after a death between the two the same revision is published again, byte for byte.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from decimal import Decimal

from sinks.orders.journal import Entry, Journal
from sinks.orders.limits import Limits
from sinks.orders.venue import (
    NotSentError,
    OrderStatusReport,
    RefusedError,
    Ticket,
    UnansweredError,
    Venue,
    VenueError,
    book,
    revise,
    shared_out,
)
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.errors import SettingsError

AT_ONCE = 8
"""Requests under way at a time."""

_LOOK = "look"

_log = logs.get("sink.orders")


class Gateway:
    """Brings each order that was taken in to its end at the venue.

    active : orders that are not done, by id; `Intake` adds to them
    SettingsError where the venue has no such instrument as the limits allow.
    """

    def __init__(
        self,
        venue: Venue,
        journal: Journal,
        limits: Limits,
        poll_s: float = 1.0,
        clock: Clock = WALL,
    ) -> None:
        self._venue, self._journal, self._limits = venue, journal, limits
        self._symbols = {each: _symbol(venue, each) for each in limits.instruments}
        self._poll_ns, self._clock = int(poll_s * NANOS), clock
        self.active: dict[str, Entry] = {entry.id: entry for entry in journal.active()}
        self._poll_at = 0
        self._begun = clock.elapsed()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._work: dict[str, asyncio.Future[None]] = {}
        self._strange: set[str] = set()

    async def step(self) -> None:
        """One round: set to work on every order that is due and not worked on, and look at what is open.

        Nothing waits for another order's answer. What failed in the meantime is raised here.
        """
        now = self._clock.elapsed()
        for entry in list(self.active.values()):
            if (entry.phase != "open" or entry.cancel) and entry.due_ns <= now:
                self._begin(entry.id, self._advance(entry))
        if now >= self._poll_at and _LOOK not in self._work:
            self._poll_at = now + self._poll_ns
            self._begin(_LOOK, self._look({each.instrument for each in self.active.values() if each.phase == "open"}))
        await asyncio.sleep(0)
        for name, task in list(self._work.items()):
            if task.done():
                del self._work[name]
                task.result()

    def _begin(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Start a piece of work, unless one of that name is under way."""
        if name in self._work:
            work.close()
        else:
            self._work[name] = asyncio.ensure_future(work)

    async def end(self, patience_s: float = 0.0) -> None:
        """Give what is under way so long to come to an end, and break off the rest: the journal knows of it."""
        if self._work and patience_s:
            await asyncio.wait(self._work.values(), timeout=patience_s)
        for task in self._work.values():
            task.cancel()
        await asyncio.gather(*self._work.values(), return_exceptions=True)
        self._work.clear()

    async def _advance(self, entry: Entry) -> None:
        """The next step of one order."""
        async with self._gate:
            if entry.phase == "intended":
                await self._send(entry)
            elif entry.phase == "sent":
                await self._resolve(entry)
            elif entry.phase == "open":
                await self._cancel(entry)

    async def _send(self, entry: Entry) -> None:
        """Send an order of which it is certain that the venue does not have it."""
        now = self._clock.now()
        if entry.cancel:
            self._end(entry, "cancelled", "cancelled before it was sent")
        elif self._limits.is_stale(entry.created, now):
            self._end(entry, "rejected", f"older than {self._limits.max_age_ns / NANOS:g} s")
        else:
            entry.phase, entry.sends, entry.sent_ns = "sent", entry.sends + 1, now
            entry.flew_ns = self._clock.elapsed()
            with self._journal.transaction():
                self._journal.put(entry)
            await self._place(entry)

    async def _place(self, entry: Entry) -> None:
        """The request itself, and what its answer means."""
        try:
            standing = await self._venue.place(self._ticket(entry))
        except NotSentError as error:
            self._back_off(entry, error)
            entry.phase = "intended"
            with self._journal.transaction():
                self._journal.put(entry)
        except RefusedError as error:
            # What was sent before may stand at the venue, and be the very reason of the refusal.
            if entry.sends > 1 or error.perhaps_known:
                await self._resolve(entry, error.reason)
            else:
                self._end(entry, "rejected", error.reason)
        except UnansweredError as error:
            self._is_unknown(entry, error)
        else:
            self._apply(entry, standing)
            if standing.filled != entry.filled:
                await self._inspect(entry)

    async def _resolve(self, entry: Entry, refusal: str = "") -> None:
        """Ask the venue what became of an order whose answer is not known. refusal : why it says it did not take it."""
        asked = self._clock.elapsed()
        # What was sent before this gateway began flies at most since then.
        flew = max(entry.flew_ns, self._begun)
        try:
            standing = await self._venue.find(self._ticket(entry))
        except VenueError as error:
            self._is_unknown(entry, error)
            return
        if standing is not None:
            self._apply(entry, standing)
        elif refusal:
            self._end(entry, "rejected", refusal)
        elif asked - flew < self._venue.in_flight_s * NANOS:
            # It may still have been on its way when the venue looked: its no is no proof yet.
            entry.due_ns = flew + int(self._venue.in_flight_s * NANOS)
        else:
            entry.phase, entry.due_ns = "intended", 0
            with self._journal.transaction():
                self._journal.put(entry)

    async def _cancel(self, entry: Entry) -> None:
        """Ask for an order's cancellation, then look at it."""
        try:
            await self._venue.cancel(self._ticket(entry))
        except VenueError as error:
            _log.info("cancel not taken", order=entry.id, reason=error.reason)
        await self._inspect(entry)
        entry.due_ns = max(entry.due_ns, self._clock.elapsed() + self._poll_ns)

    async def reconcile(self) -> None:
        """Compare all allowed instruments' open orders with the journal, also where it thinks that there are none."""
        await self._look(self._limits.instruments)

    async def _look(self, instruments: Iterable[str]) -> None:
        """Compare open orders with the venue's list of them, and inspect those that differ."""
        for instrument in sorted(instruments):
            try:
                listed = await self._venue.open_orders(self._symbol(instrument))
            except VenueError as error:
                _log.warning("open orders not answered", instrument=instrument, reason=error.reason)
                continue
            by_id = {standing.client_id: standing for standing in listed}
            self._notice(instrument, by_id.keys() - self.active.keys())
            mine = [each for each in self.active.values() if (each.instrument, each.phase) == (instrument, "open")]
            for entry in mine:
                if entry.id in self._work:
                    continue
                seen = by_id.get(entry.id)
                if seen is None or seen.filled != entry.filled or entry.state != "open":
                    await self._inspect(entry)

    def _notice(self, instrument: str, unexpected: set[str]) -> None:
        """Take up again what the journal thought done, and say once what is not ours: that is left alone."""
        for client_id in sorted(unexpected - self._strange):
            entry = self._journal.get(client_id)
            if entry is None:
                self._strange.add(client_id)
                _log.warning("open order that is not this gateway's", instrument=instrument, order=client_id)
            else:
                entry.phase = "open"
                self.active[entry.id] = entry
                _log.warning("order thought done is open", instrument=instrument, order=client_id, state=entry.state)

    async def _inspect(self, entry: Entry) -> None:
        """Take in the venue's full account of an order."""
        try:
            standing = await self._venue.find(self._ticket(entry))
        except VenueError as error:
            _log.warning("order not answered", order=entry.id, reason=error.reason)
            return
        if standing is None:
            _log.error("the venue does not know an order it has acknowledged", order=entry.id)
        else:
            self._apply(entry, standing)

    def _apply(self, entry: Entry, standing: OrderStatusReport) -> None:
        """Journal what the venue says of an order, with the records to publish. An older account changes nothing."""
        if entry.phase == "done" or standing.filled < entry.filled:
            return
        now = self._clock.now()
        before = (entry.state, entry.venue_order_id, entry.filled)
        with self._journal.transaction():
            self._book(entry, standing)
            entry.phase, entry.failures = "open", 0
            entry.venue_order_id = standing.venue_order_id or entry.venue_order_id
            # An end counts once every execution is there: lists of trades lag behind orders.
            if standing.state != "open" and standing.filled == entry.filled:
                entry.phase, entry.state, entry.reason = "done", standing.state, standing.reason
            else:
                entry.state, entry.reason = "open", ""
            if (entry.state, entry.venue_order_id, entry.filled) != before:
                revise(self._journal, entry, now)
            else:
                self._journal.put(entry)
        if entry.phase == "done":
            self.active.pop(entry.id, None)

    def _book(self, entry: Entry, standing: OrderStatusReport) -> None:
        """Book the executions that are new."""
        booked = self._journal.fills(entry.id)
        new = [each for each in standing.executions if each.trade_id not in booked]
        if not new:
            return
        paid = sum((fee for _, fee in booked.values()), Decimal(0))
        for execution, fee in zip(new, shared_out(new, standing.fees, paid), strict=True):
            book(self._journal, entry, execution, fee)
            entry.filled += execution.qty

    def _end(self, entry: Entry, state: str, reason: str) -> None:
        """An order that the venue does not have, and will not get."""
        entry.phase, entry.reason = "done", reason
        entry.state = "cancelled" if state == "cancelled" else "rejected"
        with self._journal.transaction():
            revise(self._journal, entry, self._clock.now())
        self.active.pop(entry.id, None)
        _log.warning("order not sent", order=entry.id, instrument=entry.instrument, reason=reason)

    def _is_unknown(self, entry: Entry, error: VenueError) -> None:
        """Note that an order's fate is not known; it is asked after."""
        self._back_off(entry, error)
        if entry.state != "unknown":
            entry.state = "unknown"
            with self._journal.transaction():
                revise(self._journal, entry, self._clock.now())

    def _back_off(self, entry: Entry, error: VenueError) -> None:
        """Leave an order alone for a while: as long as the venue asks for, or longer with each failure up to 5 s."""
        wait = error.wait_s if isinstance(error, NotSentError) else 0.0
        pause = wait or min(5.0, 0.05 * 2.0 ** min(entry.failures, 10))
        entry.failures += 1
        entry.due_ns = self._clock.elapsed() + int(pause * NANOS)
        _log.info("waiting", order=entry.id, seconds=round(pause, 2), reason=error.reason)

    def _symbol(self, instrument: str) -> str:
        """The venue's spelling, also of an instrument that was allowed once and has an order under way."""
        return self._symbols.get(instrument) or _symbol(self._venue, instrument)

    def _ticket(self, entry: Entry) -> Ticket:
        return Ticket(
            entry.id,
            self._symbol(entry.instrument),
            entry.side,
            entry.price,
            entry.qty,
        )


def _symbol(venue: Venue, instrument: str) -> str:
    """The venue's spelling of an instrument; SettingsError where it has none."""
    try:
        return venue.symbol(instrument)
    except ValueError as error:
        raise SettingsError(str(error), "Leave it out of orders.instruments, or choose its venue.") from None
