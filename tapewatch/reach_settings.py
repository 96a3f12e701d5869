"""How alerts reach people: Elasticsearch, cases, subscribers, evidence, console."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class ElasticsearchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach Elasticsearch.

    url : address; empty means the embedded stack of this data folder
    api_key_file : file with an API key; ca_file : certificates to trust beside the system's
    prefix : of the names of indices, aliases and templates; group : consumer group
    bulk_bytes : of a bulk request at most
    score_floor : least calibrated probability of a score that is kept
    book_seconds : one order book of an instrument in so many seconds is kept, its best five levels; 0 for none
    retention_days : daily indices older than this are deleted
    """

    url: str = ""
    api_key_file: str = ""
    ca_file: str = ""
    prefix: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,62}$")] = "tapewatch"
    group: str = "tapewatch-sink-elasticsearch"
    bulk_bytes: Positive = 2_000_000
    score_floor: Annotated[float, Meta(ge=0, le=1)] = 0.5
    book_seconds: Annotated[int, Meta(ge=0)] = 10
    retention_days: Positive = 90


class CaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cases.

    group : consumer group; window_s : alerts of a neighbourhood this close together are one case, s
    """

    group: str = "tapewatch-cases"
    window_s: PositiveFloat = 3600.0


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deliveries to subscribers.

    allow_networks : networks (CIDR) inside the operator's that may be reached; none are otherwise
    """

    allow_networks: tuple[str, ...] = ()


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Archived evidence. folder : where bundles lie; empty means evidence/ of the data folder."""

    folder: str = ""


class ConsoleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The console.

    host, port : where it listens; port 0 takes a free one
    session_hours : a session ends after so long
    language : of whoever has chosen none
    """

    host: str = "127.0.0.1"
    port: Port = 8470
    session_hours: PositiveFloat = 12.0
    language: Literal["en", "zh-TW", "ko"] = "en"
