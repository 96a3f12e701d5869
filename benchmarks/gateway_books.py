"""What a gateway has published, its journal and the venue's own books, compared to the last unit."""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from sinks.orders.venue import exact
from tapewatch.contract import topics
from tapewatch.contract.messages import Fill, Order, decode

Key = tuple[str, int]


class PublishedRecords:
    """The records of a file: each once, by order and revision or by fill id. troubles : what must not be there"""

    def __init__(self, file: Path) -> None:
        self.orders: dict[Key, Order] = {}
        self.fills: dict[str, Fill] = {}
        self.repeated, self.troubles = 0, []
        known: dict[object, bytes] = {}
        for line in file.read_bytes().splitlines():
            topic, _, value = line.partition(b"\t")
            key = self._key(topic.decode(), value) if value.endswith(b"}") else None
            if key is None:
                continue  # cut off by a kill, and published again
            self.repeated += key in known
            if known.setdefault(key, value) != value:
                self.troubles.append(f"{key} was published with two contents")

    def _key(self, topic: str, value: bytes) -> object:
        if topic == topics.FILLS:
            fill = decode(Fill, value)
            self.fills[fill.id] = fill
            return fill.id
        order = decode(Order, value)
        self.orders[order.id, order.revision] = order
        return order.id, order.revision

    def last(self) -> dict[str, Order]:
        """The newest revision of each order."""
        return {order_id: order for (order_id, _), order in sorted(self.orders.items())}


def compare(
    wanted: Iterable[str], forbidden: set[str], published: PublishedRecords, journal: Path, books: dict[str, Any]
) -> list[str]:
    """Every disagreement, in words; empty where the books agree.

    wanted : ids of the orders that were streamed; forbidden : those of them that must not be sent
    books : as benchmarks.venues.serve tells them
    """
    last = published.last()
    troubles = list(published.troubles)
    sent = Counter(order["client_id"] for order in books["orders"])
    troubles += [f"{each}: {count} orders at the venue" for each, count in sent.items() if count > 1]
    troubles += [f"{each}: sent, although off its lot" for each in forbidden & sent.keys()]
    troubles += [f"{each}: no end was published" for each in wanted if not _is_done(last.get(each))]
    troubles += [f"{each}: at the venue, never asked for" for each in sent if each not in last]
    fills: dict[str, list[Fill]] = {}
    for fill in published.fills.values():
        fills.setdefault(fill.order, []).append(fill)
    for there in books["orders"]:
        if there["client_id"] in last:
            troubles += _order_troubles(there, last[there["client_id"]], fills.get(there["client_id"], []))
    troubles += [f"{each}: filled, and not at the venue" for each in fills if each not in sent]
    for each, order in last.items():
        if each not in sent and order.state not in ("rejected", "cancelled"):
            troubles.append(f"{each}: {order.state}, and not at the venue")
    return troubles + _held_troubles(journal, books)


def _is_done(order: Order | None) -> bool:
    return order is not None and order.state in ("filled", "cancelled", "rejected")


def _order_troubles(there: dict[str, Any], here: Order, fills: list[Fill]) -> list[str]:
    """Where an order and its fills differ from the venue's."""
    name, trades = here.id, [tuple(Decimal(text) for text in trade) for trade in there["trades"]]
    total = sum((qty for _, qty, _ in trades), Decimal(0))
    mine = sorted((exact(fill.price), exact(fill.qty)) for fill in fills)
    troubles = []
    if here.state != there["state"]:
        troubles.append(f"{name}: {here.state} here, {there['state']} there")
    if exact(here.filled) != total:
        troubles.append(f"{name}: {here.filled} filled here, {total} there")
    if mine != sorted((price, qty) for price, qty, _ in trades):
        troubles.append(f"{name}: {len(mine)} fills here, {len(trades)} trades there")
    if sum((exact(fill.fee) for fill in fills), Decimal(0)) != sum((fee for _, _, fee in trades), Decimal(0)):
        troubles.append(f"{name}: fees differ")
    return troubles


def _held_troubles(journal: Path, books: dict[str, Any]) -> list[str]:
    """Where the journal's positions differ from what the account holds."""
    with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as found:
        rows = found.execute("SELECT instrument, qty FROM positions").fetchall()
    mine = {name.rpartition(".")[0]: Decimal(qty) for name, qty in rows}
    held = {symbol: Decimal(qty) for symbol, qty in books["held"].items()}
    return [] if mine == held else [f"holdings: {mine} here, {held} there"]


def moment(journal: Path) -> dict[str, int]:
    """What a gateway was in the middle of when it died: orders by phase, and records not yet known to be published.

    It looks at a copy: opening a journal after a death is the gateway's own act.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in journal.parent.glob(f"{journal.name}*"):
            shutil.copy(file, folder)
        copy = Path(folder) / journal.name
        if not copy.exists():
            return {}
        with closing(sqlite3.connect(copy)) as found:
            if not found.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
                return {}
            phases = found.execute("SELECT phase, count(*) FROM orders WHERE phase <> 'done' GROUP BY phase").fetchall()
            (unpublished,) = found.execute("SELECT count(*) FROM outbox").fetchone()
    return {**dict(phases), "unpublished": int(unpublished)}


def read_books(raw: bytes) -> dict[str, Any]:
    """The venue's books as it tells them."""
    found: dict[str, Any] = msgspec.json.decode(raw)
    return found
