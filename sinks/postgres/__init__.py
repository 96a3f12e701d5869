"""The PostgreSQL sink: COPY, merge and offsets in one database transaction."""
