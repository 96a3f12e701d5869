"""How alerts reach people: Elasticsearch, cases, subscribers, evidence, console."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tapewatch.settings.canaries import PREFIX, Stage

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

    group : consumer group, and the name under which one process alone may write
    window_s : alerts of a neighbourhood this close together are one case, s
    cooldown_s : after a close, an alert of the same scenario and instrument raises nobody for so long, s
    inhibit_s : episodes of an instrument this close together are one to inhibition, s
    most_alerts : a case with so many alerts takes no other; the next one opens a case
    """

    group: str = "tapewatch-cases"
    window_s: PositiveFloat = 3600.0
    cooldown_s: PositiveFloat = 3600.0
    inhibit_s: PositiveFloat = 300.0
    most_alerts: Positive = 200


class NotifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deliveries to subscribers.

    allow_networks : networks (CIDR) inside the operator's that may be reached; none are otherwise
    allow_http : whether webhooks may go to http:// addresses too
    canaries : instruments whose id begins with one of these are canaries: their alerts reach nobody, open no case and
        stand in no queue, their signals are not traded
    case_wait_s : how long an alert waits for the case stage to say whether it is inhibited; 0 goes without cases
    retry_s : waits between the attempts of a delivery, s; jitter comes on top
    timeout_s : a receiver without an answer for that long has failed
    concurrency : deliveries to one subscription at a time
    disable_after_s : a subscription none of whose deliveries got through for that long is disabled
    keep_days : deliveries that are done are kept for that long
    key_file : key that webhook secrets and chat addresses are encrypted with; empty means notify.key of the data folder
    """

    allow_networks: tuple[str, ...] = ()
    allow_http: bool = False
    canaries: tuple[str, ...] = (PREFIX,)
    case_wait_s: Annotated[float, Meta(ge=0)] = 2.0
    retry_s: tuple[PositiveFloat, ...] = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0)
    timeout_s: PositiveFloat = 15.0
    concurrency: Positive = 4
    disable_after_s: PositiveFloat = 432000.0
    keep_days: Positive = 90
    key_file: str = ""


class CanarySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Canaries: manipulation that we inject ourselves to see whether it is found.

    every_s : between the beginnings of two; due_s : one whose alert is not readable so long after its begin is missed
    scenarios : injected in turn
    stages : where the alert has to be readable: topic, and the stores there are (postgres, elasticsearch)
    group : name under which one process alone may judge
    """

    every_s: PositiveFloat = 300.0
    due_s: PositiveFloat = 60.0
    scenarios: Annotated[tuple[str, ...], Meta(min_length=1)] = ("pump_and_dump",)
    stages: tuple[Stage, ...] = ("topic", "postgres")
    group: str = "tapewatch-canary"


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Archived evidence.

    group : consumer group of `run evidence`; folder : where bundles lie; empty means evidence/ of the data folder
    retention_days : a bundle cannot be removed before; what is archived keeps the date it was given
    slice_records : records of the log between state and alert at most; further apart, the state is computed anew
    """

    group: str = "tapewatch-evidence"
    folder: str = ""
    retention_days: Positive = 1827
    slice_records: Positive = 20_000


class GovernanceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Second pairs of eyes.

    four_eyes : `config apply` and `models promote` take an approved proposal's id
    """

    four_eyes: bool = False


class OidcSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logging in at the operator's identity provider (OpenID Connect).

    issuer : its address; empty means there is none
    name : word on the login page's button; client_id : ours there; secret_file : file with our secret; empty: none
    public_url : the console's address as browsers know it, such as https://console.example.org
    scopes : asked for; role_claim : claim that holds groups or roles
    roles : value of that claim to role; the highest holds, and who has none may not enter
    networks : networks (CIDR) inside the operator's where the provider may be; none are otherwise
    """

    issuer: str = ""
    name: str = "Single sign-on"
    client_id: str = ""
    secret_file: str = ""
    public_url: str = ""
    scopes: str = "openid profile email"
    role_claim: str = "groups"
    roles: dict[str, Literal["viewer", "analyst", "approver", "admin"]] = {}
    networks: tuple[str, ...] = ()


class ConsoleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The console.

    host, port : where it listens; port 0 takes a free one
    session_hours : a session ends after so long
    language : of whoever has chosen none
    idle_minutes : a session without a call for that long ends
    allowed_hosts : names by which browsers may call it, beside `host` and the loopback's
    tls_cert, tls_key : PEM files; with them it speaks HTTPS
    behind_proxy : a TLS proxy stands before it: cookies are Secure, addresses come from X-Forwarded-For's last entry
    requests_per_minute : of one account; from one address five times as many
    streams_per_account : event streams open at a time
    request_timeout_s : longest wait for a request's head or body
    """

    host: str = "127.0.0.1"
    port: Port = 8470
    session_hours: PositiveFloat = 12.0
    language: Literal["en", "zh-TW", "ko"] = "en"
    idle_minutes: PositiveFloat = 60.0
    allowed_hosts: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    requests_per_minute: Positive = 1200
    streams_per_account: Positive = 128
    request_timeout_s: PositiveFloat = 20.0
    oidc: OidcSettings = OidcSettings()
