"""The web console and its HTTP API: reads PostgreSQL and topics, owns no truth."""
