"""Alerts in PostgreSQL: read in a stream, repaired by the sink's own merge."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec

from sinks.postgres import merge
from sinks.postgres.batch import JsonRecord
from sinks.postgres.database import check_revision, connect
from sinks.postgres.keys import Keys
from sinks.postgres.positions import next_offsets
from sinks.postgres.writer import merge_storable
from sinks.reconcile import hashes
from sinks.reconcile.ledger import POSTGRES, AlertVersion
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, Evidence, Provenance
from tapewatch.rfc3339 import to_rfc3339

_READ = """
SELECT a.id, a.scenario, i.name, a.onset_ns, a.decided_ns, a.updated_ns, a.state, a.revision, a.severity, a.score,
    a.probability, a.sentence, a.data_tier, a.evidence, a.provenance
FROM alerts a JOIN instruments i ON i.id = a.instrument_id WHERE a.decided_ns >= %s AND a.decided_ns < %s
"""
_AT_ONCE = 2000


class PostgresAlerts:
    """One store of alerts."""

    name = POSTGRES

    def __init__(self, url: str) -> None:
        self._url = url

    def reached(self) -> dict[int, int] | None:
        """How far the sink has come: next offset by partition of the topic; None where it never ran."""
        with closing(connect(self._url)) as session:
            check_revision(session)
            with session, session.cursor() as cursor:
                stand = next_offsets(cursor)
        ours = {partition: offset for (topic, partition), offset in stand.items() if topic == topics.ALERTS}
        return ours if stand else None

    def read(self, since_ns: int, until_ns: int) -> Iterator[AlertVersion]:
        """Alerts decided in a stretch of time, in no order."""
        with closing(connect(self._url)) as session:
            check_revision(session)
            with session, session.cursor("reconcile") as cursor:
                cursor.itersize = _AT_ONCE
                cursor.execute(_READ, (since_ns, until_ns))
                for row in cursor:
                    yield AlertVersion(row[0], row[7], _hash(row))

    def write(self, records: Sequence[tuple[tuple[str, int, int], bytes]]) -> None:
        """Bring alerts to what these records say, whatever is kept; what it cannot hold stays as it is."""
        with closing(connect(self._url)) as session:
            keys = Keys(session)
            kept = [JsonRecord(*origin, value) for origin, value in records]
            for record in kept:
                merge.prepare(record, keys)
            with session, session.cursor() as cursor:

                def replace(records: list[JsonRecord]) -> None:
                    ids = [messages.decode(Alert, record.value).id for record in records]
                    cursor.execute("DELETE FROM alerts WHERE id = ANY(%s)", (ids,))
                    merge.merge(cursor, keys, records)

                merge_storable(cursor, kept, replace)

    def delete(self, ids: Sequence[str]) -> None:
        """Take away alerts that the topic does not know."""
        with closing(connect(self._url)) as session, session, session.cursor() as cursor:
            cursor.execute("DELETE FROM alert_history WHERE id = ANY(%s)", (list(ids),))
            cursor.execute("DELETE FROM alerts WHERE id = ANY(%s)", (list(ids),))


def _hash(row: tuple[Any, ...]) -> str:
    """Of a row as the message that it was; of a row that no message gives, a hash that none has."""
    id_, scenario, instrument, onset, decided, updated, state, revision, severity, score, probability, *rest = row
    sentence, data_tier, evidence, provenance = rest
    try:
        alert = Alert(
            id=id_,
            scenario=scenario,
            instrument=instrument,
            onset=to_rfc3339(onset),
            decided=to_rfc3339(decided),
            updated=to_rfc3339(updated),
            state=state,
            revision=revision,
            severity=severity,
            score=score,
            probability=probability,
            sentence=sentence,
            data_tier=data_tier,
            evidence=msgspec.convert(evidence, tuple[Evidence, ...]),
            provenance=msgspec.convert(provenance, Provenance),
        )
        return hashes.of_message(alert)
    except (msgspec.ValidationError, OverflowError, ValueError):
        return "damaged"
