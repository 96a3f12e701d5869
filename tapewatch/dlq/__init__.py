"""Dead letters read again: which there are, what each says, and sending them once more, each at most once."""
