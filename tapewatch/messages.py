"""The JSON messages of the contract as typed structs, one message a record: alerts, signals, cases, commit records.

Writing is deterministic: the same message always gives the same bytes. Reading is tolerant within a major version:
fields that a later minor version added are ignored, and an unknown major version is refused. Every description below
goes into docs/schemas/.
"""

import hashlib
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from tapewatch.errors import ContractError
from tapewatch.rfc3339 import PATTERN
from tapewatch.rfc3339 import from_rfc3339 as from_rfc3339
from tapewatch.rfc3339 import to_rfc3339 as to_rfc3339

MESSAGE_MAJOR = 1
MESSAGE_VERSION = "1.0"

Time = Annotated[str, Meta(pattern=PATTERN)]
Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Unit = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Counts = dict[str, Count]
Side = Literal["buy", "sell"]
Mode = Literal["paper", "live"]
Severity = Literal["low", "medium", "high", "critical"]
AlertState = Literal["open", "update", "closed"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every message carries.

    TOPIC : where messages of this kind lie
    """

    TOPIC: ClassVar[str]

    version: Annotated[
        str, Meta(pattern=r"^[0-9]+\.[0-9]+$", description="contract version of the message, major.minor")
    ] = MESSAGE_VERSION


class Cause(msgspec.Struct, frozen=True):
    """The market row that caused a message: the record it came in."""

    topic: Annotated[str, Meta(description="market topic")]
    partition: Annotated[Count, Meta(description="partition of the topic")]
    offset: Annotated[Count, Meta(description="offset of the record within the partition")]


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
    refused: Annotated[Counts, Meta(description="rows and records refused, by dead-letter reason")] = {}
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
    models: Annotated[dict[str, str], Meta(description="content hash of each model in force after the range")] = {}
    build: Annotated[str, Meta(description="fingerprint of the program")] = ""
    instance: Annotated[str, Meta(description="static member id of the engine process")] = ""


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
    ] = {}
    build: Annotated[str, Meta(description="fingerprint of the program")] = ""


class Ranked(msgspec.Struct, frozen=True):
    """One place of a ranking."""

    instrument: Annotated[str, Meta(description="instrument id")]
    probability: Annotated[Unit, Meta(description="calibrated probability to reach the target before the stop")]
    regime: Annotated[str, Meta(description="bull, bear or empty where not assessed")] = ""
    regimes: Annotated[dict[str, str], Meta(description="bull or bear by horizon: 1h, 6h, 12h, 24h")] = {}
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
    averages: Annotated[dict[str, float], Meta(description="average price by window, 1m to 30d")] = {}
    volumes: Annotated[dict[str, float], Meta(description="volume by window, 1m to 30d")] = {}


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
    ranked: Annotated[tuple[Ranked, ...], Meta(description="best first")]
    excluded: Annotated[dict[str, str], Meta(description="instruments left out, with the reason")] = {}


class CaseAlert(msgspec.Struct, frozen=True):
    """An alert within a case, at the newest revision the case has seen."""

    id: Annotated[Id, Meta(description="alert id")]
    revision: Annotated[Count, Meta(description="newest revision seen")]


class CaseEvent(msgspec.Struct, frozen=True):
    """One step of a case's history."""

    at: Annotated[Time, Meta(description="when")]
    who: Annotated[str, Meta(description="account, or the stage's name for an automatic step")]
    action: Annotated[str, Meta(description="what was done: a new state, an assignment or a note")]
    why: Annotated[str, Meta(description="reason or note as given")] = ""


class Case(Message, frozen=True, kw_only=True):
    """Alerts of one instrument and its neighbourhood, worked on as one. Later revisions replace earlier ones."""

    TOPIC: ClassVar[str] = "cases"

    id: Annotated[Id, Meta(description="stable id of the case")]
    revision: Annotated[Count, Meta(description="0 for the first, one higher for each change")]
    instrument: Annotated[str, Meta(description="instrument of the first alert")]
    state: Annotated[
        Literal["new", "assigned", "in_review", "escalated", "closed", "reopened"],
        Meta(description="state of the work"),
    ]
    disposition: Annotated[str, Meta(description="outcome when closed; empty before")] = ""
    owner: Annotated[str, Meta(description="account it is assigned to; empty for none")] = ""
    risk: Annotated[float, Meta(ge=0, le=100, description="risk that orders the queue, 0 to 100")]
    opened: Annotated[Time, Meta(description="when the case was opened")]
    updated: Annotated[Time, Meta(description="when it last changed")]
    alerts: Annotated[tuple[CaseAlert, ...], Meta(description="alerts of the case")]
    history: Annotated[tuple[CaseEvent, ...], Meta(description="every step, oldest first")] = ()


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


class Taken(msgspec.Struct, frozen=True):
    """A command or a change of settings, and where it took effect: before any market record from there on."""

    before: Annotated[Count, Meta(description="offset of the market partition")]
    action: Annotated[Literal["start", "stop", "kill", "on", "off", "settings"], Meta(description="what changed")]
    instrument: Annotated[str, Meta(description="instrument id for on and off; else empty")] = ""
    command: Annotated[str, Meta(description="id of the command; empty for settings")] = ""
    settings: Annotated[
        dict[str, int | float | bool | str], Meta(description="how it trades from here on; empty for a command")
    ] = {}


class PaperCommit(Message, frozen=True, kw_only=True):
    """One transaction of the paper broker for one market partition: how far it has come, what it took and wrote."""

    TOPIC: ClassVar[str] = "paper.commits"

    topic: Annotated[str, Meta(description="market topic")]
    partition: Annotated[Count, Meta(description="partition of the market topic")]
    next_offset: Annotated[Count, Meta(description="first market offset that is not worked on yet")]
    taken: Annotated[tuple[Taken, ...], Meta(description="what took effect in this transaction, in order")] = ()
    running: Annotated[Literal["start", "stop", "kill"], Meta(description="the last of these commands")]
    switched: Annotated[dict[str, bool], Meta(description="instruments that were switched on or off")] = {}
    standing: Annotated[Count, Meta(description="orders under way or resting after it")] = 0
    orders: Annotated[Count, Meta(description="order messages written since the first transaction")] = 0
    fills: Annotated[Count, Meta(description="fill messages written since the first transaction")] = 0
    skipped: Annotated[Counts, Meta(description="signals that led to no order so far, by reason")] = {}
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


M = TypeVar("M", bound=Message)
KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind
    for kind in (
        Alert,
        Case,
        Commit,
        Coverage,
        Factor,
        Fill,
        News,
        Order,
        PaperCommand,
        PaperCommit,
        Position,
        Prediction,
        Ranking,
        Signal,
    )
}
"""Message kinds by name."""

BY_TOPIC: dict[str, type[Message]] = {kind.TOPIC: kind for kind in KINDS.values()}
"""Message kinds by the topic they lie in."""


class _Envelope(msgspec.Struct):
    """The only part of a message that every version shares."""

    version: str


def encode(message: Message) -> bytes:
    """The message as JSON: keys sorted, no white space, UTF-8; NaN and infinity become null."""
    return msgspec.json.encode(message, order="deterministic")


def decode(kind: type[M], value: bytes) -> M:
    """Read a message of `kind`, ignoring fields it does not know.

    ContractError `unsupported_version` where the major version is not ours, `malformed_message` where the bytes are no
    such message.
    """
    try:
        version = msgspec.json.decode(value, type=_Envelope).version
        if version.partition(".")[0] != str(MESSAGE_MAJOR):
            raise ContractError(
                "unsupported_version",
                f"{kind.__name__} message of version {version!r}; this build reads {MESSAGE_MAJOR}.x",
            )
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ContractError("malformed_message", f"not a {kind.__name__} message: {error}") from error


def stable_id(*parts: str | int) -> str:
    """First 32 hex digits of the SHA-256 of the parts joined by `|`: the same wherever it is computed."""
    return hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:32]


def alert_id(scenario: str, instrument: str, onset_ns: int) -> str:
    """The one id of an alert: Kafka key, key in PostgreSQL, `_id` in Elasticsearch. `onset_ns`: UTC nanoseconds."""
    return stable_id(scenario, instrument, onset_ns)
