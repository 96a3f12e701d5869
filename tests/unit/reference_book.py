"""The book features of docs/scenarios/spoofing.md, layering.md and quote_stuffing.md, slowly and plainly: an order is
an object, a side of a book is a dictionary, and what fades is summed anew from the list of seconds.

Written from the formulas alone, to hold the detector's kernels against.
"""

import math
from dataclasses import dataclass, field, replace
from statistics import fmean

from detectors.book.batch import Tape

NANOS = 1_000_000_000
BID, ASK = 0, 1
BUY, SELL = 1, -1
LEVELS = 10
FOLLOWED = 16
BARS = {("behind", "shared"): 1.1, ("behind", "own"): 2.7, ("touch", "shared"): 3.2, ("touch", "own"): 3.7}
LEAST = -1.6
FADING = {"lately": 0.966, "long": 0.9885}


@dataclass
class Order:
    """An order that somebody seems to have placed."""

    side: int
    price: float
    placed: float
    left: float
    others: float
    born: float
    usual: float
    bar: float
    level: int
    replaces: bool
    trades_before: int
    raised: float = 0.0
    gone: float | None = None
    apart: float = 1.0
    filled: float = 0.0
    cut: float = 0.0
    cuts: int = 0
    parts: int = 1
    moves: int = 0

    def size(self) -> float:
        return self.placed / self.usual

    def weight(self) -> float:
        return math.log(self.size()) - self.bar + self.raised

    def says(self) -> float:
        return (self.weight() - LEAST) * max(0.0, 1.0 - self.filled / self.placed)

    def leave(self, now: float, level: int, apart: float) -> None:
        self.gone, self.level, self.apart = now, level, min(1.0, apart)

    def fill(self, quantity: float) -> None:
        self.left -= quantity
        self.filled += quantity


@dataclass
class Withdrawal:
    """The strongest withdrawal of late, as it was when it was counted."""

    order: Order
    says: float
    life: float
    traded: float
    together: int
    mirrored: float
    replaced: int


@dataclass
class QuoteSide:
    """One side of the quotes."""

    price: float = 0.0
    quantity: float = 0.0
    before: float = 0.0
    turned: float = 0.0
    grown: float = 0.0
    grown_at: float = 0.0


def pair() -> tuple[list[float], list[float]]:
    return [], []


@dataclass
class Second:
    """What happened in one second; quantities by side."""

    quotes: int = 0
    resized: int = 0
    reverted: int = 0
    returned: int = 0
    changes: int = 0
    fleeting: int = 0
    trades: list[float] = field(default_factory=list)
    added: tuple[list[float], list[float]] = field(default_factory=pair)
    removed: tuple[list[float], list[float]] = field(default_factory=pair)
    taken: tuple[list[float], list[float]] = field(default_factory=pair)
    withdrawn: tuple[list[float], list[float]] = field(default_factory=pair)


def ratio(value: float, usual: float) -> float:
    return math.log((1.0 + value) / (1.0 + usual))


def lean(a: float, b: float) -> float:
    return (a - b) / (a + b) if a + b > 0 else 0.0


def better(side: int, a: float, b: float) -> bool:
    """Whether price a stands before price b in its side of the book."""
    return a > b if side == BID else a < b


def sees(side: int, levels: dict[float, float], price: float) -> bool:
    """Whether a side would show an order at this price: the ten best do, fewer are all there is."""
    return len(levels) < LEVELS or not better(side, list(levels)[-1], price)


class Market:
    """One instrument."""

    def __init__(self) -> None:
        self.seats: list[Order | None] = [None] * FOLLOWED
        self.books = 0
        self.levels: tuple[dict[float, float], dict[float, float]] = ({}, {})
        self.newest = 0.0
        self.growths: list[float] = []
        self.trades: list[tuple[float, float, int]] = []
        self.unexplained = 0
        self.spent = [0.0, 0.0]
        self.quoted = (QuoteSide(), QuoteSide())
        self.mid = self.mid_before = 0.0
        self.held: Withdrawal | None = None
        self.held_at = 0
        self.now = Second()
        self.past: list[Second] = []
        self.means: dict[str, float] = {}
        self.slow_lean = 0.0

    # rows

    def trade(self, price: float, quantity: float, aggressor: int) -> None:
        self.trades.append((price, quantity, aggressor))
        self.now.trades.append(quantity)

    def quote(self, prices: tuple[float, float], quantities: tuple[float, float], now: float) -> None:
        self.now.quotes += 1
        for quoted, price, quantity in zip(self.quoted, prices, quantities, strict=True):
            change = quantity - quoted.quantity
            if price != quoted.price:
                self.now.returned += price == quoted.before and now - quoted.turned <= 1.0
                quoted.before, quoted.turned, quoted.grown = quoted.price, now, 0.0
            elif change > 0:
                self.now.resized += 1
                quoted.grown, quoted.grown_at = change, now
            elif change < 0:
                self.now.resized += 1
                same = abs(quoted.grown + change) <= 1e-6 * quoted.grown
                self.now.reverted += same and now - quoted.grown_at <= 1.0
            quoted.price, quoted.quantity = price, quantity

    def book(self, new: tuple[dict[float, float], dict[float, float]], now: float) -> None:
        self.settle(now)
        if self.books and now - self.newest <= 10.0:
            if self.jumped(new):
                self.run_over(new, now)
            else:
                for side in (BID, ASK):
                    self.shrink(side, new[side], now)
                for side in (BID, ASK):
                    self.grow(side, new[side], now)
            self.look_again(new, now)
        self.unexplained, self.spent = len(self.trades), [0.0, 0.0]
        self.levels, self.newest = new, now
        self.books += 1
        if new[BID] and new[ASK]:
            self.mid = (max(new[BID]) + min(new[ASK])) / 2
            self.mid_before = self.mid_before or self.mid

    # from book to book

    def usual(self) -> float:
        return fmean(self.growths) if self.growths else 0.0

    def standing(self) -> list[Order]:
        return [order for order in self.seats if order and order.gone is None]

    def at(self, side: int, price: float) -> list[Order]:
        return [order for order in self.standing() if order.side == side and order.price == price]

    def forget(self, order: Order) -> None:
        self.seats = [None if seat is order else seat for seat in self.seats]

    def explained(self, side: int, price: float, quantity: float) -> float:
        """How much of a quantity at a price went to trades since the last book, at or through it; they are used up."""
        hits = [trade for trade in self.trades[self.unexplained :] if trade[2] == (SELL if side == BID else BUY)]
        if not any(p == price or better(side, price, p) for p, _, _ in hits):
            return 0.0
        taken = min(quantity, sum(q for _, q, _ in hits) - self.spent[side])
        self.spent[side] += taken
        return taken

    def shrink(self, side: int, new: dict[float, float], now: float) -> None:
        for level, (price, quantity) in enumerate(self.levels[side].items()):
            left = new.get(price, 0.0)
            lost = quantity - left
            if not sees(side, new, price) or lost <= 1e-9:
                continue
            self.now.changes += 1
            taken = self.explained(side, price, lost)
            if taken > 0:
                self.now.taken[side].append(taken)
                self.trade_away(side, price, taken)
            if lost - taken > 1e-9:
                self.now.removed[side].append(lost - taken)
                self.withdraw(side, price, lost - taken, left, level, now)

    def trade_away(self, side: int, price: float, quantity: float) -> None:
        for order in self.at(side, price):
            taken = min(quantity, order.left)
            order.fill(taken)
            quantity -= taken
            if order.left < 0.1 * order.placed:
                self.forget(order)

    def withdraw(self, side: int, price: float, quantity: float, left: float, level: int, now: float) -> None:
        for _ in range(3):
            found = self.at(side, price)
            if not found or quantity < 0.2 * self.usual():
                return
            order = min(found, key=lambda one: abs(quantity / one.left - 1.0))
            if quantity < 0.7 * order.left:
                self.cut(order, quantity, left, level, now)
                return
            order.leave(now, level, abs(quantity - order.left) / order.placed)
            quantity -= order.left

    @staticmethod
    def cut(order: Order, quantity: float, left: float, level: int, now: float) -> None:
        order.cut += quantity
        order.cuts += quantity >= 0.15 * order.placed
        order.left = min(order.left, max(left, 1e-9))
        little = 0.35 * order.placed
        if left < little or (order.cut >= 0.7 * order.placed and left <= order.others + little):
            order.leave(now, level, abs(order.cut - order.placed) / order.placed)

    def grow(self, side: int, new: dict[float, float], now: float) -> None:
        old = self.levels[side]
        for level, (price, quantity) in enumerate(new.items()):
            had = old.get(price, 0.0)
            gained = quantity - had
            if not sees(side, old, price) or gained <= 1e-9:
                continue
            self.now.changes += 1
            self.now.added[side].append(gained)
            behind = level > 0 or len(new) == 1
            if len(self.growths) >= 50:
                bar = BARS["behind" if behind else "touch", "shared" if had else "own"]
                self.place(side, price, gained, had, bar, level, now)
                gained = min(gained, 5.0 * self.usual())
            if behind:
                self.growths.append(gained)

    def place(self, side: int, price: float, quantity: float, had: float, bar: float, level: int, now: float) -> None:
        weight = math.log(quantity / self.usual()) - bar
        if weight < LEAST - 1.0 or self.came_back(side, price, quantity, weight, now):
            return
        for order in self.at(side, price):
            if now - order.born <= 1.3:
                order.placed, order.left, order.parts = order.placed + quantity, order.left + quantity, order.parts + 1
                return
        seat = self.seat(weight)
        if weight < LEAST or seat is None:
            return
        gone = [order for order in self.seats if order and order.gone is not None and order.side == side]
        replaces = any(0.5 <= quantity / order.placed <= 2.0 for order in gone)
        placed = Order(
            side, price, quantity, quantity, had, now, self.usual(), bar, level, replaces, len(self.trades)
        )  # fmt: skip
        self.seats[seat] = placed
        if self.held and replaces and self.held.order.side == side:
            self.held.replaced += 0.5 <= placed.size() / self.held.order.size() <= 2.0

    def came_back(self, side: int, price: float, quantity: float, weight: float, now: float) -> bool:
        for order in self.seats:
            if order and order.side == side and order.gone is not None and now - order.gone <= 0.35:
                if abs(quantity / order.left - 1.0) > 0.12:
                    continue
                order.moves += order.price != price
                order.price, order.left, order.gone = price, quantity, None
                order.raised += max(0.0, weight - order.weight())
                return True
        return False

    def seat(self, weight: float) -> int | None:
        """An empty seat, else that of a standing order out of sight, else of the lightest one if it is lighter."""
        if None in self.seats:
            return self.seats.index(None)
        standing = self.standing()
        hidden = [order for order in standing if not sees(order.side, self.levels[order.side], order.price)]
        lighter = [order for order in standing if order.weight() < weight]
        chosen = hidden[0] if hidden else min(lighter, key=Order.weight, default=None)
        return None if chosen is None else self.seats.index(chosen)

    def jumped(self, new: tuple[dict[float, float], dict[float, float]]) -> bool:
        """Whether the ten levels of a side all lie before its old best one, or the ten old ones before its best now."""
        for side in (BID, ASK):
            (best, *_, worst), (old_best, *_, old_worst) = (
                [*book[side], *[math.nan] * (LEVELS - len(book[side]))] for book in (new, self.levels)
            )
            if better(side, worst, old_best) or better(side, old_worst, best):
                return True
        return False

    def run_over(self, new: tuple[dict[float, float], dict[float, float]], now: float) -> None:
        for order in self.standing():
            best = next(iter(new[order.side]), None)
            if best is None or not better(order.side, order.price, best):
                continue
            order.fill(self.explained(order.side, order.price, order.left))
            if order.left < 0.35 * order.placed:
                self.forget(order)
            else:
                order.leave(now, 0, 1.0)

    def look_again(self, new: tuple[dict[float, float], dict[float, float]], now: float) -> None:
        for order in self.standing():
            side, price = order.side, order.price
            if sees(side, self.levels[side], price) or not new[side] or better(side, list(new[side])[-1], price):
                continue
            if new[side].get(price, 0.0) < 0.35 * order.placed:
                order.leave(now, LEVELS - 1, 1.0)

    def settle(self, now: float) -> None:
        """By seat, one after another: what is counted later no longer sees what was forgotten before it."""
        for order in [order for order in self.seats if order]:
            if order.gone is None and now - order.born > 30.0:
                self.forget(order)
            if order.gone is not None and now - order.gone > 0.35:
                self.count(order, order.gone - order.born)
                self.forget(order)

    def count(self, order: Order, life: float) -> None:
        """Count an order that is gone for good."""
        if life < 0.2:
            self.now.fleeting += 1
            return
        self.now.withdrawn[order.side].append(order.says())
        if order.says() >= self.held_now():
            together, mirrored = len(self.companions(order)), self.mirrored(order)
            held = replace(order)
            self.held = Withdrawal(
                held, order.says(), life, self.traded(order), together, mirrored, int(order.replaces)
            )  # fmt: skip
            self.held_at = len(self.past)

    # what an order is beside

    def around(self, order: Order) -> list[Order]:
        return [one for one in self.seats if one and abs(one.born - order.born) <= 1.5]

    def companions(self, order: Order) -> list[Order]:
        return [
            one
            for one in self.around(order)
            if one.side == order.side and (order.gone is None or one.gone is not None)
        ]  # fmt: skip

    def mirrored(self, order: Order) -> float:
        return sum(one.says() for one in self.around(order) if one.side != order.side)

    def traded(self, order: Order) -> float:
        """What was traded against the other side since the order was placed."""
        against = BUY if order.side == BID else SELL
        return sum(q for _, q, aggressor in self.trades[order.trades_before :] if aggressor == against)

    def held_now(self) -> float:
        return self.held.says * 0.75 ** (len(self.past) - self.held_at) if self.held else 0.0

    # seconds

    def close(self, end: float) -> dict[str, float] | None:
        """The features of the second that ends; None while too little was seen."""
        if not self.books or not self.growths:
            return None
        self.settle(end)
        self.past.append(self.now)
        row = {
            **self.standing_now(end), **self.gone_now(), **self.held_row(), **self.faded(), **self.amounts(),
            **self.rates(), **self.shape(),
        }  # fmt: skip
        self.now = Second()
        self.mid_before = self.mid
        return row if len(self.past) > 10 else None

    def against_usual(self, name: str, value: float, unit: float = 1.0, now: float | None = None) -> float:
        """The ratio of a second's value, or of `now` in its stead, to its mean so far, which then takes the value."""
        mean, seconds = self.means.get(name, 0.0), len(self.past)
        taken = min(value, 5.0 * mean + 1e-9) if seconds > 10 else value
        self.means[name] = mean + (taken - mean) / min(seconds, 120)
        return ratio((value if now is None else now) / unit, mean / unit)

    def opposite(self, traded: float, age: float) -> float:
        """Trades on the other side over half of what is usually traded in that time."""
        return ratio(traded / self.usual(), 0.5 * age * self.means.get("volume", 0.0) / self.usual())

    def standing_now(self, end: float) -> dict[str, float]:
        young = [order for order in self.seats if order and end - order.born <= 20.0]
        seen = [
            order
            for order in young
            if order.gone is not None or sees(order.side, self.levels[order.side], order.price)
        ]  # fmt: skip
        says = [[order.says() for order in seen if order.side == side] for side in (BID, ASK)]
        sums, ranked = [sum(one) for one in says], sorted((o.says() for o in seen), reverse=True)
        present = [total + sum(gone) for total, gone in zip(sums, self.now.withdrawn, strict=True)]
        ranked += [0.0, 0.0]
        row = {
            "stand": max(sums), "stand_other": min(sums), "stand_lean": lean(max(sums), min(sums)),
            "stand_largest": ranked[0], "stand_second": ranked[1],
            "stand_count": len(says[BID] if sums[BID] >= sums[ASK] else says[ASK]),
            "stand_unusual": self.against_usual("standing", max(sums)),
            "present": max(present), "present_other": min(present), "present_lean": lean(max(present), min(present)),
        }  # fmt: skip
        top = max(seen, key=Order.says, default=None)
        return row | self.top(top if top and top.says() > 0 else None, end)

    def top(self, top: Order | None, end: float) -> dict[str, float]:
        """The most unusual standing order."""
        names = (
            "age", "moves", "opposite", "together", "together_sum", "filled", "size", "place", "level", "mirrored",
            "replaces", "base", "parts", "cuts",
        )  # fmt: skip
        if top is None:
            return {f"stand_{name}": 0.0 for name in names}
        age = end - top.born
        values = (
            age, top.moves, self.opposite(self.traded(top), age), len(self.companions(top)),
            sum(one.says() for one in self.around(top) if one.side == top.side), top.filled / top.placed,
            math.log(top.size()), top.bar, top.level, self.mirrored(top), top.replaces,
            math.log(1.0 + top.others / self.usual()), top.parts, top.cuts,
        )  # fmt: skip
        return {f"stand_{name}": float(value) for name, value in zip(names, values, strict=True)}

    def gone_now(self) -> dict[str, float]:
        heavy, light = sorted(self.now.withdrawn, key=sum, reverse=True)
        return {
            "gone": sum(heavy), "gone_other": sum(light), "gone_largest": max(heavy, default=0.0),
            "gone_count": len(heavy), "fleeting": self.against_usual("fleeting", self.now.fleeting),
        }  # fmt: skip

    def held_row(self) -> dict[str, float]:
        usual = self.means.get("withdrawn", 0.0)
        gone = sum(max(self.now.withdrawn, key=sum))
        names = (
            "", "_life", "_opposite", "_together", "_moves", "_age", "_filled", "_size", "_apart", "_level",
            "_mirrored", "_replaced", "_parts", "_cuts",
        )  # fmt: skip
        held, age = self.held, len(self.past) - 1 - self.held_at
        values = [0.0] * len(names)
        values[names.index("_age")] = age
        if held:
            order = held.order
            values = [
                held.says * 0.75**age, held.life, self.opposite(held.traded, held.life), held.together, order.moves,
                age, order.filled / order.placed, math.log(1.0 + order.size()), order.apart, order.level,
                held.mirrored, held.replaced, order.parts, order.cuts,
            ]  # fmt: skip
        row = {f"held{name}": float(value) for name, value in zip(names, values, strict=True)}
        unusual = {"held_unusual": ratio(values[0], usual), "gone_unusual": self.against_usual("withdrawn", gone)}
        return row | unusual

    def faded(self) -> dict[str, float]:
        """What was withdrawn lately: sums over all seconds, each weighing less than the one after it."""
        row = dict[str, float]()
        for name, weight in FADING.items():
            sides = [
                sum(weight**age * sum(one.withdrawn[side]) for age, one in enumerate(reversed(self.past)))
                for side in (BID, ASK)
            ]  # fmt: skip
            row |= {name: max(sides), f"{name}_other": min(sides)}
            if name == "lately":
                row["lately_lean"] = lean(max(sides), min(sides))
                before = [(total - sum(self.now.withdrawn[side])) / weight for side, total in enumerate(sides)]
                row["before"] = max(before)
        return row

    def amounts(self) -> dict[str, float]:
        unit, now = self.usual(), self.now
        added, removed, taken = (max(map(sum, sides)) for sides in (now.added, now.removed, now.taken))
        return {
            "added": math.log(1.0 + added / unit), "removed": math.log(1.0 + removed / unit),
            "taken": math.log(1.0 + taken / unit),
            "largest_added": math.log(1.0 + max(*now.added[BID], *now.added[ASK], 0.0, 0.0) / unit),
            "largest_removed": math.log(1.0 + max(*now.removed[BID], *now.removed[ASK], 0.0, 0.0) / unit),
            "added_unusual": self.against_usual("added", added, unit),
            "removed_unusual": self.against_usual("removed", removed, unit),
        }  # fmt: skip

    def rates(self) -> dict[str, float]:
        now, quotes = self.now, max(1, self.now.quotes)
        recent = [
            0.3 * sum(0.7**age * getattr(one, name) for age, one in enumerate(reversed(self.past)))
            for name in ("quotes", "reverted")
        ]  # fmt: skip
        row = {
            "recent_quotes": ratio(recent[0], self.means.get("quotes", 0.0)),
            "recent_reverted": ratio(recent[1], self.means.get("reverted", 0.0)),
            "reverted_share": now.reverted / quotes, "returned_share": now.returned / quotes,
            "trades_per_quote": len(now.trades) / quotes,
            "volume": self.against_usual("volume", sum(now.trades), self.usual()),
        }  # fmt: skip
        for name in ("quotes", "resized", "reverted", "changes"):
            row[name] = self.against_usual(name, getattr(now, name))
        return row

    def shape(self) -> dict[str, float]:
        move = abs(math.log(self.mid / self.mid_before)) if self.mid_before else 0.0
        depths = [sum(levels.values()) for levels in self.levels]
        leaning, usual_move, usual_depth = lean(*depths), self.means.get("move", 0.0), self.means.get("depth", 0.0)
        row = {
            "move": move / (usual_move + 1e-6), "lean_change": abs(leaning - self.slow_lean),
            "depth": math.log(max(1e-12, *depths) / max(1e-12, usual_depth)),
        }  # fmt: skip
        self.against_usual("move", move)
        self.against_usual("depth", sum(depths) / 2)
        self.slow_lean += (leaning - self.slow_lean) / min(len(self.past), 30)
        return row


def levels(prices: list[float], quantities: list[float]) -> dict[float, float]:
    """A side of a book, best first."""
    return {price: quantity for price, quantity in zip(prices, quantities, strict=True) if not math.isnan(price)}


def in_order(tape: Tape) -> list[tuple[int, int, int]]:
    """When each row came, its kind (0 trade, 1 quote, 2 book) and its place: by time, then by kind."""
    times = (tape.trade_ns, tape.quote_ns, tape.book_ns)
    return sorted((int(ns), kind, i) for kind, own in enumerate(times) for i, ns in enumerate(own))


def rows(tape: Tape) -> dict[int, dict[str, float]]:
    """The features of every second that has them, from the first row's to the last row's."""
    market, closed = Market(), {}
    events = in_order(tape)
    second = events[0][0] // NANOS
    for ns, kind, i in [*events, ((events[-1][0] // NANOS + 1) * NANOS, -1, 0)]:
        while second < ns // NANOS:
            row = market.close(second + 1.0)
            if row is not None:
                closed[second] = row
            second += 1
        if kind == 0:
            price, quantity, aggressor = tape.trades[i].tolist()
            market.trade(price, quantity, int(aggressor))
        elif kind == 1:
            bid, bid_quantity, ask, ask_quantity = tape.quotes[i].tolist()
            market.quote((bid, ask), (bid_quantity, ask_quantity), ns * 1e-9)
        elif kind == 2:
            book = tape.books[i].tolist()
            market.book((levels(book[:10], book[10:20]), levels(book[20:30], book[30:])), ns * 1e-9)
    return closed
