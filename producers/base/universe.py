"""Which of a venue's listed symbols a feed follows: by list, by rule, or the most traded."""

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError

LIMIT = 5_000
"""Symbols of a feed at most, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol as a venue lists it.

    symbol : the venue's own name; turnover : of late, in whatever one unit the venue ranks by; trading : whether it
    can be traded now or in its next session; traits : what rules go by, such as quote
    """

    symbol: str
    instrument: Instrument
    turnover: float = 0.0
    trading: bool = True
    traits: dict[str, str] = field(default_factory=dict)

    def known(self) -> dict[str, str]:
        """All traits, with symbol, id, currency and kind."""
        ours = self.instrument
        return {"currency": ours.currency, "kind": ours.kind, **self.traits, "symbol": self.symbol, "id": ours.id}


@dataclass(frozen=True, slots=True)
class Rule:
    """A trait and a pattern (`*`, `?`, `[...]`, any case) that it has to match, or must not."""

    trait: str
    pattern: str
    wanted: bool = True

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """`quote=USDT`, `symbol=*USDT` or `symbol!=*UPUSDT`; ValueError for anything else."""
        trait, equals, pattern = text.partition("=")
        wanted = not trait.endswith("!")
        trait = trait.removesuffix("!").strip()
        if not equals or not trait or not pattern.strip():
            raise ValueError(f"{text!r} is no rule: write TRAIT=PATTERN, as in quote=USDT")
        return cls(trait, pattern.strip(), wanted)

    def matches(self, traits: dict[str, str]) -> bool:
        """Whether the trait matches the pattern."""
        return fnmatchcase(traits.get(self.trait, "").casefold(), self.pattern.casefold())


@dataclass(frozen=True, slots=True)
class Choice:
    """What to follow; without anything, all that trades.

    symbols : by name, which no other condition goes with; rules : for each trait one of the wanted patterns has to
    match, and none of the unwanted; top : the most traded of what is left, 0 for all; limit : symbols at most
    """

    symbols: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    top: int = 0
    limit: int = LIMIT

    def __post_init__(self) -> None:
        if self.symbols and (self.rules or self.top):
            raise TapewatchError("--symbols goes with neither --where nor --top", "Choose by list or by rule.")


@dataclass(frozen=True, slots=True)
class Change:
    """What two looks at a universe differ by. renewed : reference data changed"""

    added: list[Listing]
    removed: list[Listing]
    renewed: list[Listing]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.renewed)


class Universe:
    """A choice, to be made again whenever a venue's listings are looked at.

    left_out : of the latest look, how many by reason: not_trading, twice (a symbol or instrument listed again), rule,
    less_traded, over_limit
    missing : symbols asked for by name that are not followed -> not_listed, not_trading or over_limit
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.left_out: Counter[str] = Counter()
        self.missing: dict[str, str] = {}

    def choose(self, listings: Iterable[Listing]) -> list[Listing]:
        """The listings to follow: in the order of the list, else the most traded first; ties by symbol."""
        self.left_out.clear()
        self.missing.clear()
        known = self._distinct(listings)
        if self.choice.symbols:
            return self._named(known)
        return self._ruled([one for one in known if self._trades(one)])

    def _distinct(self, listings: Iterable[Listing]) -> list[Listing]:
        """The first listing of each symbol and instrument."""
        symbols: set[str] = set()
        ids: set[str] = set()
        found: list[Listing] = []
        for one in listings:
            if one.symbol in symbols or one.instrument.id in ids:
                self.left_out["twice"] += 1
                continue
            symbols.add(one.symbol)
            ids.add(one.instrument.id)
            found.append(one)
        return found

    def _trades(self, listing: Listing) -> bool:
        self.left_out["not_trading"] += not listing.trading
        return listing.trading

    def _named(self, known: Sequence[Listing]) -> list[Listing]:
        """The listings asked for by symbol or instrument id, exactly or in another case."""
        by_name = {name.casefold(): one for one in known for name in (one.instrument.id, one.symbol)}
        by_name |= {one.symbol: one for one in known}
        found: dict[str, Listing] = {}
        for name in self.choice.symbols:
            one = by_name.get(name) or by_name.get(name.casefold())
            if one is None:
                self.missing[name] = "not_listed"
            elif one.symbol in found:
                continue
            elif not self._trades(one):
                self.missing[name] = "not_trading"
            elif len(found) == self.choice.limit:
                self.missing[name] = "over_limit"
            else:
                found[one.symbol] = one
        self.left_out.update(Counter(reason for reason in self.missing.values() if reason == "over_limit"))
        return list(found.values())

    def _ruled(self, trading: list[Listing]) -> list[Listing]:
        """The listings that follow the rules, the most traded first."""
        self._check_traits(trading)
        wanted: dict[str, list[Rule]] = {}
        for rule in self.choice.rules:
            if rule.wanted:
                wanted.setdefault(rule.trait, []).append(rule)
        unwanted = [rule for rule in self.choice.rules if not rule.wanted]
        found: list[Listing] = []
        for one in trading:
            traits = one.known()
            if all(any(rule.matches(traits) for rule in rules) for rules in wanted.values()) and not any(
                rule.matches(traits) for rule in unwanted
            ):
                found.append(one)
        self.left_out["rule"] += len(trading) - len(found)
        found.sort(key=lambda one: (-_turnover(one), one.symbol))
        if self.choice.top and len(found) > self.choice.top:
            self.left_out["less_traded"] += len(found) - self.choice.top
            del found[self.choice.top :]
        self.left_out["over_limit"] += max(0, len(found) - self.choice.limit)
        return found[: self.choice.limit]

    def _check_traits(self, trading: Sequence[Listing]) -> None:
        """TapewatchError where a rule goes by a trait that no listing has."""
        traits = {name for one in trading for name in one.known()}
        for rule in self.choice.rules:
            if traits and rule.trait not in traits:
                raise TapewatchError(
                    f"no symbol of this venue has a trait {rule.trait!r}", f"Use one of {', '.join(sorted(traits))}."
                )


def change(before: Sequence[Listing], after: Sequence[Listing]) -> Change:
    """What has to be followed anew, no longer, and registered again."""
    was = {one.symbol: one for one in before}
    is_now = {one.symbol for one in after}
    return Change(
        added=[one for one in after if one.symbol not in was],
        removed=[one for one in before if one.symbol not in is_now],
        renewed=[one for one in after if one.symbol in was and was[one.symbol].instrument != one.instrument],
    )


def _turnover(listing: Listing) -> float:
    """The turnover; a venue that tells none, or nonsense, ranks last."""
    return listing.turnover if math.isfinite(listing.turnover) else 0.0


def configure_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a choice."""
    parser.add_argument("--symbols", type=_symbols, default=(), metavar="A,B,...", help="follow these symbols")
    parser.add_argument(
        "--where",
        type=_rule,
        action="append",
        default=[],
        metavar="TRAIT=PATTERN",
        help="follow what matches, as in quote=USDT, symbol=*USDT or symbol!=*UPUSDT; more than once",
    )
    parser.add_argument("--top", type=_count, default=0, metavar="N", help="follow the N most traded")
    parser.add_argument("--limit", type=_count, default=LIMIT, metavar="N", help=f"symbols at most (default: {LIMIT})")


def choice_of(args: argparse.Namespace) -> Choice:
    """The choice that the arguments make; TapewatchError where they contradict each other."""
    return Choice(symbols=tuple(args.symbols), rules=tuple(args.where), top=args.top, limit=args.limit)


def _symbols(text: str) -> tuple[str, ...]:
    symbols = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not symbols:
        raise argparse.ArgumentTypeError("at least one symbol")
    return symbols


def _rule(text: str) -> Rule:
    try:
        return Rule.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return int(text)
