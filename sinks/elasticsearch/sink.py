"""The sink's life: templates first, then two lanes at once. What people wait for never stands behind the day's data."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from confluent_kafka import Message

from sinks.backoff import Backoff
from sinks.dead_letters import DeadLetterTopics
from sinks.elasticsearch import templates
from sinks.elasticsearch.bulk import Bulk, Progress, Summary, Tally
from sinks.elasticsearch.bulk_items import Intake, is_urgent
from sinks.elasticsearch.client import connect
from sinks.elasticsearch.lane import PartitionWriter
from sinks.log_reader import Reader
from tapewatch import logs
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime.monitoring import Monitor, counters
from tapewatch.runtime.monitoring import metric as figures
from tapewatch.settings import Settings

REPORT_S = 2.0
ANEW = (
    "Restore the topic; or let the lane begin with it at its beginning: `kafka-consumer-groups.sh --delete-offsets "
    "--topic {topic}`, with --group and the group named here. What is kept already keeps its ids."
)
_log = logs.get("sink.elasticsearch")


COUNTS = counters(
    "elasticsearch",
    conflicts="Documents of which the server had that revision or a later one.",
    retried="Documents sent again.",
    requests="Bulk requests.",
)


class ElasticsearchSink:
    """Keeps alerts, cases and the day's data in Elasticsearch, each document once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally = Tally()
        self.monitor = Monitor("sink_elasticsearch", settings)
        self.monitor.show(figures.WRITTEN, lambda: figures.labelled(self._tally.kept))
        self.monitor.show(figures.DEAD_LETTERS, lambda: figures.labelled(self._tally.dead))
        self.monitor.show_counts(COUNTS, self._tally)
        self._failures: list[BaseException] = []

    def run(
        self,
        stop: threading.Event,
        until_idle: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Summary:
        """Work until `stop` is set, or until all is read and nothing came for `until_idle` seconds.

        on_progress : called about every two seconds from this thread
        A server or broker that fails is waited for. TapewatchError where waiting does not help.
        """
        began, report = WALL.elapsed(), on_progress or (lambda _: None)
        self.monitor.waits_for("database", "the templates are not installed yet")
        self.monitor.ready()
        client = connect(self._settings)
        registry = Registry(self._settings) if self._settings.elasticsearch.book_seconds else None
        readers: list[Reader] = []
        try:
            if self._install(stop, report):
                lanes = self._lanes(readers, registry)
                self._work(lanes, stop, until_idle, report)
        finally:
            client.close()
            for reader in readers:
                reader.close()
            if registry is not None:
                registry.close()
        return self._tally.summary(WALL.elapsed() - began)

    def _install(self, stop: threading.Event, report: Callable[[Progress], None]) -> bool:
        """Bring the templates up to date as soon as the server answers; False where `stop` was set first."""
        from elastic_transport import TlsError
        from elasticsearch import ApiError, TransportError

        backoff, client = Backoff(), connect(self._settings)
        while not stop.is_set():
            try:
                templates.install(client, self._settings)
                return True
            except ApiError as error:
                if error.meta.status < 500 and error.meta.status != 429:
                    raise TapewatchError(
                        f"Elasticsearch refuses the templates: {error}",
                        "Check the key's rights: docs/elasticsearch.md.",
                    ) from error
                problem = str(error)
            except TlsError as error:
                raise TapewatchError(
                    f"Elasticsearch's certificate is not trusted: {error}",
                    "Check elasticsearch.ca_file, and that elasticsearch.url has a name of the certificate.",
                ) from error
            except TransportError as error:
                problem = str(error)
            self.monitor.beat()
            self.monitor.waits_for("database", problem)
            _log.warning("waiting for Elasticsearch", problem=logs.printable(problem)[:300])
            report(Progress(0, 0, problem))
            stop.wait(backoff.wait_s())
        return False

    def _lanes(self, readers: list[Reader], registry: Registry | None) -> list[PartitionWriter]:
        """Alerts and cases; everything else."""
        chosen, dead = self._settings.elasticsearch, DeadLetterTopics(self._settings)
        told_of = _nobody if registry is None else registry.fetched
        urgent, data = partial(Intake, chosen), partial(Intake, chosen, registry)
        plan = (("urgent", is_urgent, urgent, _nobody), ("data", data().is_wanted, data, told_of))
        lanes = []
        for name, is_wanted, begin, fetched in plan:
            told = self.monitor.client(name)
            readers.append(Reader(self._settings, f"{chosen.group}-{name}", is_wanted, ANEW, told))

            def trouble(text: str, lane: str = name) -> None:
                self._tally.troubles[lane] = text

            bulk = Bulk(connect(self._settings), chosen.bulk_bytes, trouble)
            size, tracer = chosen.bulk_bytes, self.monitor.tracer
            lanes.append(PartitionWriter(name, readers[-1], fetched, begin, bulk, dead, self._tally, size, tracer))
        return lanes

    def _work(
        self,
        lanes: list[PartitionWriter],
        stop: threading.Event,
        until_idle: float | None,
        report: Callable[[Progress], None],
    ) -> None:
        """Run the lanes to their end; a failure of one ends the other."""
        ended = threading.Event()
        threads = [
            threading.Thread(target=self._guarded, args=(lane, ended, until_idle), daemon=True) for lane in lanes
        ]
        for thread in threads:
            thread.start()
        waited, rounds = 0.0, [-1 for _ in lanes]
        while any(thread.is_alive() for thread in threads):
            if stop.wait(0.05) or self._failures:
                ended.set()
                with suppress(RuntimeError):
                    threads[0].join(0.05)
            # A lane that waits for the server, and says so, is not stuck.
            if self._tell_trouble() or all(lane.rounds != known for lane, known in zip(lanes, rounds, strict=True)):
                self.monitor.beat()
                rounds = [lane.rounds for lane in lanes]
            waited += 0.05
            if waited >= REPORT_S:
                waited = 0.0
                report(self._tally.progress())
        if self._failures:
            raise self._failures[0]

    def _tell_trouble(self) -> bool:
        """Ready while no lane waits for the server; whether one does."""
        trouble = self._tally.progress().trouble
        if trouble:
            self.monitor.waits_for("database", trouble)
        else:
            self.monitor.has("database")
        return bool(trouble)

    def _guarded(self, lane: PartitionWriter, stop: threading.Event, until_idle: float | None) -> None:
        """Run one lane; its failure is raised by the sink."""
        try:
            lane.run(stop, until_idle)
        except BaseException as failure:
            self._failures.append(failure)


def _nobody(records: Sequence[Message]) -> None:
    """Nobody has to be told what is taken next."""
