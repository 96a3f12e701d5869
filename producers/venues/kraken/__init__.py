"""Kraken: spot markets by its websocket (version 2), every book checked against the venue's checksum."""
