"""What tests of the Elasticsearch sink share: settings of their own on real servers, messages, and questions to ask."""

import threading
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from confluent_kafka import TopicPartition
from elasticsearch import ApiError, Elasticsearch

from sinks.elasticsearch import ElasticsearchSink
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, Evidence, Provenance, alert_id, encode, to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings
from tests.eventually import eventually
from tests.integration.postgres_kept import ends

START = 1_700_000_000 * NANOS
PROVENANCE = Provenance(
    topic="market.test",
    partition=0,
    onset_offset=1,
    decided_offset=2,
    updated_offset=3,
    configuration="c" * 64,
    models={"kmeans": "m" * 64},
    build="b",
)


def own(settings: Settings, url: str, **more: Any) -> Settings:
    """Indices and consumer groups of the test's own."""
    name = f"t{uuid.uuid4().hex[:8]}"
    chosen = ElasticsearchSettings(url=url, prefix=name, group=name, **more)
    kafka.create_topics(settings, [*topics.shared_topics(settings.topics), *topics.case_topics(settings.topics)])
    mine = msgspec.structs.replace(settings, elasticsearch=chosen)
    # What other tests have left in the topics is not for this one.
    stand_at(mine, ends(mine))
    return mine


def stand_at(settings: Settings, places: list[TopicPartition]) -> None:
    """Let the sink begin there."""
    for lane in ("urgent", "data"):
        reader = kafka.consumer(settings, f"{settings.elasticsearch.group}-{lane}")
        reader.commit(offsets=places, asynchronous=False)
        reader.close()


def alert(number: int, revision: int = 0, mark: str = "AAA", **changes: object) -> Alert:
    onset = START + number * NANOS
    instrument = changes.pop("instrument", f"{mark}.XTST")
    made = Alert(
        id=alert_id("pump_and_dump", str(instrument), onset),
        scenario="pump_and_dump",
        instrument=str(instrument),
        onset=to_rfc3339(onset),
        decided=to_rfc3339(onset + NANOS),
        updated=to_rfc3339(onset + (revision + 1) * NANOS),
        state="open" if revision == 0 else "update",
        revision=revision,
        severity="high",
        score=50.0 + revision,
        probability=0.9,
        sentence=f"Something happened, revision {revision}.",
        data_tier="quotes",
        evidence=(Evidence("return_60s", 0.1, 0.05, ">="),),
        provenance=PROVENANCE,
    )
    return msgspec.structs.replace(made, **changes)


def send(settings: Settings, said: Iterable[messages.Message], topic: str = topics.ALERTS) -> None:
    producer = kafka.producer(settings)
    for message in said:
        producer.produce(topic, encode(message), key=getattr(message, "id", ""), partition=0)
        producer.poll(0)
    assert producer.flush(30) == 0


def run_sink(settings: Settings, until_idle: float = 0.3):
    return ElasticsearchSink(settings).run(threading.Event(), until_idle=until_idle)


class IndexReader:
    """What the test's indices hold."""

    def __init__(self, settings: Settings, url: str = "") -> None:
        self.prefix = settings.elasticsearch.prefix
        self.client = Elasticsearch(url or settings.elasticsearch.url, request_timeout=60)

    def documents(self, kind: str, **search) -> dict[str, dict[str, Any]]:
        """Documents by id, at most 10,000. Those of an index made this moment are waited for until it can be asked."""
        index = f"{self.prefix}-{kind}*"

        def answer() -> Any:
            self.client.indices.refresh(index=index)
            try:
                return self.client.search(index=index, size=10_000, **search)
            except ApiError as error:
                # Its shards are being opened.
                if error.status_code != 503:
                    raise
                return None

        found = eventually(answer, what=f"{index} can be asked", pause=0.1)["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in found}

    def revisions(self, said: Iterable[Alert]) -> dict[str, int]:
        """Newest revision by id of these alerts, as kept."""
        wanted = {each.id for each in said}
        kept = self.documents("alerts")
        return {id_: kept[id_]["tapewatch"]["alert"]["revision"] for id_ in kept.keys() & wanted}

    def await_documents(self, kind: str, count: int, seconds: float = 120.0) -> None:
        eventually(lambda: len(self.documents(kind)) >= count, what=f"{count} {kind}", seconds=seconds, pause=0.1)
