"""Commands of the infrastructure: up, down, status, doctor."""
