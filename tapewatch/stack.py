"""Where the embedded stack of a data folder can be reached: `stack.json`, written by `tapewatch up`."""

from pathlib import Path

import msgspec

from tapewatch.errors import TapewatchError

STACK_FILE = "stack.json"


class Addresses(msgspec.Struct, frozen=True):
    """Addresses and process ids of a running embedded stack.

    bootstrap : Kafka host:port; postgres_url : SQLAlchemy URL (postgresql+psycopg2://...)
    pids : process id by part (supervisor, kafka, postgres)
    """

    bootstrap: str
    postgres_url: str
    pids: dict[str, int] = {}

    @classmethod
    def running(cls, data: Path) -> "Addresses":
        """The stack of this data folder; an error that says how to start one where none is."""
        try:
            return msgspec.json.decode((data / STACK_FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            raise TapewatchError(
                f"no embedded stack is running in {data}",
                "Run `tapewatch up`, or set kafka.bootstrap and postgres.url to servers of your own.",
            ) from None
