"""Topics to topics: the engine (the hot path) and its brokerless driver."""
