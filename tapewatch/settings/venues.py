"""Settings of venues and of the producers that connect to them: public base addresses as defaults, secrets by file."""

from typing import Annotated

import msgspec

PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class ProduceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How live producers connect.

    flush_ms : time between two flushes; unacknowledged : frames on their way above which sockets are not read
    hold_s : a websocket not read for that long, since Kafka did not keep up, is closed; what it missed is a gap
    connect_timeout_s, request_timeout_s : of a connection, of a whole request
    backoff_first_s, backoff_cap_s : longest wait before the first attempt to connect anew, and before any later one
    ping_s : time between pings; stale_s : a connection without a message for that long is given up
    link_max_age_s, overlap_s : a websocket is replaced at this age, and how long old and new one run side by side,
        from the first message of the new one on
    universe_at : local time (HH:MM) of the daily look at what is listed
    """

    flush_ms: PositiveFloat = 8.0
    unacknowledged: Positive = 4_000
    hold_s: PositiveFloat = 10.0
    connect_timeout_s: PositiveFloat = 10.0
    request_timeout_s: PositiveFloat = 15.0
    backoff_first_s: PositiveFloat = 0.5
    backoff_cap_s: PositiveFloat = 60.0
    ping_s: PositiveFloat = 15.0
    stale_s: PositiveFloat = 30.0
    link_max_age_s: PositiveFloat = 84_600.0
    overlap_s: PositiveFloat = 10.0
    universe_at: str = "08:00"


class ExchangeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A venue with a REST and a websocket interface. rest, stream : base addresses"""

    rest: str
    stream: str


class TwseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Taiwan. mis : market information system; web : TWSE's daily reports; tpex : TPEx's open data; yahoo : stand-in"""

    mis: str = "https://mis.twse.com.tw"
    web: str = "https://www.twse.com.tw"
    tpex: str = "https://www.tpex.org.tw"
    yahoo: str = "https://query1.finance.yahoo.com"


class YahooSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Yahoo Finance. rest : base address of the chart interface; per_second : requests, its limit is not published
    user_agent : sent with each request; the interface answers 429 to clients that name themselves as libraries do
    """

    rest: str = "https://query1.finance.yahoo.com"
    per_second: PositiveFloat = 2.0
    user_agent: str = "Mozilla/5.0 (compatible; tapewatch)"


class KiwoomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Kiwoom. rest : base address; key_file, secret_file : files with application key and secret
    per_second : requests, as the venue allows
    """

    rest: str = "https://api.kiwoom.com"
    per_second: PositiveFloat = 5.0
    key_file: str = ""
    secret_file: str = ""


class NewsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """News. cnyes, cnyes_pages : base addresses of its lists and articles; feeds : addresses of RSS or Atom feeds"""

    cnyes: str = "https://api.cnyes.com"
    cnyes_pages: str = "https://news.cnyes.com"
    feeds: tuple[str, ...] = ()


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every venue's addresses."""

    binance: ExchangeSettings = ExchangeSettings("https://api.binance.com", "wss://stream.binance.com:9443")
    binance_usdm: ExchangeSettings = ExchangeSettings("https://fapi.binance.com", "wss://fstream.binance.com")
    binance_coinm: ExchangeSettings = ExchangeSettings("https://dapi.binance.com", "wss://dstream.binance.com")
    upbit: ExchangeSettings = ExchangeSettings("https://api.upbit.com", "wss://api.upbit.com/websocket/v1")
    coinbase: ExchangeSettings = ExchangeSettings("https://api.coinbase.com", "wss://advanced-trade-ws.coinbase.com")
    kraken: ExchangeSettings = ExchangeSettings("https://api.kraken.com", "wss://ws.kraken.com/v2")
    twse: TwseSettings = TwseSettings()
    yahoo: YahooSettings = YahooSettings()
    kiwoom: KiwoomSettings = KiwoomSettings()
    news: NewsSettings = NewsSettings()
