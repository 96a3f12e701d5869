"""Upbit: the KRW spot markets, by its quotation websocket and REST interface."""
