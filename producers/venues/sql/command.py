"""`produce sql`: a table that others fill becomes a feed."""

import argparse
import asyncio
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.row_mapper import RowError, RowMapper
from producers.base.sessions import SessionCalendar
from producers.base.state import Ledger
from producers.venues.sql.source import TableSource, TableSummary
from producers.venues.sql.table import TableMap, TableReader, open_engine, read_table_map
from tapewatch.clock import WALL, Clock
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

URL_VARIABLE = "TAPEWATCH_SQL_URL"
SHOWN_ROWS = 20
"""Rows that a dry run prints."""
EPILOG = """example:
  export TAPEWATCH_SQL_URL=@/etc/tapewatch/collector-url   # mariadb://reader:password@host/prices
  tapewatch produce sql --map minutes.toml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--map", type=Path, required=True, metavar="FILE", help="which table, key and columns (TOML)")
    parser.add_argument("--partitions", type=int, default=0, help="partitions of a new topic")
    parser.add_argument("--once", action="store_true", help="end when everything there is has been sent")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Send what is new until stopped; a dry run prints the first records and their rows."""
    table_map = read_table_map(args.map)
    url = database_url(os.environ)
    if args.dry_run:
        lines = await asyncio.to_thread(shown, table_map, url)
        print("\n".join(lines), flush=True)
        return {"source": table_map.name, "records": len(lines)}
    ending = threading.Event()
    work = asyncio.create_task(
        asyncio.to_thread(follow_table, settings, table_map, url, ending, partitions=args.partitions, once=args.once)
    )
    over = asyncio.create_task(stop.wait())
    say(f"{table_map.feed}: following {table_map.table.name}")
    await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
    ending.set()
    over.cancel()
    found: dict[str, Any] = msgspec.to_builtins(await work)
    return found


def database_url(environment: Mapping[str, str]) -> str:
    """The database's URL from the environment, or from the file that @path names; no setting holds it, so that nothing
    that prints settings prints a password.
    """
    text = environment.get(URL_VARIABLE, "")
    if not text:
        raise TapewatchError(
            f"{URL_VARIABLE} is not set", "Set it to mariadb://user:password@host/database, or to @FILE that holds it."
        )
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text().strip()
    except OSError as error:
        raise TapewatchError(f"cannot read {text[1:]}: {error.strerror}", f"Mend {URL_VARIABLE}.") from error


def follow_table(
    settings: Settings,
    table_map: TableMap,
    url: str,
    stop: threading.Event,
    *,
    partitions: int = 0,
    once: bool = False,
    clock: Clock = WALL,
) -> TableSummary:
    """Send a table's rows until stopped, or until there are no more; TapewatchError where table or map do not fit."""
    engine = open_engine(url)
    registry = Registry(settings)
    recorded = table_map.clock == "rows"
    ledger = Ledger(
        settings, table_map.name, feed=table_map.feed, partitions=partitions, clock=clock, recorded=recorded
    )
    watched = SessionCalendar(table_map.calendar) if table_map.calendar else None
    try:
        ledger.position()
        registry.refresh()
        source = TableSource(table_map, engine, ledger, registry, watched, clock)
        if once:
            while not stop.is_set() and source.look():
                pass
        else:
            source.run(stop)
        return source.summary
    finally:
        ledger.close()
        registry.close()
        engine.dispose()


def shown(table_map: TableMap, url: str) -> list[str]:
    """The table's first records as JSON, each with the row it would become or why it would be refused."""
    engine = open_engine(url)
    try:
        reader = TableReader(engine, table_map.table)
        mapper = RowMapper(table_map.rows)
        mapper.require(reader.columns)
        with engine.connect() as connection:
            records = reader.after(connection, reader.choose(mapper.map.names), None, SHOWN_ROWS)
        return [json.dumps(_shown(mapper, record), ensure_ascii=False) for record in records]
    finally:
        engine.dispose()


def _shown(mapper: RowMapper, record: Mapping[str, object]) -> dict[str, object]:
    plain = {name: str(value) for name, value in record.items()}
    collector = Collector()
    try:
        event = mapper.event_time(record)
        mapper.add(collector, record, event)
        (row,) = [*collector.bars, *collector.trades, *collector.quotes]
        about = {"instrument": mapper.instrument(record), "type": mapper.map.type, "ts_event": to_rfc3339(event)}
        return {"record": plain, **about, "values": list(row[3:])}
    except RowError as error:
        return {"record": plain, "refused": error.reason}
