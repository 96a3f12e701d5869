"""Record layouts that the kernels share: an instrument's state, what drives it, what is done to it, its rows."""

import numpy as np

VISIBLE = 10
PLACE, CANCEL, TRADE, HIT, REFRESH, UNCROSS = 0, 1, 2, 3, 4, 5

NAME = np.dtype(
    [
        ("impact", np.float64),  # log price move that this second's trades have caused
        ("excitation", np.float64),  # Hawkes intensity above the base, events/s
        ("flow", np.float64),  # slow lean of the order flow, about -1..1
        ("order_lots", np.float64),
        ("spread_bp", np.float64),
        ("gap_bp", np.float64),
        ("spread", np.int64),  # spread wanted now, ticks
        ("gap", np.float64),  # distance wanted between levels now, ticks
        ("depth", np.float64),  # lots wanted a level now
        ("lot", np.int64),
        ("grid_low", np.int64),
        ("grid_high", np.int64),
        ("last", np.int64),  # last trade's grid index, -1 before the first
        ("volume", np.int64),  # traded lots since the start
        ("sequence", np.int64),  # of the last book row
    ]
)

ACTION = np.dtype(
    [
        ("instrument", np.int64),
        ("at", np.float64),  # part of the second, 0..1
        ("code", np.int64),
        ("side", np.int64),  # PLACE, CANCEL, HIT, REFRESH: side of the book; TRADE: aggressor side 1 or -1
        ("level", np.int64),
        ("lots", np.int64),
    ]
)
DRIVE = np.dtype(
    [
        ("target", np.float64),  # log fair price at the end of the second, events included
        ("origin", np.float64),  # the same at its start
        ("begin", np.float64),  # part of the second before which the fields below do not apply
        ("rate", np.float64),  # background events/s, before excitation
        ("scale", np.float64),  # multiplies `rate`
        ("impact", np.float64),  # log price move of a usual market order of the background
        ("orders", np.float64),  # further market orders/s
        ("buy", np.float64),  # share of buys among them
        ("size", np.float64),  # their mean size, multiple of the usual
        ("flicker", np.float64),  # further quote updates/s without trades
        ("stress", np.float64),  # >= 1: wider spread, thinner and sparser book
        ("eaten", np.int64),  # side that takers eat while makers stand still, -1 for none
        ("evade", np.int64),  # 1: injected orders are cancelled rather than filled
        ("mute", np.int64),  # 1: nothing happens
        ("rebuild", np.int64),  # 1: the book is made anew first
    ]
)
_STAMP = [("instrument", np.int32), ("ts", np.int64)]
TRADE_ROW = np.dtype(
    [*_STAMP, ("price", np.int64), ("lots", np.int64), ("side", np.int8), ("condition", np.int8)], align=True
)
_TOUCH = [("bid", np.int64), ("bid_lots", np.int64), ("ask", np.int64), ("ask_lots", np.int64)]
QUOTE_ROW = np.dtype([*_STAMP, *_TOUCH, ("last", np.int64), ("volume", np.int64)], align=True)
BOOK_ROW = np.dtype([*_STAMP, ("sequence", np.int64), ("ladder", np.int64, (2, 2, VISIBLE))], align=True)
