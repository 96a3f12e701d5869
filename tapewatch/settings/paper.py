"""How the paper broker trades."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tapewatch.settings.canaries import PREFIX, is_canary

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]


class PaperSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits and habits; amounts in the currency of the instrument.

    capital : cash to begin with in each currency; risk_share : of the capital, what one order may move by in
    `horizon_s` seconds (one standard deviation); position_share : of the capital, the largest position's value
    order, offset : limit orders at the own side's best price moved by `offset` ticks towards the other side, or market
    orders; a signal's own price comes first
    latency_ms : from the log time of a signal to the market; lifetime_s : a resting order is cancelled after it
    half_life_s, warm_s : of the volatility, and seconds before it is trusted; least_volatility : a second, a floor
    started : whether it trades before anybody says `start`
    untraded : what the ids of instruments begin with that are never traded, separated by commas: the canaries
    auto : whether instruments trade unless they are switched off; day_trading : flat when an instrument's session ends
    """

    capital: Positive = 1_000_000.0
    risk_share: Share = 0.001
    horizon_s: Positive = 60.0
    position_share: Share = 0.1
    order: Literal["limit", "market"] = "limit"
    offset: int = 0
    latency_ms: Annotated[float, Meta(ge=0)] = 250.0
    lifetime_s: Positive = 60.0
    half_life_s: Positive = 300.0
    warm_s: Annotated[int, Meta(ge=1)] = 60
    least_volatility: Positive = 1e-5
    started: bool = False
    auto: bool = True
    day_trading: bool = True
    untraded: str = PREFIX

    def is_untraded(self, instrument: str) -> bool:
        """Whether an instrument is never traded."""
        return is_canary(tuple(filter(None, self.untraded.split(","))), instrument)

    @property
    def latency_ns(self) -> int:
        """Latency in nanoseconds."""
        return round(self.latency_ms * 1e6)


class PaperProcessSettings(PaperSettings, frozen=True, forbid_unknown_fields=True):
    """The paper broker's process, and how it trades.

    group, instance : consumer group, and static member id in it; empty takes host name and process id
    feeds : names of the feeds it trades on; empty means every feed there is
    batch_records : records read at once at most; poll_ms : longest wait for the first one, ms
    commit_ms : time between transactions, ms
    restore_offsets : go on with the newest states, where the group's offsets say something else
    """

    group: str = "tapewatch-paper"
    instance: str = ""
    feeds: tuple[str, ...] = ()
    batch_records: Annotated[int, Meta(ge=1)] = 500
    poll_ms: Annotated[int, Meta(ge=1)] = 20
    commit_ms: Annotated[int, Meta(ge=1)] = 100
    restore_offsets: bool = False

    def rules(self) -> PaperSettings:
        """How it trades."""
        return PaperSettings(**{name: getattr(self, name) for name in PaperSettings.__struct_fields__})
