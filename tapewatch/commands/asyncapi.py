"""The wire contract for other programs: JSON Schemas of every message and one AsyncAPI document, made from the code."""

import inspect
from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa

from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import KINDS
from tapewatch.contract.rows import CONTRACT_VERSION, OPTIONAL, REQUIRED, RowType
from tapewatch.market_log.generations import Generation

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ARROW = "application/vnd.apache.arrow.stream"

_KEYS = {
    "Alert": "alert id; the partition is chosen by instrument",
    "Canary": "id",
    "Case": "id",
    "CaseAnswer": "id of the command",
    "CaseCommand": "case id, or the id of the command where it names none",
    "Commit": "market topic and partition",
    "Coverage": "instrument",
    "DeadLetterReplay": "letter",
    "Factor": "series, with its instrument where it has one",
    "Fill": "order; the partition is chosen by instrument",
    "Label": "subject",
    "News": "id",
    "Order": "id; the partition is chosen by instrument",
    "PaperCommand": "id",
    "PaperCommit": "market topic",
    "Position": "instrument",
    "Prediction": "instrument",
    "Proposal": "id",
    "Ranking": "name",
    "Signal": "instrument",
    "Suppression": "id",
}
"""What a message's Kafka key holds."""

_FRAME_HEADERS = {
    "type": "row type",
    "version": "contract version; a reader refuses a major number that it does not know",
    "source": "who wrote it: a feed writer, or the fingerprint of a replay",
    "epoch": "decimal; a new writer of a source takes a higher one, and readers drop older ones",
    "sequence": "decimal; counts per partition within an epoch, and readers drop what they have seen",
    "produced_at": "decimal; UTC nanoseconds at which the frame was sent",
}

_DEAD_LETTER_HEADERS = {
    "reason": "why it was refused, a stable code such as unreadable, not_a_number or crossed_quote",
    "origin_topic": "topic it was read from",
    "origin_partition": "decimal; partition it was read from",
    "origin_offset": "decimal; offset of the record",
    "kind": "row: one row of a frame; rows: several of one frame, of one reason; record: the record as a whole",
    "refused_by": "who refused it: engine, producer, postgres, elasticsearch, cases or news; absent in older letters",
    "row": "decimal; the row within its frame, of several the first (kinds row and rows)",
    "rows": "decimal; how many rows (kind rows)",
    "type": "row type (kinds row and rows)",
    "detail": "the reason in words (kind record)",
    "bytes": "decimal; size of the whole record; of rows, where they are not kept whole, of their frame",
    "sha256": "hex; hash of the whole record, or of that frame",
    "last_offset": "decimal; of a batch that cannot be unpacked (reason unreadable_batch), whose bytes the value holds",
    "codec": "by which that batch is packed",
}

_RETRY_HEADERS = {
    "retry_letter": "id of the dead letter",
    "retry_topic": "topic that the record lies in",
    "retry_partition": "decimal; its partition there",
    "retry_offset": "decimal; its offset there",
    "retry_appended": "decimal; UTC milliseconds at which it was written there",
}

_INSTRUMENT_HEADERS = {
    "registration": "begun: reference data whose mark follows; effective: the mark, from whose append time on rows of "
    "the instrument count; absent where it was registered without",
}

_ENGINE_HEADERS = {
    "type": "features, sealed, scores, bars or sealed-minutes",
    "version": "contract version; a reader refuses a major number that it does not know",
    "feed": "feed whose market topic the rows come from",
    "partition": "decimal; partition of that market topic",
}

_ENGINE_KEYS = {
    "instrument": (
        "dictionary<values=string, indices=int32, ordered=0>",
        "string",
        "instrument id; * in sealed frames",
    ),
    "ts": ("timestamp[ns, tz=UTC]", "integer", "close of the second or bar, UTC nanoseconds"),
    "offset": ("int64", "integer", "offset of the market record that closed it"),
}
"""Columns of every frame that the engine writes: Arrow type, JSON type, meaning."""

_ENGINE_FRAMES = {
    "features": "one float32 column a feature (docs/features.md), NaN until its window is warm",
    "sealed": "instruments, how many have a row; no later row of the partition has this second or an earlier one",
    "sealed-minutes": "as sealed, in bars, of seconds that end a minute: its bars lie before it",
    "scores": "detector (a code into the schema metadata tapewatch.detectors), raw score, calibrated probability",
    "bars": "interval_s, open, high, low, close, volume, trades, buys and sells (trades by aggressor side)",
}
"""What the engine's frames hold beside these keys."""

_COLUMN_NOTES = {
    "instrument": "instrument id, SYMBOL.VENUE; `*` in a status row speaks for every instrument of the partition",
    "ts_event": "the venue's time, UTC nanoseconds",
    "ts_recv": "the feed writer's time, UTC nanoseconds; the newest in a partition is the partition's clock",
    "aggressor_side": "1 buy, -1 sell, 0 unknown",
    "side": "1 buy, -1 sell",
    "condition": "0 regular, 1 auction, 2 off-book, 3 odd lot, 4 cancel, 5 correct, 6 late (fetched after a hole)",
    "action": "1 add, 2 cut, 3 delete, 4 execute",
    "kind": "1 open, 2 close, 3 auction, 4 halt, 5 resume, 6 heartbeat, 7 gap, 8 resync, 9 control",
    "ts_open": "begin of the bar, UTC nanoseconds",
    "interval_s": "length of the bar, seconds",
}


def schemas() -> dict[str, Json]:
    """JSON Schema (2020-12) by kind: every message kind, and `instrument` for the reference data."""
    kinds: Mapping[str, type[msgspec.Struct]] = {**KINDS, "instrument": Instrument, "generation": Generation}
    return {name: _schema(name, kind) for name, kind in sorted(kinds.items())}


def _schema(name: str, kind: type[msgspec.Struct]) -> Json:
    """One self-contained schema; its parts stand under $defs."""
    _, parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    own = parts.pop(kind.__name__)
    if name in KINDS:
        own["required"] = sorted({"version", *own.get("required", ())})
    whole = {"$schema": DIALECT, "$id": f"urn:tapewatch:{name}:{CONTRACT_VERSION.partition('.')[0]}", **own}
    return {**whole, "$defs": dict(sorted(parts.items()))} if parts else whole


def document() -> Json:
    """The AsyncAPI 3.0 document: every channel with its messages."""
    channels = {**_market_channels(), **_engine_channels(), **_message_channels()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tapewatch",
            "version": CONTRACT_VERSION,
            "description": (
                "Market data, features, scores, alerts and signals as they lie in Kafka. "
                "Changes within a major version only add. "
                "Frames are Arrow IPC streams with one record batch; their payload is described here row by row."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {_operation(name): _send(name) for name in sorted(channels)},
        "components": {"messages": _messages(), "schemas": _component_schemas()},
    }


def _market_channels() -> Json:
    """Market topics and the dead letters of any topic."""
    feed = {"feed": {"description": "feed name: lower-case letters, digits and hyphens"}}
    origin = {"topic": {"description": "the topic whose records were refused"}}
    reader = {"reader": {"description": "who refused them: postgres, elasticsearch, cases or news"}}
    return {
        "market": _channel(
            "market.{feed}",
            [f"frame.{row_type.label}" for row_type in RowType],
            "One feed's rows in the order in which its writer received them. A row lies in partition "
            "murmur2(instrument) modulo the number of partitions, as Kafka's Java client places keys.",
            feed,
        ),
        "deadLetters": _channel("{topic}.dlq", ["deadLetter"], "What was refused, with its reason and origin.", origin),
        "retries": _channel(
            "retry.{reader}",
            ["retry"],
            "What one reader had refused and takes once more; for that reader alone.",
            reader,
        ),
    }


def _engine_channels() -> Json:
    """Frames and state that the engine writes, reference data and models."""
    return {
        "features": _channel(
            topics.FEATURES, ["features", "sealed"], "Features by instrument and second; sealed-second markers."
        ),
        "bars": _channel(
            topics.BARS, ["bars", "sealed-minutes"], "Minute bars that the engine builds; markers of sealed minutes."
        ),
        "scores": _channel(topics.SCORES, ["scores"], "Detector scores of each instrument and second."),
        "paperSnapshots": _channel(
            topics.PAPER_SNAPSHOTS, ["snapshot"], "States of the paper broker, compacted; its own."
        ),
        "snapshots": _channel(topics.SNAPSHOTS, ["snapshot"], "Engine state in chunks, compacted; the engine's own."),
        "instruments": _channel(
            topics.INSTRUMENTS, ["instrument"], "Reference data, compacted: an id's newest, and its marks."
        ),
        "generations": _channel(
            topics.GENERATIONS, ["generation"], "Feeds that go on in a topic of other partitions, compacted."
        ),
        "shadowSignals": _channel(
            topics.SHADOW_SIGNALS, ["signal"], "What a policy under trial would have done; nobody trades on it."
        ),
        "models": _channel(topics.MODELS, ["model"], "Model files by content hash, compacted."),
    }


def _message_channels() -> Json:
    """One channel a message kind."""
    return {
        _channel_name(kind.TOPIC): _channel(kind.TOPIC, [name], inspect.cleandoc(kind.__doc__ or ""))
        for name, kind in sorted(KINDS.items())
    }


def _channel(address: str, messages: list[str], description: str, parameters: Json | None = None) -> Json:
    """A channel that carries the named component messages."""
    channel: Json = {"address": address, "description": description}
    channel["messages"] = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {**channel, "parameters": parameters} if parameters else channel


def _channel_name(topic: str) -> str:
    """The channel's name: alerts, commits for engine.commits, paperCommits for paper.commits."""
    first, *rest = topic.removeprefix("engine.").split(".")
    return first + "".join(part.capitalize() for part in rest)


def _operation(channel: str) -> str:
    """The operation's name: sendAlerts for alerts."""
    return f"send{channel[:1].upper()}{channel[1:]}"


def _send(channel: str) -> Json:
    """The platform writes to every channel of the document; other programs receive."""
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}}


def _messages() -> Json:
    """Every component message."""
    found = {f"frame.{row_type.label}": _frame(row_type) for row_type in RowType}
    for name, kind in KINDS.items():
        found[name] = _json_message(name, kind.__doc__, f"UTF-8 text: {_KEYS[kind.__name__]}")
    key = "UTF-8 text: instrument id; of a mark, the id, # and what makes it its own"
    found["instrument"] = {
        **_json_message("instrument", Instrument.__doc__, key),
        "headers": _headers(_INSTRUMENT_HEADERS, ()),
    }
    found["generation"] = _json_message("generation", Generation.__doc__, "UTF-8 text: market topic of the generation")
    found |= {name: _engine_frame(name, columns) for name, columns in _ENGINE_FRAMES.items()}
    for name, words in (
        ("snapshot", "engine state in chunks, or paper broker state"),
        ("model", "a model's file"),
    ):
        found[name] = {
            "title": name,
            "summary": f"{words}, opaque to other programs".capitalize(),
            "contentType": "application/octet-stream",
            "payload": {"type": "string", "format": "binary"},
        }
    found["deadLetter"] = {
        "title": "dead letter",
        "summary": "A refused row as a one-row frame, or the first 64 KiB of a refused record",
        "contentType": "application/octet-stream",
        "headers": _headers(_DEAD_LETTER_HEADERS, tuple(_DEAD_LETTER_HEADERS)[:5]),
        "payload": {"type": "string", "format": "binary"},
    }
    found["retry"] = {
        "title": "retry",
        "summary": "A record as its reader had refused it, with the headers that it had",
        "contentType": "application/octet-stream",
        "headers": _headers(_RETRY_HEADERS, tuple(_RETRY_HEADERS)),
        "payload": {"type": "string", "format": "binary"},
    }
    return dict(sorted(found.items()))


def _json_message(name: str, doc: str | None, key: str) -> Json:
    """A JSON message with its component schema."""
    return {
        "title": name,
        "summary": inspect.cleandoc(doc or name).partition("\n")[0],
        "contentType": "application/json",
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}},
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _frame(row_type: RowType) -> Json:
    """A market frame, described by one of its rows."""
    columns = {name: _column(name, kind) for name, kind in (*REQUIRED[row_type], *OPTIONAL[row_type])}
    return {
        "title": f"{row_type.label} frame",
        "summary": f"Arrow IPC stream with one record batch of 1 to 65,536 {row_type.label} rows",
        "contentType": ARROW,
        "headers": _headers(_FRAME_HEADERS, tuple(_FRAME_HEADERS)[:5]),
        "payload": {
            "type": "array",
            "minItems": 1,
            "maxItems": 65_536,
            "description": (
                "Columns in this order, the required ones without nulls; optional columns may be absent. "
                f"Schema metadata: tapewatch.type = {row_type.label}, tapewatch.version = {CONTRACT_VERSION}."
            ),
            "items": {"type": "object", "properties": columns, "required": [name for name, _ in REQUIRED[row_type]]},
        },
    }


def _column(name: str, kind: pa.DataType) -> Json:
    """One column as a property: its JSON shape, and its Arrow type under x-arrow-type."""
    shape: Json = {"x-arrow-type": str(kind)}
    if pa.types.is_fixed_size_list(kind):
        shape |= {"type": "array", "items": {"type": "number"}, "minItems": kind.list_size, "maxItems": kind.list_size}
        shape["description"] = "best level first; an absent level is NaN"
    elif pa.types.is_floating(kind):
        shape["type"] = "number"
    elif pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        shape["type"] = "integer"
    else:
        shape["type"] = "string"
    if name in _COLUMN_NOTES:
        shape["description"] = _COLUMN_NOTES[name]
    return dict(sorted(shape.items()))


def _engine_frame(name: str, columns: str) -> Json:
    """A frame that the engine writes; its whole schema travels with it."""
    keys = {
        key: {"type": kind, "x-arrow-type": arrow, "description": note}
        for key, (arrow, kind, note) in _ENGINE_KEYS.items()
    }
    return {
        "title": f"{name} frame",
        "summary": f"Arrow IPC stream with one record batch: instrument, ts, offset, and {columns}",
        "contentType": ARROW,
        "headers": _headers(_ENGINE_HEADERS, tuple(_ENGINE_HEADERS)),
        "payload": {"type": "array", "items": {"type": "object", "properties": keys, "required": list(keys)}},
    }


def _headers(notes: Mapping[str, str], required: tuple[str, ...]) -> Json:
    """Kafka headers, each UTF-8 text."""
    properties = {name: {"type": "string", "description": note} for name, note in notes.items()}
    return {"type": "object", "properties": properties, "required": list(required)}


def _component_schemas() -> Json:
    """Message schemas with their parts lifted beside them, as AsyncAPI resolves references from the document's root."""
    lifted: Json = {}
    for name, schema in schemas().items():
        body = {key: value for key, value in schema.items() if key not in ("$schema", "$id", "$defs")}
        for part, content in schema.get("$defs", {}).items():
            lifted[part] = _rebased(content)
        lifted[name] = _rebased(body)
    return dict(sorted(lifted.items()))


def _rebased(node: Any) -> Any:
    """The node with references into $defs turned into references into components."""
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _rebased(value)
            for key, value in node.items()
        }
    return [_rebased(item) for item in node] if isinstance(node, list) else node
