"""Settings: defaults < tapewatch.toml < TAPEWATCH_* environment < flags; validated as a whole at start, unknown keys
refused.

An environment variable names its key by section and name: `TAPEWATCH_KAFKA_BOOTSTRAP` is `kafka.bootstrap`. A value
that begins with `@` is read from the file it names, so that a secret need not stand in the environment.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.settings.delivery import (
    CanarySettings,
    CaseSettings,
    ConsoleSettings,
    ElasticsearchSettings,
    EvidenceSettings,
    GovernanceSettings,
    NotifySettings,
)
from tapewatch.settings.forecasts import ForecastSettings, NewsSettings
from tapewatch.settings.kafka import KafkaSettings as KafkaSettings
from tapewatch.settings.kafka import of_embedded
from tapewatch.settings.paper import PaperProcessSettings
from tapewatch.settings.stack import Addresses
from tapewatch.settings.venues import ProduceSettings, VenueSettings

NO_SETTINGS = frozenset(
    {
        "TAPEWATCH_TEST_DATA",
        "TAPEWATCH_TEST_LONG",
        "TAPEWATCH_TEST_PATIENCE",
        "TAPEWATCH_VENUE_KEY",
        "TAPEWATCH_VENUE_SECRET",
        "TAPEWATCH_SQL_URL",
    }
)
"""Variables of the environment that begin as ours do and are none: what the tests are told, and a venue's keys
and a source database's URL, which no setting holds so that nothing that prints settings can print them.
"""

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


_DRIVER: Final = "postgresql+psycopg2"
"""What PostgreSQL is spoken to with; SQLAlchemy would take another by itself."""


class PostgresSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach PostgreSQL.

    url : postgresql://USER@HOST:PORT/DATABASE; empty means the embedded stack of this data folder
    """

    url: str = ""


class EmbeddedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The embedded stack.

    kafka_port, controller_port : 0 takes a free port
    kafka_heap_mb : JVM heap of the broker, MiB
    java : java executable; empty means the best one found
    elasticsearch : whether Elasticsearch starts too, as `up --with elasticsearch` says
    elasticsearch_port : 0 takes a free port; elasticsearch_heap_mb : JVM heap of Elasticsearch, MiB
    elasticsearch_java : java executable of a JDK for it; empty means the newest one found
    wait_s : how long a command that needs the stack waits for it to come up, s
    secure : Kafka with TLS, accounts and rights, as `up --secure` says
    kafka_properties : further properties of the broker
    """

    kafka_port: Port = 0
    controller_port: Port = 0
    kafka_heap_mb: Positive = 512
    java: str = ""
    elasticsearch: bool = False
    elasticsearch_port: Port = 0
    elasticsearch_heap_mb: Positive = 512
    elasticsearch_java: str = ""
    wait_s: NotNegative = 0.0
    secure: bool = False
    kafka_properties: dict[str, str] = {}


class TopicSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How topics are created.

    market_partitions : partitions of a new market topic
    replication : replicas of every topic
    min_insync : replicas that have to have a record before it is acknowledged; 0 leaves it to the broker
    market_retention_hours : how long market frames and features stay
    """

    market_partitions: Positive = 4
    replication: Positive = 1
    min_insync: Annotated[int, msgspec.Meta(ge=0)] = 0
    market_retention_hours: Positive = 168

    def __post_init__(self) -> None:
        if self.min_insync > self.replication:
            raise ValueError(f"topics.min_insync {self.min_insync} is more than topics.replication {self.replication}")


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine process.

    group : consumer group; instance : static member id, unique in the group; empty takes host name and process id
    batch_frames : frames of one micro-batch at most; poll_ms : longest wait for the first one, ms
    snapshot_seconds : time between snapshots of a partition at most, while there is work
    replay_seconds : a snapshot is due earlier where a process's partitions would together take longer to replay, s
    feeds : names of the feeds this group works on; empty means every feed there is
    restore_offsets : go on where `engine.commits` ends, where the group's offsets say something else
    """

    group: str = "tapewatch-engine"
    instance: str = ""
    batch_frames: Positive = 600
    poll_ms: Positive = 20
    snapshot_seconds: PositiveFloat = 30.0
    replay_seconds: PositiveFloat = 2.0
    feeds: tuple[str, ...] = ()
    restore_offsets: bool = False


class SparkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`run spark`.

    master : local[2], or a cluster's address; memory : of the driver
    checkpoint : folder of Spark's offsets, on a cluster one that all see; empty means one of the group's in `data`
    parquet : folder for the outputs as Parquet, beside the topics; empty writes none
    trigger_seconds : from one micro-batch to the next at least, s
    batch_records : records of a partition in a micro-batch at most
    transaction_frames : frames of one transaction, and of one Parquet file, at most
    """

    master: str = "local[2]"
    memory: str = "1g"
    checkpoint: str = ""
    parquet: str = ""
    trigger_seconds: NotNegative = 1.0
    batch_records: Positive = 100_000
    transaction_frames: Positive = 2_000


class SinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sinks.

    batch_rows : rows of one database transaction at most; linger_ms : longest wait for a fuller batch
    retention_days : day partitions older than this are dropped by `db retention`
    """

    batch_rows: Positive = 200_000
    linger_ms: Positive = 100
    retention_days: Positive = 1830


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts.

    per_instrument_day : alert budget: how many all scenarios together may open an instrument and day; `evaluate budget`
    proposes thresholds that keep it
    """

    per_instrument_day: PositiveFloat = 1.0


class OrderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order gateway. It starts only with every limit set.

    address : the venue's base address, https://... (FIX: host:port); never guessed
    key_file, secret_file : files with the venue's access key and secret (FIX: user name and password)
    instruments : instrument ids that may be traded
    max_order_value : largest price times quantity of an order, quote currency; 0 is not set
    max_open_orders : orders open at a time; 0 is not set
    max_position_value : largest long or short holding from this gateway's fills, open orders counted as filled, at the
    order's price, quote currency; 0 is not set
    max_orders_minute : new orders within 60 s; 0 is not set
    max_age_s : an order made longer ago than this is refused, not sent
    timeout_s : a request without an answer for that long has an unknown outcome
    poll_s : how often open orders are looked at
    sender, target : SenderCompID and TargetCompID of the FIX session
    """

    address: str = ""
    key_file: str = ""
    secret_file: str = ""
    instruments: tuple[str, ...] = ()
    max_order_value: NotNegative = 0.0
    max_open_orders: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_position_value: NotNegative = 0.0
    max_orders_minute: Annotated[int, msgspec.Meta(ge=0)] = 0
    max_age_s: PositiveFloat = 30.0
    timeout_s: PositiveFloat = 5.0
    poll_s: PositiveFloat = 1.0
    sender: str = ""
    target: str = ""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Structured logs. level : debug, info, warning or error; format : json or text."""

    level: str = "info"
    format: str = "text"


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process shows of itself: /metrics, /livez and /readyz.

    host : where it listens; port : 0 shows nothing, -1 takes a free port and says which on standard error
    stale_s : a process whose main loop did not come round for that long counts as dead
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=-1, le=65535)] = 0
    stale_s: PositiveFloat = 60.0


class TracingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Traces of alerts, by OpenTelemetry's protocol over HTTP.

    endpoint : of a collector, http://.../v1/traces; empty traces nothing
    headers_file : file with lines `name: value` that the collector asks for
    """

    endpoint: str = ""
    headers_file: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. data : the data folder of the embedded stack, model registry and audit log."""

    data: str = ".tapewatch"
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    topics: TopicSettings = TopicSettings()
    engine: EngineSettings = EngineSettings()
    spark: SparkSettings = SparkSettings()
    sink: SinkSettings = SinkSettings()
    alerts: AlertSettings = AlertSettings()
    paper: PaperProcessSettings = PaperProcessSettings()
    orders: OrderSettings = OrderSettings()
    produce: ProduceSettings = ProduceSettings()
    venues: VenueSettings = VenueSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    cases: CaseSettings = CaseSettings()
    notify: NotifySettings = NotifySettings()
    canary: CanarySettings = CanarySettings()
    evidence: EvidenceSettings = EvidenceSettings()
    console: ConsoleSettings = ConsoleSettings()
    forecast: ForecastSettings = ForecastSettings()
    news: NewsSettings = NewsSettings()
    governance: GovernanceSettings = GovernanceSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data).expanduser().resolve()

    def bootstrap(self) -> str:
        """Kafka addresses: the setting, or the running embedded stack of the data folder."""
        return self.kafka.bootstrap or Addresses.running(self.data_path, self.embedded.wait_s).bootstrap

    def kafka_login(self) -> KafkaSettings:
        """How to log in at Kafka: the settings, completed by what the running embedded stack asks for."""
        if self.kafka.bootstrap:
            return self.kafka
        folder = Addresses.running(self.data_path, self.embedded.wait_s).kafka_accounts
        return of_embedded(self.kafka, Path(folder)) if folder else self.kafka

    def postgres_url(self) -> str:
        """SQLAlchemy URL, with the driver: the setting, or the running embedded stack of the data folder."""
        url = self.postgres.url
        if not url:
            return Addresses.running(self.data_path, self.embedded.wait_s).postgres_url
        scheme, found, rest = url.partition("://")
        if not found or scheme not in (_DRIVER, "postgresql", "postgres"):
            raise SettingsError(
                "postgres.url is no address of a PostgreSQL",
                "Use postgresql://USER@HOST:PORT/DATABASE; see docs/security.md.",
            )
        return f"{_DRIVER}://{rest}"

    def elasticsearch_url(self) -> str:
        """Elasticsearch's address: the setting, or the running embedded stack of the data folder."""
        if self.elasticsearch.url:
            return self.elasticsearch.url
        url = Addresses.running(self.data_path, self.embedded.wait_s).elasticsearch_url
        if not url:
            raise TapewatchError(
                f"the stack in {self.data_path} runs without Elasticsearch",
                "Run `tapewatch down` and `tapewatch up --with elasticsearch`, or set elasticsearch.url.",
            )
        return url


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Read settings from file, environment and flags (dotted keys), in that order of increasing precedence.

    SettingsError names the key that is unknown or wrong. Without `file`, `tapewatch.toml` of the working folder is read
    if it is there.
    """
    path = file or Path("tapewatch.toml")
    tree: dict[str, Any] = {}
    if path.exists():
        try:
            tree = tomllib.loads(path.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path} is not valid TOML: {error}", "Mend the file.") from error
    elif file is not None:
        raise SettingsError(f"there is no settings file {file}", "Name an existing file with --settings.")
    for key, value in (os.environ if environment is None else environment).items():
        if key.startswith("TAPEWATCH_") and key not in NO_SETTINGS:
            dotted = _dotted(key)
            _place(tree, dotted, _words(_from_file(value)) if dotted in _LISTS else _from_file(value))
    for key, value in (flags or {}).items():
        if value is not None:
            _place(tree, key, value)
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"settings: {error}", "See `tapewatch config show` for all keys and their meaning."
        ) from error


_LISTS = frozenset(
    {
        "engine.feeds",
        "paper.feeds",
        "orders.instruments",
        "venues.news.feeds",
        "notify.allow_networks",
        "console.allowed_hosts",
        "console.oidc.networks",
        "notify.canaries",
        "canary.scenarios",
        "canary.stages",
        "notify.retry_s",
    }
)
"""Keys whose environment variable is a comma-separated list."""


def _words(value: str) -> list[str]:
    """The words of a comma-separated list."""
    return [word.strip() for word in value.split(",") if word.strip()]


def _dotted(key: str) -> str:
    """TAPEWATCH_KAFKA_BOOTSTRAP -> kafka.bootstrap; a key without a section stays whole."""
    return _within(Settings, key.removeprefix("TAPEWATCH_").lower())


def _within(section: type[msgspec.Struct], name: str) -> str:
    """The dotted form of a name within a section: venues_binance_usdm_rest -> venues.binance_usdm.rest."""
    inner = {
        field.name: field.type
        for field in msgspec.structs.fields(section)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
    }
    for prefix in sorted(inner, key=len, reverse=True):
        if name.startswith(f"{prefix}_"):
            return f"{prefix}.{_within(inner[prefix], name.removeprefix(f'{prefix}_'))}"
    return name


def _from_file(value: str) -> str:
    """The value itself, or the content of the file that `@path` names."""
    return Path(value[1:]).read_text().strip() if value.startswith("@") else value


def _place(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a dotted key in a tree of dicts."""
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[leaf] = value
