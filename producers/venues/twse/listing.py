"""What the exchange and the over-the-counter market list, with the turnover of the latest day."""

from producers.base.universe import Listing
from producers.venues.twse.instruments import TPEX, TWSE, taiwan_instrument
from producers.venues.twse.reports import STOCK_DAY_ALL
from producers.venues.twse.snapshots import UnreadableError
from producers.venues.twse.tables import Table, read_document
from tapewatch.contract.instruments import Instrument, is_instrument_id

TPEX_QUOTES = "/openapi/v1/tpex_mainboard_quotes"
"""TPEx's open data: every instrument's latest day."""

_CODE = (*STOCK_DAY_ALL.keys, "SecuritiesCompanyCode")
_NAME = ("證券名稱", "名稱", "Name", "CompanyName")
_TURNOVER = ("成交金額", "TradeValue", "TransactionAmount")


def listings(body: bytes, venue: str) -> list[Listing]:
    """Instruments of a report of the latest day; UnreadableError where it is none. venue : XTAI or ROCO"""
    document = read_document(body)
    for table in document.tables:
        code, turnover = _column(table, _CODE), _column(table, _TURNOVER)
        if code is not None and turnover is not None:
            name = _column(table, _NAME)
            return [
                listing(taiwan_instrument(f"{row[code]}.{venue}", row[name] if name is not None else ""), row[turnover])
                for row in table.rows
                if is_instrument_id(f"{row[code]}.{venue}")
            ]
    raise UnreadableError("no_table", "code and turnover")


def listing(instrument: Instrument, turnover: str = "0") -> Listing:
    """A listing of an instrument. turnover : as TWSE writes it"""
    try:
        amount = float(turnover.replace(",", "") or 0)
    except ValueError:
        amount = 0.0
    venue = instrument.id.rpartition(".")[2]
    return Listing(instrument.id, instrument, amount, traits={"market": {TWSE: "twse", TPEX: "tpex"}[venue]})


def _column(table: Table, names: tuple[str, ...]) -> int | None:
    return next((table.fields.index(name) for name in names if name in table.fields), None)
