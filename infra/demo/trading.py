"""What is traded on paper in one feed, as it becomes readable: actions, orders, fills and the result so far."""

from collections import deque

from confluent_kafka import Message

from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Fill, Order, Position, Signal
from tapewatch.errors import ContractError

FOLLOWED = (topics.SIGNALS, topics.ORDERS, topics.FILLS, topics.POSITIONS)
STANDING = ("pending", "open", "unknown")
NEWEST = 12


class TradingState:
    """What is known after the records that were taken. topic : the market topic whose trading it is

    orders : ids; standing : those that may still trade; fills : how many; actions : the newest signals that ask for
    something; executions : the newest fills
    """

    def __init__(self, topic: str) -> None:
        self.orders: set[str] = set()
        self.standing: set[str] = set()
        self.fills = 0
        self.actions: deque[Signal] = deque(maxlen=NEWEST)
        self.executions: deque[Fill] = deque(maxlen=NEWEST)
        self._topic = topic
        self._accounts: dict[str, Position] = {}

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

    def take(self, message: Message) -> None:
        """Take note of a record; what is no message, or another feed's, is passed over."""
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
