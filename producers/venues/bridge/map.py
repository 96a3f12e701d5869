"""The map file of a bridge: how the fields of other people's messages become rows of the contract."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tapewatch.contract import topics
from tapewatch.errors import TapewatchError

Char = Annotated[str, Meta(min_length=1, max_length=1)]
Positive = Annotated[int, Meta(ge=1)]
Constant = str | int | float
TypeName = Literal["trade", "quote", "book", "bar", "order", "status"]

_PAGE = "docs/venues/kafka-bridge.md has a whole map as an example."


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The messages.

    format : json (an object, or a list of objects) or csv (one line or several); encoding : of the text
    bootstrap : host:port list of another cluster than ours; client : further librdkafka properties for it
    header : names of the CSV columns, or "first" where each message begins with them; delimiter, quote : of CSV
    unwrap : dotted path of a JSON field whose text is the message proper, such as `message` of logstash; its fields
    come before those around it
    """

    format: Literal["json", "csv"] = "json"
    encoding: str = "utf-8"
    bootstrap: str = ""
    client: dict[str, str] = {}
    header: tuple[str, ...] | Literal["first"] = ()
    delimiter: Char = ","
    quote: Char = '"'
    unwrap: str = ""


class InstrumentMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rows they are.

    template : the instrument id, paths in braces: "{code}.XKRX"; strip_prefix : taken off the text of each path
    upper : write it in capitals; register : register ids that are unknown (with what stands below, marked provisional),
    else refuse their rows; limit : ids that are registered at most in a run
    name : dotted path of a name; kind, currency, lot, timezone, open, close : reference data of what is registered
    """

    template: Annotated[str, Meta(min_length=1)]
    strip_prefix: str = ""
    upper: bool = False
    register: bool = True
    limit: Positive = 5_000
    name: str = ""
    kind: str = "share"
    currency: str = ""
    lot: Annotated[float, Meta(gt=0)] = 1.0
    timezone: str = "UTC"
    open: str = ""
    close: str = ""


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a column's value comes from; a plain text in its place is a `path`.

    path : dotted path, or several whose texts are joined by a blank; `{level}` in it counts from 1 (books)
    item : path within each element of a list (books); value : a constant, in place of a path
    default : taken where the path is missing or empty; values : what a text stands for
    time : iso, s, ms, us, ns (since 1970) or a strptime format; zone : IANA zone of times without an offset
    absolute : drop signs, any number of them; thousands : separator to drop; scale : factor, exact
    """

    path: str | tuple[str, ...] = ""
    item: str = ""
    value: Constant | None = None
    default: Constant | None = None
    values: dict[str, Constant] = {}
    time: str = ""
    zone: str = ""
    absolute: bool = False
    thousands: str = ""
    scale: str | int | float = 1


class RowMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of row.

    type : row type; when : paths and the texts they must have for this kind; the first kind that fits is taken
    interval_s : length of a bar, s; columns : column of the contract -> where its value comes from
    """

    type: TypeName
    columns: dict[str, str | Value]
    when: dict[str, str] = {}
    interval_s: Annotated[int, Meta(ge=0)] = 0


class BridgeMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A map file.

    feed : market feed to fill
    receipt : ts_recv of a row: `record` the time Kafka has for the message, `now` the bridge's clock, `event` the row's
    ts_event (for a finished topic of history: only rows move the feed's clock)
    constants : fields that every message is taken to have
    """

    feed: str
    instrument: InstrumentMap
    rows: Annotated[tuple[RowMap, ...], Meta(min_length=1)]
    input: Input = Input()
    receipt: Literal["record", "now", "event"] = "record"
    constants: dict[str, Constant] = {}


def load_map(path: Path, feed: str = "") -> BridgeMap:
    """Read a map file; TapewatchError names the key that is wrong. feed : taken in place of the file's"""
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TapewatchError(f"cannot read the map {path}: {error.strerror}", "Name a file with --map.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TapewatchError(f"{path} is not TOML: {error}", "Mend the file at that place.") from error
    if feed:
        tree["feed"] = feed
    try:
        found = msgspec.convert(tree, BridgeMap)
        topics.market(found.feed)
    except msgspec.ValidationError as error:
        raise mistake(_key(str(error)), str(error).partition(" - at")[0]) from error
    except TapewatchError as error:
        raise mistake("feed", error.message, error.hint) from error
    _check_input(found.input)
    return found


def mistake(key: str, what: str, todo: str = "") -> TapewatchError:
    """The error of one key of the map. todo : what to do, by default to look at the example"""
    return TapewatchError(f"map: {key}: {what}", todo or f"Mend that key: {_PAGE}")


def _key(error: str) -> str:
    """The key that a validation error speaks of: `Expected ... - at `$.rows[0].type`` -> rows[0].type."""
    at = error.rpartition("`$")[2].rstrip("`") if "`$" in error else ""
    return at.lstrip(".") or "the whole file"


def _check_input(source: Input) -> None:
    try:
        "".encode(source.encoding)
    except LookupError as error:
        raise mistake(
            "input.encoding", f"there is no encoding {source.encoding!r}", "Write utf-8, euc-kr ..."
        ) from error
    if source.format == "csv" and not source.header:
        raise mistake(
            "input.header", "CSV needs the names of its columns", 'Write header = ["time", ...], or header = "first".'
        )
    if source.format == "json" and source.header:
        raise mistake("input.header", "JSON has no header", 'Take the key away, or write format = "csv".')
