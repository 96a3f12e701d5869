"""What every process stands on: Kafka's clients, transactions, offsets, metrics, traces."""
