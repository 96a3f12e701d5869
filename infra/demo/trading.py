"""What is traded on paper in one feed, as it becomes readable: actions, orders, fills and the result so far."""

from collections import deque

from confluent_kafka import Message

from infra.demo.behind import Behind
from tapewatch import messages, topics
from tapewatch.errors import ContractError
from tapewatch.messages import Fill, Order, Position, Signal
from tapewatch.settings import Settings

FOLLOWED = (topics.SIGNALS, topics.ORDERS, topics.FILLS, topics.POSITIONS)
STANDING = ("pending", "open", "unknown")
NEWEST = 12


class Trading:
    """Reads on behind engine and paper broker, read-committed; begins where the topics end.

    orders : ids; standing : those that may still trade; fills : how many; actions : the newest signals that ask for
    something; executions : the newest fills
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self.orders: set[str] = set()
        self.standing: set[str] = set()
        self.fills = 0
        self.actions: deque[Signal] = deque(maxlen=NEWEST)
        self.executions: deque[Fill] = deque(maxlen=NEWEST)
        self._topic = topic
        self._accounts: dict[str, Position] = {}
        self._reader = Behind(settings, FOLLOWED, self._take)

    @property
    def error(self) -> BaseException | None:
        """What ended the reading before `close`."""
        return self._reader.error

    @property
    def result(self) -> dict[str, float]:
        """Realised and unrealised less fees and taxes, by currency."""
        found: dict[str, float] = {}
        for account in list(self._accounts.values()):
            found[account.currency] = found.get(account.currency, 0.0) + account.result
        return {currency: round(result, 2) for currency, result in sorted(found.items())}

    @property
    def open_positions(self) -> int:
        """Instruments that something is held of, or owed."""
        return sum(account.position != 0.0 for account in list(self._accounts.values()))

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def _take(self, message: Message) -> None:
        try:
            said = messages.decode(messages.BY_TOPIC[message.topic() or ""], message.value() or b"")
        except ContractError:
            return
        if not isinstance(said, Signal | Order | Fill | Position):
            return
        if said.cause is None or said.cause.topic != self._topic:
            return
        if isinstance(said, Signal):
            if said.action != "hold":
                self.actions.append(said)
        elif isinstance(said, Order):
            self.orders.add(said.id)
            (self.standing.add if said.state in STANDING else self.standing.discard)(said.id)
        elif isinstance(said, Fill):
            self.fills += 1
            self.executions.append(said)
        else:
            self._accounts[said.instrument] = said
