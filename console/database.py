"""PostgreSQL for the console: a few connections, statements in threads, so that the event loop never waits."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

T = TypeVar("T")
Rows = Sequence[sa.Row[*tuple[Any, ...]]]

THREADS = 4


class Database:
    """Statements with bound parameters; names in `:name` form.

    url : SQLAlchemy URL. Nothing connects before the first statement
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(
            url,
            pool_size=THREADS,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "application_name": "tapewatch console"},
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def rows(self, statement: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """The rows of one statement, read only, cut off after ten seconds."""

        def read(session: sa.Connection) -> Rows:
            session.execute(sa.text("SET TRANSACTION READ ONLY"))
            session.execute(sa.text("SET LOCAL statement_timeout = '10s'"))
            return session.execute(sa.text(statement), parameters or {}).all()

        return await self.run(read)

    async def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> int:
        """One statement that changes something, committed; how many rows it touched."""
        return await self.run(lambda session: session.execute(sa.text(statement), parameters or {}).rowcount)

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """What `work` gives, in one transaction that is committed when it returns."""

        def transaction() -> T:
            with self._engine.begin() as session:
                return work(session)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    def close(self) -> None:
        """Give the connections back."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()
