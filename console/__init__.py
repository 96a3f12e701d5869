"""The web console: pages and an open HTTP API over PostgreSQL and the topics; it owns no truth."""
