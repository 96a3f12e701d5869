"""Taiwan: the exchange's best five from MIS, with Yahoo as its stand-in, and TWSE's daily reports."""
