"""Where what is traded stands: one row of int64 a lane (an instrument, or an episode of one), and the events it gives.

Prices, quantities and money are whole numbers of steps (detectors.trading.units), times UTC nanoseconds.
"""

BUY, SELL = 0, 1
LEVELS = 10

# The account. COST is what the open position was bought for (negative: sold for), without fees.
CASH, POSITION, COST, REALISED, FEES, TAXES, BOUGHT, SOLD, OPENED, CLOCK, NEXT_ORDER, MARK_BID, MARK_ASK = range(13)

# The visible book: prices and quantities of each side, best first; 0 beyond its depth. HAS_BOOK once a book came: then
# a quote changes the touch of it, before it is all there is.
BIDS, BID_QTY, ASKS, ASK_QTY = 16, 16 + LEVELS, 16 + 2 * LEVELS, 16 + 3 * LEVELS
HAS_BOOK = 16 + 4 * LEVELS

# Order slots: two a side, so that a replacement can be under way while the order it replaces still stands.
ORDERS = HAS_BOOK + 1
STATUS, PRICE, QTY, FILLED, AHEAD, LEVEL, TRADED, CROSSED, ARRIVES, CANCELS, NUMBER, REPLACES = range(12)
FEE_DUE, FEE_REST, FEE_PAID, TAX_DUE, TAX_REST, TAX_PAID = range(12, 18)
STRIDE = 18
SLOTS = 4
WIDTH = ORDERS + SLOTS * STRIDE

FREE, UNDER_WAY, RESTING = 0, 1, 2
"""STATUS of a slot: nothing in it, sent but not there yet, in the book."""
MARKET = 0
"""PRICE of a market order."""
UNKNOWN = -1
"""AHEAD and LEVEL of an order whose price has not been visible since it arrived."""
NEVER = 2**62

# Events: int64[room, EVENT_WIDTH].
OPEN, FILL, CANCELLED, AMENDED = range(4)
# OPEN: it rests in the book. FILL: a part of it traded. CANCELLED: what was left of it is gone.
# AMENDED: a replacement asks for so much less, since the order that it replaces got it.
E_KIND, E_LANE, E_SIDE, E_NUMBER, E_TIME, E_ROW, E_PRICE, E_QTY, E_MAKER, E_FEE, E_TAX = range(11)
EVENT_WIDTH = 11
EVENTS_A_ROW = 64
"""More than one row of the market can cause in a lane: each slot may arrive, walk ten levels and end."""
