"""The probability that a coin reaches a target return before a stop within a horizon, calibrated."""
