"""The outside world to market topics: venue connectors, replay of recordings, the synthetic market."""
