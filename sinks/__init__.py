"""Topics to the outside world: PostgreSQL, Elasticsearch, notifications."""
