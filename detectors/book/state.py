"""One instrument's state as the book kernels keep it: float64[FIELDS], all zeros at birth.

Quantities are in venue units, times in UTC seconds. Whatever has two sides lies in pairs, bids first.
"""

(
    # what is usual
    ROWS,  # book rows seen
    USUAL_ADD,  # mean quantity by which levels behind the touch grow
    ADDS,  # growths in that mean, at most ADD_MEMORY
    EDGE_BID, EDGE_ASK,  # farthest visible prices; 0 where fewer than ten levels are there
    NEWEST,  # time of the last book
    # trades since the last book and in all: bought, sold
    BOUGHT, SOLD,
    BOUGHT_SINCE, SOLD_SINCE,
    HIGHEST_BUY, LOWEST_SELL,
    # quotes: last prices and quantities, the prices before, the last growth with its time, direction of the last change
    QUOTE_BID, QUOTE_ASK, QUOTE_BID_QTY, QUOTE_ASK_QTY,
    BEFORE_BID, BEFORE_ASK,
    GROWN_BID, GROWN_ASK, GROWN_BID_AT, GROWN_ASK_AT,
    TURN_BID, TURN_ASK,
    # the second being filled
    QUOTES, RESIZED, REVERTED, RETURNED, CHANGES, TRADES, VOLUME, FLEETING,
    MID_BEFORE, MID,
    ADDED, ADDED_ASK, LARGEST_ADDED, LARGEST_ADDED_ASK,
    REMOVED, REMOVED_ASK, LARGEST_REMOVED, LARGEST_REMOVED_ASK,
    TAKEN, TAKEN_ASK,
    WITHDRAWN, WITHDRAWN_ASK, WITHDRAWALS, WITHDRAWALS_ASK, LARGEST_WITHDRAWN, LARGEST_WITHDRAWN_ASK,
    DEPTH, DEPTH_ASK,
    # kept from second to second: withdrawn quantity fading with 20 s and 60 s, quotes with 2 s
    LATELY, LATELY_ASK, LONG, LONG_ASK,
    RECENT_QUOTES, RECENT_REVERTED,
    LEAN,  # slow mean of the depth imbalance
    # the strongest withdrawal of the last seconds
    HELD, HELD_LIFE, HELD_OPPOSITE, HELD_TOGETHER, HELD_MOVES, HELD_AGE, HELD_FILLED, HELD_SIZE, HELD_APART,
    HELD_LEVEL, HELD_MIRRORED, HELD_REPLACED, HELD_KEY, HELD_PARTS, HELD_CUTS,
    # what a second usually has
    SECONDS, USUAL_QUOTES, USUAL_RESIZED, USUAL_REVERTED, USUAL_CHANGES, USUAL_VOLUME, USUAL_ADDED,
    USUAL_REMOVED, USUAL_STANDING, USUAL_WITHDRAWN, USUAL_DEPTH, USUAL_MOVE, USUAL_FLEETING,
    ORDERS,  # first field of the orders that are followed
) = range(88)  # fmt: skip
"""Places of the fields."""

FIRST_OF_SECOND, LAST_OF_SECOND = QUOTES, FLEETING
FIRST_OF_SIDES, LAST_OF_SIDES = ADDED, LARGEST_WITHDRAWN_ASK
"""Ranges that a closed second sets back to zero."""

(
    KEY, QTY, FIRST, BASE, BORN, GONE, OPPOSITE, MOVES, FILLED, WEIGHT, SIZE, PLACE, CUT, APART, LEVEL, REPLACES,
    PARTS, CUTS,
) = range(18)  # fmt: skip
"""Fields of an order that is followed.

KEY : its price, negative on the bid side, 0 for none; QTY : what is left; FIRST : what was placed; BASE : what others
had at the price then; BORN, GONE : when (GONE 0 while it stands); OPPOSITE : volume traded against the other side until
it was born; MOVES : how often it came back at another price; FILLED : what was traded; WEIGHT : how unusual it is at
such a place; SIZE : what was placed over usual growths; PLACE : what WEIGHT allows for its place; CUT : withdrawn in
parts; APART : share by which the last withdrawal differs from it; LEVEL : its level when it was placed, or when it was
gone; REPLACES : whether it came where a similar one had just gone; PARTS, CUTS : in how
many growths it came, and in how many parts some of it was withdrawn
"""

STRIDE = 18
FOLLOWED = 16
"""Orders followed at once."""

FIELDS = ORDERS + STRIDE * FOLLOWED
