"""The JSON messages of the contract as typed structs, one message a record: alerts, signals, orders, commit records.

The messages of the desk's work are in desk_messages; how messages are written and read is in message. Every
description below goes into docs/schemas/.
"""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tapewatch.contract.canaries import Canary as Canary
from tapewatch.contract.case_messages import Case as Case
from tapewatch.contract.case_messages import CaseAlert as CaseAlert
from tapewatch.contract.case_messages import CaseAnswer as CaseAnswer
from tapewatch.contract.case_messages import CaseCommand as CaseCommand
from tapewatch.contract.case_messages import CaseEvent as CaseEvent
from tapewatch.contract.case_messages import Label as Label
from tapewatch.contract.case_messages import PendingClose as PendingClose
from tapewatch.contract.case_messages import Proposal as Proposal
from tapewatch.contract.case_messages import Suppression as Suppression
from tapewatch.contract.dead_letter_messages import DeadLetterReplay as DeadLetterReplay
from tapewatch.contract.message import MESSAGE_MAJOR as MESSAGE_MAJOR
from tapewatch.contract.message import AlertState as AlertState
from tapewatch.contract.message import Cause as Cause
from tapewatch.contract.message import Count as Count
from tapewatch.contract.message import Counts as Counts
from tapewatch.contract.message import Id as Id
from tapewatch.contract.message import Message as Message
from tapewatch.contract.message import Mode as Mode
from tapewatch.contract.message import Severity as Severity
from tapewatch.contract.message import Side as Side
from tapewatch.contract.message import Time as Time
from tapewatch.contract.message import Unit as Unit
from tapewatch.contract.message import alert_id as alert_id
from tapewatch.contract.message import decode as decode
from tapewatch.contract.message import encode as encode
from tapewatch.contract.message import stable_id as stable_id
from tapewatch.rfc3339 import from_rfc3339 as from_rfc3339
from tapewatch.rfc3339 import to_rfc3339 as to_rfc3339


class Evidence(msgspec.Struct, frozen=True):
    """One feature against its threshold."""

    feature: Annotated[str, Meta(description="feature name, as in docs/features.md")]
    value: Annotated[float | None, Meta(description="the feature's value at the decision; null where it was not warm")]
    threshold: Annotated[float | None, Meta(description="the configured threshold; null for context without a test")]
    relation: Annotated[
        Literal[">=", "<=", ""], Meta(description="how value and threshold must stand; empty for context")
    ]
    unit: Annotated[str, Meta(description="unit of value and threshold; empty for a pure number")] = ""


class Provenance(msgspec.Struct, frozen=True):
    """What an alert can be recomputed from."""

    topic: Annotated[str, Meta(description="market topic of the input")]
    partition: Annotated[Count, Meta(description="partition of the input")]
    onset_offset: Annotated[
        Count, Meta(description="offset of the record at which the episode was first seen; its onset lies before it")
    ]
    decided_offset: Annotated[Count, Meta(description="offset of the record that decided the alert")]
    updated_offset: Annotated[Count, Meta(description="offset of the record that caused this revision")]
    configuration: Annotated[str, Meta(description="SHA-256 of the detector configuration in force, hex")]
    models: Annotated[dict[str, str], Meta(description="content hash of each model used, by model name")]
    build: Annotated[str, Meta(description="fingerprint of the program that decided")]


class Alert(Message, frozen=True, kw_only=True):
    """A suspected manipulation episode of one instrument. A later look at it is a higher revision of the same id."""

    TOPIC: ClassVar[str] = "alerts"

    id: Annotated[Id, Meta(description="alert_id(scenario, instrument, onset): the same in every store")]
    scenario: Annotated[str, Meta(description="scenario that fired, such as pump_and_dump")]
    instrument: Annotated[str, Meta(description="instrument id, SYMBOL.VENUE")]
    onset: Annotated[Time, Meta(description="first-decided begin of the episode; never moved back")]
    decided: Annotated[Time, Meta(description="log time at which the alert was first decided")]
    updated: Annotated[Time, Meta(description="log time of this revision")]
    state: Annotated[AlertState, Meta(description="open: first revision; closed: last one")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each later look")]
    severity: Annotated[Severity, Meta(description="severity for triage")]
    score: Annotated[float, Meta(ge=0, le=100, description="strength, 0 to 100")]
    probability: Annotated[
        Unit | None, Meta(description="calibrated probability; null where the scenario has none")
    ] = None
    sentence: Annotated[str, Meta(description="what happened, in one sentence for a compliance officer")]
    data_tier: Annotated[
        str, Meta(description="data the decision rests on: quotes, trades, book, orders, accounts, benchmark")
    ]
    evidence: Annotated[tuple[Evidence, ...], Meta(description="features against their thresholds")] = ()
    provenance: Annotated[Provenance, Meta(description="input offsets, configuration, models and build")]


class Commit(Message, frozen=True, kw_only=True):
    """One transaction of the engine for one market partition: what it read, refused and wrote."""

    TOPIC: ClassVar[str] = "engine.commits"

    topic: Annotated[str, Meta(description="market topic")]
    partition: Annotated[Count, Meta(description="partition of the market topic")]
    first_offset: Annotated[Count, Meta(description="first offset of the input range")]
    next_offset: Annotated[Count, Meta(description="offset after the input range: where the next transaction begins")]
    frames: Annotated[Count, Meta(description="frames read")]
    rows: Annotated[Counts, Meta(description="rows accepted, by row type")]
    refused: Annotated[Counts, Meta(description="rows and records refused, by dead-letter reason")] = msgspec.field(
        default_factory=dict
    )
    duplicates: Annotated[Count, Meta(description="frames dropped because their sequence had been seen")] = 0
    features: Annotated[Count, Meta(description="feature rows written")] = 0
    scores: Annotated[Count, Meta(description="score rows written")] = 0
    alerts: Annotated[Count, Meta(description="alert messages written")] = 0
    signals: Annotated[Count, Meta(description="signal messages written")] = 0
    clock: Annotated[
        Time | None, Meta(description="the partition's clock after the range; null before the first row")
    ] = None
    configuration: Annotated[
        str, Meta(description="SHA-256 of the detector configuration in force after the range")
    ] = ""
    models: Annotated[dict[str, str], Meta(description="content hash of each model in force after the range")] = (
        msgspec.field(default_factory=dict)
    )
    build: Annotated[str, Meta(description="fingerprint of the program")] = ""
    instance: Annotated[str, Meta(description="static member id of the engine process")] = ""
    group: Annotated[str, Meta(description="consumer group whose offset was committed with it")] = ""
    topic_id: (
        Annotated[str, Meta(description="the broker's id of the market topic: one that is made anew has another")]
        | UnsetType
    ) = UNSET
    worked_us: Annotated[
        Count, Meta(description="how long the range took to compute, microseconds; reading and writing not included")
    ] = 0


class Coverage(Message, frozen=True, kw_only=True):
    """A stretch of log time in which an instrument was not watched, or not fully, and why."""

    TOPIC: ClassVar[str] = "coverage"

    instrument: Annotated[str, Meta(description="instrument id, or * for every instrument of the partition")]
    start: Annotated[Time, Meta(description="begin of the stretch, inclusive")]
    end: Annotated[Time, Meta(description="end of the stretch, exclusive")]
    reason: Annotated[str, Meta(description="such as silent, gap or halt")]
    seconds: Annotated[Count, Meta(description="instrument-seconds not watched")]
    cause: Annotated[Cause, Meta(description="the record that ended the stretch")]


class Signal(Message, frozen=True, kw_only=True):
    """A policy's action for one instrument at the close of a second or bar."""

    TOPIC: ClassVar[str] = "signals"

    id: Annotated[Id, Meta(description="stable_id(policy, instrument, ts)")]
    instrument: Annotated[str, Meta(description="instrument id")]
    ts: Annotated[Time, Meta(description="close of the second or bar that was decided on")]
    policy: Annotated[str, Meta(description="name of the policy, such as ddqn")]
    model: Annotated[str, Meta(description="content hash of the model")]
    action: Annotated[
        Literal["hold", "buy", "sell", "cancel_buy", "cancel_sell"], Meta(description="the action chosen")
    ]
    q_values: Annotated[dict[str, float | None], Meta(description="Q value by action; null where the action is masked")]
    advantage: Annotated[float | None, Meta(description="Q of the action less Q of hold")]
    price: Annotated[
        float | None, Meta(description="limit price proposed, on the instrument's tick; null for none")
    ] = None
    size: Annotated[float | None, Meta(description="size hint as a fraction of the position limit, 0 to 1")] = None
    position: Annotated[float, Meta(description="virtual position that the policy saw, in lots")] = 0.0
    cause: Annotated[Cause, Meta(description="the record that closed the second or bar")]
    build: Annotated[str, Meta(description="fingerprint of the program")] = ""


class Prediction(Message, frozen=True, kw_only=True):
    """A forecast of one quantity of one instrument over one horizon."""

    TOPIC: ClassVar[str] = "predictions"

    id: Annotated[Id, Meta(description="stable_id(model name, instrument, target, horizon, as_of)")]
    instrument: Annotated[str, Meta(description="instrument id")]
    as_of: Annotated[Time, Meta(description="nothing published later was used")]
    horizon: Annotated[str, Meta(description="how far ahead: a count and a unit, such as 60s or 1d")]
    target: Annotated[str, Meta(description="what is forecast, such as close, return or direction")]
    name: Annotated[str, Meta(description="model name, such as lstm")]
    model: Annotated[str, Meta(description="content hash of the model")]
    reference: Annotated[
        float | None, Meta(description="last known value of the target, such as yesterday's close")
    ] = None
    value: Annotated[float | None, Meta(description="point forecast; null for a class forecast")] = None
    classes: Annotated[
        dict[str, Unit], Meta(description="calibrated probability by class; empty for a point forecast")
    ] = msgspec.field(default_factory=dict)
    build: Annotated[str, Meta(description="fingerprint of the program")] = ""


class RankingEntry(msgspec.Struct, frozen=True):
    """One place of a ranking."""

    instrument: Annotated[str, Meta(description="instrument id")]
    probability: Annotated[Unit, Meta(description="calibrated probability to reach the target before the stop")]
    regime: Annotated[str, Meta(description="bull, bear or empty where not assessed")] = ""
    regimes: Annotated[dict[str, str], Meta(description="bull or bear by horizon: 1h, 6h, 12h, 24h")] = msgspec.field(
        default_factory=dict
    )
    hourly_return: Annotated[float | None, Meta(description="log return of the last hour")] = None
    win_rate: Annotated[
        Unit | None, Meta(description="share of the last day's decided entries that reached the target; null for none")
    ] = None
    buys: Annotated[float | None, Meta(description="buys of the last hour; null where the bars do not tell")] = None
    sells: Annotated[float | None, Meta(description="sells of the last hour; null where the bars do not tell")] = None
    volatility: Annotated[
        float | None, Meta(description="root mean square of one-minute log returns of the last hour")
    ] = None
    volatility_level: Annotated[float | None, Meta(description="volatility of the last hour over the last day's")] = (
        None
    )
    high_line: Annotated[float | None, Meta(description="highest price of the last day")] = None
    low_line: Annotated[float | None, Meta(description="lowest price of the last day")] = None
    position: Annotated[
        Unit | None, Meta(description="where the price lies between low line (0) and high line (1)")
    ] = None
    averages: Annotated[dict[str, float], Meta(description="average price by window, 1m to 30d")] = msgspec.field(
        default_factory=dict
    )
    volumes: Annotated[dict[str, float], Meta(description="volume by window, 1m to 30d")] = msgspec.field(
        default_factory=dict
    )


class Ranking(Message, frozen=True, kw_only=True):
    """Instruments ordered by probability to reach a target return before a stop within a horizon."""

    TOPIC: ClassVar[str] = "rankings"

    id: Annotated[Id, Meta(description="stable_id(name, as_of)")]
    name: Annotated[str, Meta(description="which ranking")]
    as_of: Annotated[Time, Meta(description="second at whose close the ranking was made")]
    horizon_s: Annotated[int, Meta(ge=1, description="horizon, seconds")]
    target_return: Annotated[float, Meta(description="target return, fraction")]
    stop_return: Annotated[float, Meta(description="stop return, fraction, negative")]
    model: Annotated[str, Meta(description="content hash of the model")]
    ranked: Annotated[tuple[RankingEntry, ...], Meta(description="best first")]
    excluded: Annotated[dict[str, str], Meta(description="instruments left out, with the reason")] = msgspec.field(
        default_factory=dict
    )


class Order(Message, frozen=True, kw_only=True):
    """An order of the paper broker or of a gateway. A change of state is a higher revision of the same id."""

    TOPIC: ClassVar[str] = "orders"

    id: Annotated[Id, Meta(description="client order id and idempotency key: stable_id(signal id, leg)")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each change")]
    mode: Annotated[Mode, Meta(description="paper, or live through a gateway")]
    instrument: Annotated[str, Meta(description="instrument id")]
    side: Annotated[Side, Meta(description="buy or sell")]
    kind: Annotated[Literal["limit", "market"], Meta(description="order type")]
    price: Annotated[float | None, Meta(description="limit price; null for a market order")]
    qty: Annotated[float, Meta(gt=0, description="quantity ordered")]
    filled: Annotated[float, Meta(ge=0, description="quantity filled so far")] = 0.0
    state: Annotated[
        Literal["pending", "open", "filled", "cancelled", "rejected", "unknown"],
        Meta(description="unknown: the venue did not answer and has to be asked before anything is sent again"),
    ]
    reason: Annotated[str, Meta(description="why it was rejected or cancelled")] = ""
    request: Annotated[
        Literal["", "cancel"],
        Meta(description="cancel: the writer of this record asks the gateway to cancel the order; empty otherwise"),
    ] = ""
    venue_order_id: Annotated[str, Meta(description="the venue's own id; empty until known")] = ""
    signal: Annotated[str, Meta(description="id of the signal that asked for it; empty for a manual order")] = ""
    created: Annotated[Time, Meta(description="when the order was made")]
    updated: Annotated[Time, Meta(description="when it last changed")]
    cause: Annotated[Cause | None, Meta(description="market record of this change; null for a live order")] = None


class Fill(Message, frozen=True, kw_only=True):
    """One execution of an order."""

    TOPIC: ClassVar[str] = "fills"

    id: Annotated[Id, Meta(description="stable_id(order id, venue trade id or count)")]
    order: Annotated[Id, Meta(description="id of the order")]
    mode: Annotated[Mode, Meta(description="paper or live")]
    instrument: Annotated[str, Meta(description="instrument id")]
    side: Annotated[Side, Meta(description="buy or sell")]
    price: Annotated[float, Meta(gt=0, description="execution price")]
    qty: Annotated[float, Meta(gt=0, description="quantity executed")]
    liquidity: Annotated[Literal["maker", "taker", ""], Meta(description="empty where unknown")] = ""
    fee: Annotated[float, Meta(description="fee; negative for a rebate")] = 0.0
    tax: Annotated[float, Meta(ge=0, description="transaction tax")] = 0.0
    currency: Annotated[str, Meta(description="currency of fee and tax")] = ""
    at: Annotated[Time, Meta(description="time of execution")]
    cause: Annotated[Cause | None, Meta(description="market record that filled it; null for a live fill")] = None


class Position(Message, frozen=True, kw_only=True):
    """The paper account of one instrument at the end of a second; money in its currency."""

    TOPIC: ClassVar[str] = "positions"

    mode: Annotated[Mode, Meta(description="paper")] = "paper"
    instrument: Annotated[str, Meta(description="instrument id")]
    ts: Annotated[Time, Meta(description="end of the second")]
    currency: Annotated[str, Meta(description="currency of all amounts")]
    position: Annotated[float, Meta(description="quantity held; negative: sold short")]
    cost: Annotated[float, Meta(description="what the open position cost, without fees; negative: brought in")]
    cash: Annotated[float, Meta(description="paid in less paid out since the start")]
    realised: Annotated[float, Meta(description="result of what was closed, before fees and taxes")]
    unrealised: Annotated[float, Meta(description="result if the position were closed at the best price now")]
    fees: Annotated[float, Meta(description="fees so far")]
    taxes: Annotated[float, Meta(description="transaction taxes so far")]
    result: Annotated[float, Meta(description="realised and unrealised less fees and taxes")]
    cause: Annotated[Cause, Meta(description="the market record that ended the second")]


class PaperCommand(Message, frozen=True, kw_only=True):
    """What somebody tells the paper broker; every partition takes it at a place that its commit record names."""

    TOPIC: ClassVar[str] = "paper.commands"

    id: Annotated[Id, Meta(description="stable_id(who, at, action, instrument)")]
    action: Annotated[
        Literal["start", "stop", "kill", "on", "off"],
        Meta(description="stop: no new orders; kill: all orders are cancelled too; on, off: one instrument"),
    ]
    instrument: Annotated[str, Meta(description="instrument id for on and off; else empty")] = ""
    who: Annotated[str, Meta(description="account that gave it")]
    why: Annotated[str, Meta(description="reason given")]
    at: Annotated[Time, Meta(description="when it was given")]


class AppliedChange(msgspec.Struct, frozen=True):
    """A command or a change of settings, and where it took effect: before any market record from there on."""

    before: Annotated[Count, Meta(description="offset of the market partition")]
    action: Annotated[Literal["start", "stop", "kill", "on", "off", "settings"], Meta(description="what changed")]
    instrument: Annotated[str, Meta(description="instrument id for on and off; else empty")] = ""
    command: Annotated[str, Meta(description="id of the command; empty for settings")] = ""
    settings: Annotated[
        dict[str, int | float | bool | str], Meta(description="how it trades from here on; empty for a command")
    ] = msgspec.field(default_factory=dict)


class PaperCommit(Message, frozen=True, kw_only=True):
    """One transaction of the paper broker for one market partition: how far it has come, what it took and wrote."""

    TOPIC: ClassVar[str] = "paper.commits"

    topic: Annotated[str, Meta(description="market topic")]
    partition: Annotated[Count, Meta(description="partition of the market topic")]
    next_offset: Annotated[Count, Meta(description="first market offset that is not worked on yet")]
    taken: Annotated[tuple[AppliedChange, ...], Meta(description="what took effect in this transaction, in order")] = ()
    running: Annotated[Literal["start", "stop", "kill"], Meta(description="the last of these commands")]
    switched: Annotated[dict[str, bool], Meta(description="instruments that were switched on or off")] = msgspec.field(
        default_factory=dict
    )
    standing: Annotated[Count, Meta(description="orders under way or resting after it")] = 0
    orders: Annotated[Count, Meta(description="order messages written since the first transaction")] = 0
    fills: Annotated[Count, Meta(description="fill messages written since the first transaction")] = 0
    skipped: Annotated[Counts, Meta(description="signals that led to no order so far, by reason")] = msgspec.field(
        default_factory=dict
    )
    clock: Annotated[Time | None, Meta(description="the partition's clock; null before the first row")] = None
    instance: Annotated[str, Meta(description="static member id of the process")] = ""


class News(Message, frozen=True, kw_only=True):
    """A headline, with its sentiment once it has been scored."""

    TOPIC: ClassVar[str] = "news"

    id: Annotated[Id, Meta(description="stable_id(source, the source's own id or URL)")]
    source: Annotated[str, Meta(description="where it came from")]
    published: Annotated[Time, Meta(description="when it was public: nothing uses it earlier")]
    received: Annotated[Time, Meta(description="when the feed writer received it")]
    language: Annotated[str, Meta(description="BCP 47 tag, such as zh-TW, ko, en")]
    headline: Annotated[str, Meta(description="headline as published")]
    body: Annotated[str, Meta(description="text, where licensed; may be empty")] = ""
    url: Annotated[str, Meta(description="address; may be empty")] = ""
    instruments: Annotated[tuple[str, ...], Meta(description="instrument ids it speaks of")] = ()
    sentiment: Annotated[Annotated[float, Meta(ge=-1, le=1)] | None, Meta(description="-1 to 1; null until scored")] = (
        None
    )
    model: Annotated[str, Meta(description="content hash of the sentiment model; empty until scored")] = ""
    duplicate_of: Annotated[str, Meta(description="id of the item it repeats; empty for none")] = ""


class Factor(Message, frozen=True, kw_only=True):
    """One value of a daily or slow series: institutions' flows, margin, exchange rates, indices, macro data."""

    TOPIC: ClassVar[str] = "factors"

    id: Annotated[
        Id,
        Meta(description="stable_id(source, series, instrument, period, revision)"),
    ]
    source: Annotated[str, Meta(description="where it came from, such as twse or yahoo")]
    series: Annotated[str, Meta(description="name of the series, such as foreign_net_buy, margin_balance, close")]
    instrument: Annotated[str, Meta(description="instrument id; empty for a series of the whole market")] = ""
    period: Annotated[
        str, Meta(description="what the value is of: a date (YYYY-MM-DD), or the RFC 3339 begin of a shorter bar")
    ]
    published_at: Annotated[Time, Meta(description="when it was public: nothing uses it earlier")]
    received: Annotated[Time, Meta(description="when the producer received it")]
    value: Annotated[float, Meta(description="the value")]
    unit: Annotated[str, Meta(description="such as shares, TWD, points; empty for a pure number")] = ""
    revision: Annotated[Count, Meta(description="one higher for each correction of a period")] = 0


KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (
        Alert,
        Canary,
        Case,
        CaseAnswer,
        CaseCommand,
        Commit,
        Coverage,
        DeadLetterReplay,
        Factor,
        Fill,
        Label,
        News,
        Order,
        PaperCommand,
        PaperCommit,
        Position,
        Prediction,
        Proposal,
        Ranking,
        Signal,
        Suppression,
    )
}
"""Message kinds by name."""

BY_TOPIC: dict[str, type[Message]] = {kind.TOPIC: kind for kind in KINDS.values()}
"""Message kinds by the topic they lie in."""
