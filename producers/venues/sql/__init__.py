"""Tables of MariaDB, MySQL or PostgreSQL that others fill, as a feed: incremental by key, exactly once."""
