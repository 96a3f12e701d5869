"""The contract with the world: rows, frames, messages, topics, instruments, and what of them is refused."""
