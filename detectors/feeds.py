"""Kinds of feeds, by what an instrument's data hold: each has its own share of strange rows and its own alert limit."""

from collections.abc import Sequence

import msgspec

from tapewatch.kernels import inlined

FEEDS = ("trades, quotes and books", "trades and quotes", "trades only", "quotes and books")
"""In the order in which models hold their limits; what is none of these is taken to be the one with the largest."""

COUNT = len(FEEDS)
_ALL, _TOUCH, _TAPE, _BOOKS = range(COUNT)

Limits = tuple[float, ...] | msgspec.UnsetType


def by_feed(limits: Limits, largest: float) -> tuple[float, ...]:
    """Alert limits by kind of feed, then that of any other. largest : stands for all in a model that holds no others"""
    return (*((largest,) * COUNT if isinstance(limits, msgspec.UnsetType) else limits), largest)


def problem(limits: Limits, largest: float) -> str:
    """What is wrong with a model's limits; empty where nothing is."""
    if isinstance(limits, msgspec.UnsetType):
        return ""
    if len(limits) != COUNT:
        return f"alert limits are not those of {COUNT} kinds of feeds"
    return "" if max(limits) == largest else "no kind of feed has the largest alert limit"


def sentence(limits: Limits) -> str:
    """The limits for a model's card."""
    if isinstance(limits, msgspec.UnsetType):
        return "the same for every kind of feed"
    return "; ".join(f"{name} {limit:g}" for name, limit in zip(FEEDS, limits, strict=True))


@inlined
def feed_of(trades: float, quotes: float, books: float) -> int:
    """Place in `by_feed` of an instrument that has shown such data (above 0) so far."""
    if trades > 0.0 and books > 0.0:
        return _ALL
    if trades > 0.0:
        return _TOUCH if quotes > 0.0 else _TAPE
    return _BOOKS if books > 0.0 else COUNT


def ordered(limits: Sequence[tuple[str, float]]) -> Limits:
    """Limits that were found for kinds of feeds by name; unset where one is missing."""
    known = dict(limits)
    return tuple(known[name] for name in FEEDS) if set(known) >= set(FEEDS) else msgspec.UNSET
