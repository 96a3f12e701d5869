"""Coinbase: spot markets by the Advanced Trade websocket, every message counted by its sequence number."""
