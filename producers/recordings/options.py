"""Options of a recording: what its files do not tell themselves."""

from typing import Annotated

import msgspec

from tapewatch.contract.instruments import is_instrument_id
from tapewatch.errors import TapewatchError


class RecordingOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recording's files do not tell.

    instrument : `SYMBOL.VENUE` of bars whose file name holds no instrument id
    timezone : IANA zone of bar times written without an offset
    interval_s : length of a bar in seconds; 0 takes the smallest step between the first bars
    date : YYYY-MM-DD of a LOBSTER file whose name holds none
    chunk_rows : about how many rows a chunk of one file holds
    """

    instrument: str = ""
    timezone: str = "UTC"
    interval_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    date: str = ""
    chunk_rows: Annotated[int, msgspec.Meta(ge=1)] = 16_384

    def __post_init__(self) -> None:
        if self.instrument and not is_instrument_id(self.instrument):
            raise TapewatchError(
                f"{self.instrument!r} is not an instrument id", "Write SYMBOL.VENUE, as in BTCUSDT-PERP.BINANCE."
            )
