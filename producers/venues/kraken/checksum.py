"""Kraken's book checksum: CRC-32 of the ten best asks and bids, written as digits.

Source: Kraken, "Book checksum (WebSocket v2)": prices and quantities at the instrument's precision, without decimal
point and leading zeros; asks from the lowest price up, then bids from the highest down.
"""

from decimal import Decimal
from zlib import crc32

from producers.base.ladder import Levels

EXACT = 2.0**52


def checksum(row: Levels, price_decimals: int, qty_decimals: int) -> int:
    """The checksum of a book's ten levels a side; absent ones are NaN."""
    price_scale, qty_scale = 10.0**price_decimals, 10.0**qty_decimals
    texts: list[str] = []
    for prices, quantities in (row[2:], row[:2]):
        for price, qty in zip(prices, quantities, strict=True):
            if price != price:
                break
            units = price * price_scale
            texts.append(str(round(units)) if units < EXACT else _digits(price, price_decimals))
            units = qty * qty_scale
            texts.append(str(round(units)) if units < EXACT else _digits(qty, qty_decimals))
    return crc32("".join(texts).encode())


def _digits(value: float, decimals: int) -> str:
    """The digits of a number that is too large for a product of floats to be exact."""
    return str(int((Decimal(repr(value)) * 10**decimals).to_integral_value()))
