"""The embedded stack: real Kafka and PostgreSQL under one data folder."""
