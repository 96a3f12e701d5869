"""Who a process is to Kafka and what it may do there: logging in, renewed passwords, accounts, rights."""
