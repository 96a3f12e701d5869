"""A gateway process of the fault run: the product's gateway, with files in place of the topics.

`python -m benchmarks.venues.gateway upbit ADDRESS FOLDER` reads FOLDER/orders.jsonl and appends to
FOLDER/published.jsonl, synchronised to the disk as a broker's acknowledgement would be.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.venues.fix import INSTRUMENTS, REFERENCE, client, limits
from sinks.orders import Gateway, Journal, OrderReceiver, OrderRecord, serve
from sinks.orders.journal import Log, OutboxRecord
from tapewatch import logs
from tapewatch.contract import topics
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import LogSettings, Settings

LOG = (topics.ORDERS, 0)


class FileOrderLog:
    """One partition as a file of lines; a line's offset is its place."""

    def __init__(self, folder: Path) -> None:
        self._source, self._sink = folder / "orders.jsonl", folder / "published.jsonl"
        self._position = self._lines = 0
        with self._sink.open("ab") as file:
            file.write(b"\n")  # parts a record that a kill has cut off from the next one

    def backlog(self) -> list[OrderRecord]:
        """All lines."""
        return self._lines_from_here()

    def start(self, offsets: Mapping[Log, int]) -> None:
        """Go to the line at which to read on."""
        self._position = self._lines = 0
        data = self._source.read_bytes()
        while self._lines < offsets.get(LOG, 0):
            self._position = data.index(b"\n", self._position) + 1
            self._lines += 1

    async def read(self, wait_s: float) -> list[OrderRecord]:
        """Lines that are new."""
        found = self._lines_from_here()
        await asyncio.sleep(0 if found else wait_s)
        return found

    @property
    def at_end(self) -> bool:
        """A file is read at once."""
        return True

    def _lines_from_here(self) -> list[OrderRecord]:
        with self._source.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        found = []
        for line in whole.splitlines():
            self._lines += 1
            found.append(OrderRecord(LOG, self._lines, line))
        return found

    async def publish(self, records: list[OutboxRecord]) -> None:
        """Append and synchronise."""
        with self._sink.open("ab") as file:
            for record in records:
                file.write(record.topic.encode() + b"\t" + record.value + b"\n")
                file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Nothing is held."""


async def work(name: str, address: str, folder: Path, until_idle: float | None) -> None:
    """Run the gateway; the line `ready` goes out when it begins."""
    journal = Journal(folder / "journal.sqlite")
    venue = client(name, address, folder=folder / "fix")
    bounds = limits(instruments=(INSTRUMENTS[name],))
    gateway = Gateway(venue, journal, bounds, poll_s=0.1)
    intake = OrderReceiver(journal, bounds, REFERENCE, gateway.active)
    print("ready", flush=True)
    monitor = Monitor("sink_orders", Settings())
    await serve(gateway, intake, journal, venue, FileOrderLog(folder), asyncio.Event(), monitor, until_idle)
    journal.close()


def main() -> int:
    """Run the gateway process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venue", choices=sorted(INSTRUMENTS))
    parser.add_argument("address")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until-idle", type=float, metavar="SECONDS")
    args = parser.parse_args()
    logs.configure(LogSettings(level="error"))
    asyncio.run(work(args.venue, args.address, args.folder, args.until_idle))
    return 0


if __name__ == "__main__":
    sys.exit(main())
