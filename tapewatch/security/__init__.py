"""Who we are to others and whom we trust: logging in at Kafka, secrets, addresses that may be reached."""
