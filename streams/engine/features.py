"""The features of an instrument and second: names, units, formulas and sources; docs/features.md is generated from this
list.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the `features` topic.

    warm_s : sealed seconds an instrument needs before the value is not NaN
    needs : data tier (price, trades, quotes, book)
    """

    name: str
    unit: str
    warm_s: int
    needs: str
    formula: str
    source: str = ""


_CONT = "Cont, Kukanov & Stoikov 2014, The Price Impact of Order Book Events, eq. 2"

FEATURES: tuple[Feature, ...] = (
    *(
        Feature(f"ret_{w}s", "log return", w + 1, "price", f"ln p(t) - ln p(t-{w})")
        for w in (1, 5, 10, 30, 60, 300, 900)
    ),
    Feature(
        "rv_60s",
        "log return",
        61,
        "price",
        "sqrt of the sum of squared 1 s log returns over 60 s",
        "Andersen & Bollerslev 1998",
    ),
    Feature(
        "rv_300s",
        "log return",
        301,
        "price",
        "sqrt of the sum of squared 1 s log returns over 300 s",
        "Andersen & Bollerslev 1998",
    ),
    Feature(
        "ewma_vol",
        "log return per sqrt second",
        60,
        "price",
        "sqrt of the EWMA of squared 1 s log returns, half-life 60 s",
        "RiskMetrics 1996",
    ),
    Feature("volume_1s", "units", 1, "trades", "traded quantity in the second"),
    Feature("trades_1s", "count", 1, "trades", "trades in the second"),
    Feature("signed_volume_1s", "units", 1, "trades", "buyer-initiated less seller-initiated quantity in the second"),
    Feature("volume_60s", "units", 60, "trades", "traded quantity over 60 s"),
    Feature("trades_60s", "count", 60, "trades", "trades over 60 s"),
    Feature("imbalance_60s", "-1..1", 60, "trades", "signed quantity over traded quantity, 60 s; 0 without trades"),
    Feature(
        "volume_z",
        "standard deviations",
        300,
        "trades",
        "(volume_1s - m)/s; m, s: EWMA mean and deviation of the seconds before, half-life 600 s",
    ),
    Feature("trades_z", "standard deviations", 300, "trades", "as volume_z, of trades_1s"),
    Feature("imbalance_z", "standard deviations", 300, "trades", "as volume_z, of signed_volume_1s"),
    Feature(
        "rush_1s",
        "count",
        1,
        "trades",
        "distinct milliseconds (ts_event) with aggressive buys in the second",
        "La Morgia et al. 2020, Pump and Dumps in the Bitcoin Era",
    ),
    Feature("rush_25s", "count", 25, "trades", "rush_1s summed over 25 s", "La Morgia et al. 2020"),
    Feature("spread_bps", "basis points", 1, "quotes", "(ask - bid) / mid x 10,000"),
    Feature(
        "spread_ratio", "ratio", 60, "quotes", "spread over its own EWMA mean of the seconds before, half-life 300 s"
    ),
    Feature(
        "microprice_dev_bps",
        "basis points",
        1,
        "quotes",
        "(microprice - mid) / mid x 10,000; microprice = (ask x bid_qty + bid x ask_qty)/(bid_qty + ask_qty)",
        "Stoikov 2018",
    ),
    Feature("depth_imb_1", "-1..1", 1, "quotes", "(bid_qty - ask_qty)/(bid_qty + ask_qty) at the touch"),
    Feature("depth_imb_5", "-1..1", 1, "book", "the same over five levels"),
    Feature("depth_imb_10", "-1..1", 1, "book", "the same over ten levels"),
    Feature("ofi_1s", "units", 1, "quotes", "order-flow imbalance of the second's quotes", _CONT),
    Feature("ofi_10s", "units", 10, "quotes", "over 10 s", _CONT),
    Feature("ofi_60s", "units", 60, "quotes", "over 60 s", _CONT),
    Feature(
        "depth_added_10s", "units", 10, "quotes", "quantity added within five levels (touch only without books), 10 s"
    ),
    Feature(
        "depth_removed_10s", "units", 10, "quotes", "quantity removed within five levels that no trade explains, 10 s"
    ),
    Feature("quote_rate_1s", "updates/s", 1, "quotes", "quote and book rows in the second"),
    Feature("quote_rate_60s", "updates/s", 60, "quotes", "mean over 60 s"),
    Feature(
        "amihud_300s",
        "log return per currency",
        300,
        "trades",
        "mean of |1 s log return| / traded value over the seconds with trades of 300 s",
        "Amihud 2002",
    ),
    Feature("vwap_dev_bps", "basis points", 1, "trades", "(p - session VWAP)/VWAP x 10,000"),
    Feature("high_dist_bps", "basis points", 1, "price", "(p / session high - 1) x 10,000"),
    Feature("low_dist_bps", "basis points", 1, "price", "(p / session low - 1) x 10,000"),
    Feature("price_change_1m_pct", "percent", 61, "price", "(p(t)/p(t-60) - 1) x 100"),
    Feature(
        "volume_change_1m_pct",
        "percent",
        120,
        "trades",
        "(volume of the last 60 s / of the 60 s before - 1) x 100; NaN after a minute without volume",
    ),
)
"""All features, in the order of their columns. p is the mid price where there is a two-sided quote, else the last
trade's.
"""

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
COUNT = len(FEATURES)

(
    RET_1S, RET_5S, RET_10S, RET_30S, RET_60S, RET_300S, RET_900S, RV_60S, RV_300S, EWMA_VOL, VOLUME_1S, TRADES_1S,
    SIGNED_VOLUME_1S, VOLUME_60S, TRADES_60S, IMBALANCE_60S, VOLUME_Z, TRADES_Z, IMBALANCE_Z, RUSH_1S, RUSH_25S,
    SPREAD_BPS, SPREAD_RATIO, MICROPRICE_DEV_BPS, DEPTH_IMB_1, DEPTH_IMB_5, DEPTH_IMB_10, OFI_1S, OFI_10S, OFI_60S,
    DEPTH_ADDED_10S, DEPTH_REMOVED_10S, QUOTE_RATE_1S, QUOTE_RATE_60S, AMIHUD_300S, VWAP_DEV_BPS, HIGH_DIST_BPS,
    LOW_DIST_BPS, PRICE_CHANGE_1M_PCT, VOLUME_CHANGE_1M_PCT,
) = range(COUNT)  # fmt: skip
"""Columns by the names in capitals, for kernels: an index of theirs is a constant."""
