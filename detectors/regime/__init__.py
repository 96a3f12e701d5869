"""Bull or bear over the last 1, 6, 12 and 24 hours: a hidden Markov model's filter, a trend rule, and a naive rule."""
