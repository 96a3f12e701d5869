"""Whether alerts can be read in a store yet: one short question for all that are awaited."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import psycopg2
from sqlalchemy.engine import make_url

from sinks.elasticsearch import mappings
from sinks.elasticsearch.client import connect, server_errors
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings
from tapewatch.settings.canaries import Stage

AGAIN_NS = 5 * NANOS
"""A store that did not answer is asked again after so long."""
_ANSWER_S = 2
_log = logs.get("sink.canary")


class Postgres:
    """Rows of the table `alerts`."""

    errors: tuple[type[Exception], ...] = (psycopg2.Error,)

    def __init__(self, settings: Settings) -> None:
        address = make_url(settings.postgres_url()).set(drivername="postgresql")
        self._url = address.render_as_string(hide_password=False)
        self._session: psycopg2.extensions.connection | None = None

    def there(self, ids: Sequence[str]) -> list[str]:
        """Those of the alerts that lie there; psycopg2.Error where the server does not answer."""
        if self._session is None or self._session.closed:
            self._session = psycopg2.connect(
                self._url, connect_timeout=_ANSWER_S, application_name="tapewatch sink canary",
                options=f"-c statement_timeout={_ANSWER_S}s",
            )  # fmt: skip
            self._session.set_session(readonly=True, autocommit=True)
        with self._session.cursor() as cursor:
            cursor.execute("SELECT id FROM alerts WHERE id = ANY(%s)", (list(ids),))
            return [row[0] for row in cursor.fetchall()]

    def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            self._session.close()


class Elasticsearch:
    """Documents that a search finds: those after the index's last refresh."""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings).options(request_timeout=_ANSWER_S)
        self._index = f"{settings.elasticsearch.prefix}-{mappings.ALERTS}"
        self.errors = server_errors()

    def there(self, ids: Sequence[str]) -> list[str]:
        """Those of the alerts that a search finds; an error of the client where the server does not answer."""
        found = self._client.search(
            index=self._index,
            query={"ids": {"values": list(ids)}},
            source=False,
            size=len(ids),
            ignore_unavailable=True,
        )
        return [hit["_id"] for hit in found["hits"]["hits"]]

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


_KINDS: Mapping[Stage, Callable[[Settings], Postgres | Elasticsearch]] = {
    "postgres": Postgres,
    "elasticsearch": Elasticsearch,
}


class Stores:
    """The stores of these stages; one that does not answer delays nobody: what it holds then counts as not there."""

    def __init__(self, settings: Settings, stages: Sequence[Stage]) -> None:
        self._settings = settings
        self._stages: list[Stage] = [stage for stage in stages if stage in _KINDS]
        self._open: dict[Stage, Postgres | Elasticsearch] = {}
        self._again_ns = dict.fromkeys(self._stages, 0)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self._stages)

    def there(self, stage: Stage, ids: Sequence[str]) -> list[str]:
        """Those of the alerts that can be read in a store; none while it does not answer."""
        if not ids or WALL.elapsed() < self._again_ns[stage]:
            return []
        store = self._open.get(stage)
        if store is None:
            store = self._open[stage] = _KINDS[stage](self._settings)
        try:
            return store.there(ids)
        except store.errors as error:
            self._again_ns[stage] = WALL.elapsed() + AGAIN_NS
            _log.warning("a store does not answer", store=stage, problem=logs.printable(str(error))[:200])
            return []

    def close(self) -> None:
        """Let go of all connections."""
        for store in self._open.values():
            store.close()
