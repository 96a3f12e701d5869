"""Lines and rows of recordings: trades of pumps, TWSE's fixed columns, Kiwoom's minutes."""

PUMP_HEADER = "symbol,timestamp,datetime,side,price,amount,btc_volume"
ABSENT = "000000" + "00000000"


def dsp(code: str, time: str, flags: str, price: int, lots: int, bids: int, asks: int) -> str:
    """A dsp row of one level a side (0 absent) at `bids` and `asks` hundredths, 3 and 4 lots."""
    bid = f"{bids:06d}{3:08d}" if bids else ABSENT
    ask = f"{asks:06d}{4:08d}" if asks else ABSENT
    sides = f"{int(bids > 0)} {bid}{ABSENT * 4}{int(asks > 0)} {ask}{ABSENT * 4}"
    return f"{code:<6}{time}{flags}{price:06d}{lots:08d}{sides}20241111AA"


HEADER = "현재가,거래량,체결시간,시가,고가,저가"
ROW = {"cur_prc": "-78800", "open_pric": "-78850", "high_pric": "-78900", "low_pric": "--78800", "trde_qty": "7913"}
