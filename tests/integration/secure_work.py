"""What services are given to work on beside a market: live orders, minutes of bars, a table that others fill."""

import uuid
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.venues.fix import INSTRUMENTS, KEYS, REFERENCE, new_order
from tapewatch.contract.messages import stable_id
from tapewatch.market_log.registry import register
from tapewatch.settings import OrderSettings, Settings
from tests.integration.minute_market import MODEL, Market
from tests.integration.order_venue import write
from tests.integration.price_table import COLUMNS, Prices

FORECAST_MINUTES = 52
"""Of which the last two have a whole window."""
TABLE = "bought"
"""Name of the table's source and of its feed."""
MAP = """
name = "{name}"
feed = "{name}"
start = "first"
clock = "rows"
[table]
name = "{table}"
key = ["id"]
[rows]
instrument_column = "code"
instrument_form = "{{}}.XKRX"
signs = true
timezone = "Asia/Seoul"
[rows.columns]
{columns}
"""


def live_orders(settings: Settings, count: int) -> set[str]:
    """Orders on the topic for a simulated Binance; their ids."""
    name, mark = INSTRUMENTS["binance"], uuid.uuid4().hex
    register(settings, [REFERENCE[name]])
    made = [new_order("binance", number, id=stable_id(mark, number)) for number in range(count)]
    write(settings, made)
    return {order.id for order in made}


def gateway(folder: Path, address: str) -> OrderSettings:
    """Settings of a gateway to the venue at this address, its keys in this folder."""
    files = {"key_file": folder / "key", "secret_file": folder / "secret"}
    for path, text in zip(files.values(), (KEYS.access, KEYS.secret), strict=True):
        path.write_text(text)
        path.chmod(0o600)
    wide = {"max_order_value": 1e9, "max_open_orders": 100, "max_position_value": 1e9, "max_orders_minute": 1000}
    named = {key: str(path) for key, path in files.items()}
    shape = {"address": address, "instruments": (INSTRUMENTS["binance"],), "max_age_s": 600.0, "poll_s": 0.1}
    return msgspec.convert({**shape, **named, **wide}, OrderSettings)


def minute_bars(settings: Settings, data: Path) -> None:
    """Minutes of a coin on the topic of bars, and a model of minutes in a data folder."""
    Market(settings).write(0, FORECAST_MINUTES)
    (data / "models").mkdir(parents=True)
    (data / "models" / f"{MODEL.hash}.safetensors").write_bytes(MODEL.encoded())


def table(url: str, folder: Path, rows: int) -> tuple[Path, Mapping[str, str]]:
    """A table with so many minutes, its map, and the variables of a source that follows it."""
    prices = Prices(url)
    prices.add(range(1, rows + 1))
    prices.engine.dispose()
    columns = "\n".join(f'{name} = "{column}"' for name, column in COLUMNS.items())
    path = folder / "table.toml"
    path.write_text(MAP.format(name=TABLE, table=prices.name, columns=columns))
    return path, {"TAPEWATCH_SQL_URL": url}
