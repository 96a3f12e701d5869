"""What a scenario sees of one instrument in one sealed second: float64[COUNT], NaN where a quantity is not known.

The first entries are the feature row (docs/features.md), the others say what scenarios need beside it. The engine fills
the vector; a scenario is a function of one vector and its parameters, and keeps nothing.
"""

FEATURES = (
    RET_1S, RET_5S, RET_10S, RET_30S, RET_60S, RET_300S, RET_900S, RV_60S, RV_300S, EWMA_VOL,
    VOLUME_1S, TRADES_1S, SIGNED_VOLUME_1S, VOLUME_60S, TRADES_60S, IMBALANCE_60S, VOLUME_Z, TRADES_Z, IMBALANCE_Z,
    RUSH_1S, RUSH_25S, SPREAD_BPS, SPREAD_RATIO, MICROPRICE_DEV_BPS, DEPTH_IMB_1, DEPTH_IMB_5, DEPTH_IMB_10,
    OFI_1S, OFI_10S, OFI_60S, DEPTH_ADDED_10S, DEPTH_REMOVED_10S, QUOTE_RATE_1S, QUOTE_RATE_60S, AMIHUD_300S,
    VWAP_DEV_BPS, HIGH_DIST_BPS, LOW_DIST_BPS, PRICE_CHANGE_1M_PCT, VOLUME_CHANGE_1M_PCT,
) = range(40)  # fmt: skip
"""Places of the features, named as in docs/features.md."""

(
    # price and time
    PRICE,  # mid of a two-sided quote, else last trade, else the side that is there
    AGE,  # seconds watched without a hole before this one
    SECOND_OF_DAY,  # of the second, UTC, 0 to 86,399
    SINCE_OPEN,  # seconds since the session's opening status row; NaN where the log told none
    TO_CLOSE,  # seconds to the close that the opening row named; NaN where it named none
    AUCTION,  # 1 within an auction, else 0
    # the touch
    BID, BID_QTY, ASK, ASK_QTY,  # NaN where a side is absent
    BID_RAISED, ASK_LOWERED,  # times in the second that the best bid rose, the best ask fell
    BID_RAISED_60S,  # the same over 60 s
    # prices over windows
    RET_25S, RET_120S,  # log returns
    USUAL_R2,  # mean squared 1 s log return, half-life 30 min, of seconds older than 25 s
    HIGH_60S, LOW_60S,  # ln of the highest and lowest reference price of the last 51 to 60 s (since a full ten), this
    # one included, less ln p now
    # trades
    LAST,  # last trade's price
    HIGH_1S, LOW_1S,  # highest and lowest trade price in the second; NaN without a trade
    VOLUME_25S, SIGNED_VOLUME_25S,  # units, bought less sold
    USUAL_VOLUME,  # mean volume of a second, half-life 30 min, of seconds older than 25 s
    USUAL_RUSH,  # mean rush orders of a second, the same
    LARGEST_TRADE,  # largest trade of the second, units; 0 without; this and the next six NaN without trade rows
    USUAL_TRADE, USUAL_TRADE_DEVIATION,  # mean and deviation of ln(trade size), half-life 30 min; NaN below 50 trades
    SMALL_TRADES,  # trades of the second of at most a tenth of the usual size
    SWEPT_LEVELS,  # most distinct prices that one millisecond's buys or sells traded at, in the second
    SWEPT_SIDE,  # 1 buys, -1 sells, of that millisecond; 0 without
    ROUND_TRIPS_60S,  # pairs of a buy and a sell of equal quantity within 1 s at prices within a spread, over 60 s
    SESSION_VOLUME,  # units
    # book and quotes
    USUAL_QUOTE_RATE, USUAL_QUOTE_RATE_DEVIATION,  # mean and deviation of quote_rate_1s, half-life 10 min
    BID_DEPTH_10, ASK_DEPTH_10,  # units on ten levels; NaN without a book
    LARGEST_BID, LARGEST_ASK,  # largest quantity on a level; NaN without a book
    LARGEST_BID_AWAY, LARGEST_ASK_AWAY,  # how many basis points from the mid that level lies
    # order rows
    ORDERS_ADDED_1S, ORDERS_DELETED_1S, ORDERS_EXECUTED_1S,  # counts; NaN without order rows
    FILL_RATIO_60S,  # executed over executed plus deleted quantity, 60 s; NaN without order rows
    SHORT_LIVED_60S,  # share of the deleted orders of 60 s that lived less than 1 s; NaN without order rows
    # how dense its trading is, and what models say of the second
    USUAL_TRADED,  # share of seconds with trades, half-life 30 min, of seconds older than 25 s; NaN without trades
    DISTANCE, ALERT_DISTANCE, DISTANCE_PROBABILITY,  # of the K-means model: distance, where its budget is spent, chance
    PUMP_CHANCE, PUMP_ALERT,  # of the pump model: probability, 0 where its gate is shut, and where it reports
    SPOOFING_CHANCE, LAYERING_CHANCE, STUFFING_CHANCE,  # of the book model; NaN without a book, or not warm
    SPOOFING_ALERT, LAYERING_ALERT, STUFFING_ALERT,  # probabilities from which it reports
    STANDING_ORDER,  # most unusual order that stands, usual growths of a level; NaN as above, and so the next four
    WITHDRAWN_20S,  # weights of orders withdrawn on the heavier side, see detectors.book.state, fading with 20 s
    WITHDRAWN_LEAN,  # the heavier side's share less the other's, 0 to 1
    WITHDRAWN_TOGETHER,  # orders of the side that came with the strongest withdrawal of the last seconds
    QUOTES_REVERTED,  # share of the second's quotes that take back the one before
    FUSED,  # log odds of K-means and its peers together; -inf where too low to be worked out, NaN where not run
    FUSED_PROBABILITY, FUSED_ALERT,  # what these odds stand for, and where the budget is spent (log odds)
    AUTOENCODER_PROBABILITY, ISOLATION_PROBABILITY,  # of the peers alone, calibrated; NaN where they say nothing
) = range(40, 108)  # fmt: skip
"""Places of what is not a feature; units and meaning in the comments above."""

COUNT = 108
